import { callTool, conversation, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { beforeEach, expect, test } from 'vitest'
import { bookings, concierge } from '../src/concierge.ts'

beforeEach(() => {
  bookings.length = 0
})

test('books only after a person has approved', async () => {
  const model = scriptedModel([callTool('book', { room: 'garden', nights: 2 }), say('Done.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })
  const guest = conversation(runtime, concierge)

  const asked = await guest.says('The garden room for two nights')
  expect(asked.status).toBe('waiting')
  expect(bookings).toEqual([])

  const answered = await guest.approve()
  expect(answered.reply).toBe('Done.')
  expect(bookings).toEqual(['garden for 2'])
})

test('books nothing when a person denies', async () => {
  const model = scriptedModel([callTool('book', { room: 'garden', nights: 90 }), say('I am afraid not.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model })
  const guest = conversation(runtime, concierge)

  await guest.says('The garden room for the whole summer')
  const { reply } = await guest.deny('book')

  expect(reply).toBe('I am afraid not.')
  expect(guest.called('book').status).toBe('denied')
  expect(bookings).toEqual([])
})
