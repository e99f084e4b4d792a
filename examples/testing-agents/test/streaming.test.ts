import { callTool, conversation, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { concierge } from '../src/concierge.ts'

test('streams what it says before, between and after its tools, in order', async () => {
  const model = scriptedModel([
    [say(['One ', 'moment.']), callTool('price', { room: 'attic' }), callTool('price', { room: 'garden' })],
    say(['80 ', 'and 120.']),
  ])
  await using runtime = await createTestRuntime({ agents: [concierge], model })

  const { events } = await conversation(runtime, concierge).says('What do the rooms cost?')

  expect(events.map((event) => (event.type === 'text.delta' ? event.text : event.type))).toEqual([
    'turn.started',
    'step.started',
    'One ',
    'moment.',
    'step.finished',
    'tool.started',
    'tool.started',
    'tool.finished',
    'tool.finished',
    'step.started',
    '80 ',
    'and 120.',
    'step.finished',
    'turn.completed',
  ])
})
