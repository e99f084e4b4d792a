import { callTool, createTestRuntime, fail, say, scriptedModel } from '@keelson/core/testing'
import { beforeEach, expect, test } from 'vitest'
import { bookings, concierge } from '../src/concierge.ts'

beforeEach(() => {
  bookings.length = 0
})

test('looks a price up before it answers', async () => {
  const model = scriptedModel([callTool('price', { room: 'attic' }), say('80 euros.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })

  const { text } = await runtime.client.run('concierge', { message: 'What is the attic?' }).result

  expect(text).toBe('80 euros.')
  expect(model.calls[1]?.request.messages.at(-1)).toMatchObject({
    role: 'tool',
    parts: [{ output: { room: 'attic', euros: 80 } }],
  })
  model.assertComplete()
})

test('tells the model when a room does not exist', async () => {
  const model = scriptedModel([callTool('price', { room: 'cellar' }), say('We have no such room.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })

  await runtime.client.run('concierge', { message: 'And the cellar?' }).result

  expect(model.calls[1]?.request.messages.at(-1)?.parts[0]).toMatchObject({
    isError: true,
    output: expect.stringContaining('no room called cellar'),
  })
})

test('books only after a person has approved', async () => {
  const model = scriptedModel([callTool('book', { room: 'garden', nights: 2 }), say('Done.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })

  const asked = await runtime.client.run('concierge', { message: 'The garden room for two nights' }).result
  expect(asked.status).toBe('waiting')
  expect(bookings).toEqual([])

  const [approval] = asked.approvals
  await runtime.client.approvals.decide({ id: approval?.id ?? '', decision: 'approve' })
  const answered = await runtime.client.attach(asked.turn).result
  expect(answered).toMatchObject({ status: 'completed', text: 'Done.' })
  expect(bookings).toEqual(['garden for 2'])
})

test('answers from the second model when the first one fails', async () => {
  const model = scriptedModel([fail('auth'), say('Hello.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })

  const { model: answered, selected } = await runtime.client.run('concierge', { message: 'Hi' }).result

  expect([selected, answered]).toEqual(['openai/gpt-5-mini', 'anthropic/claude-haiku-4-5'])
})

test('keeps the sessions of two guests apart', async () => {
  const model = scriptedModel([say('Hello, Ada.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })

  const { session } = await runtime.caller('ada').run('concierge', { message: 'I am Ada' }).result

  await expect(runtime.caller('bob').sessions.get({ id: session })).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' })
})
