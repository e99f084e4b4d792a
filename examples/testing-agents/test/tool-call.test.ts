import { callTool, conversation, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { concierge } from '../src/concierge.ts'

test('looks a price up before it answers', async () => {
  const model = scriptedModel([callTool('price', { room: 'attic' }), say('80 euros.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })
  const guest = conversation(runtime, concierge)

  await guest.says('What is the attic?')

  expect(guest.called('price', { room: 'attic' }).output).toEqual({ room: 'attic', euros: 80 })
  expect(guest.transcript).toBe(
    [
      'user: What is the attic?',
      '  calls price({"room":"attic"})',
      '  price succeeded: {"room":"attic","euros":80}',
      'assistant: 80 euros.',
    ].join('\n'),
  )
})
