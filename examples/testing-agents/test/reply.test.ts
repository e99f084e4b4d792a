import { conversation, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { concierge } from '../src/concierge.ts'

test('remembers what a guest has said', async () => {
  const model = scriptedModel([say('Good evening, Ada.'), say('Your name is Ada.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })
  const guest = conversation(runtime, concierge)

  await guest.says('Good evening, I am Ada')
  const { reply, usage } = await guest.says('What is my name?')

  expect(reply).toBe('Your name is Ada.')
  expect(usage).toMatchObject({ input: 10, output: 5 })
  expect(model.calls[1]?.request.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
  model.assertComplete()
})
