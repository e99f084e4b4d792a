import { callTool, conversation, createTestRuntime, respond, say, scriptedModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { concierge } from '../src/concierge.ts'

test('tells its model when a room does not exist', async () => {
  const model = scriptedModel([
    callTool('price', { room: 'cellar' }),
    respond(({ messages }) => {
      const result = messages.at(-1)?.parts[0]
      return say(result?.type === 'tool-result' && result.isError ? 'We have no such room.' : 'It is free!')
    }),
  ])
  await using runtime = await createTestRuntime({ agents: [concierge], model })
  const guest = conversation(runtime, concierge)

  const { reply, status } = await guest.says('And the cellar?')

  expect([status, reply]).toEqual(['completed', 'We have no such room.'])
  expect(guest.called('price')).toMatchObject({
    status: 'failed',
    output: expect.stringContaining('no room called cellar'),
  })
})
