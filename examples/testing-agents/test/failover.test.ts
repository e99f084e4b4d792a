import { conversation, createTestRuntime, fail, say, scriptedModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { concierge } from '../src/concierge.ts'

test('answers from the second model when the first one fails', async () => {
  const model = scriptedModel([fail('auth', { status: 401 }), say('Good evening.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })

  const answer = await conversation(runtime, concierge).says('Good evening')

  expect(answer.model).toBe('anthropic/claude-haiku-4-5')
  expect(model.calls.map((call) => call.model)).toEqual(['openai/gpt-5-mini', 'anthropic/claude-haiku-4-5'])
  expect(runtime.reported).toMatchObject([{ where: 'model openai/gpt-5-mini', error: { failure: 'auth' } }])
})

test('says so when no model answers', async () => {
  const model = scriptedModel([], { otherwise: fail('billing') })
  await using runtime = await createTestRuntime({ agents: [concierge], model })
  const guest = conversation(runtime, concierge)

  await expect(guest.says('Good evening')).rejects.toMatchObject({
    code: 'TURN_FAILED',
    details: { reason: 'MODEL_FAILED' },
  })
  expect(guest.last.status).toBe('failed')
})
