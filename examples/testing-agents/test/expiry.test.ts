import {
  callTool,
  conversation,
  createTestRuntime,
  delay,
  fail,
  say,
  scriptedModel,
  virtualClock,
} from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { bookings, concierge } from '../src/concierge.ts'

const minute = 60_000

test('lets a question to a person expire', async () => {
  const model = scriptedModel([callTool('book', { room: 'attic', nights: 1 }), say('Nobody could confirm it.')])
  await using runtime = await createTestRuntime({ agents: [concierge], model, deterministic: true })
  const guest = conversation(runtime, concierge)

  await guest.says('The attic for tonight')
  await runtime.clock.advance(6 * minute)

  expect((await guest.goesOn()).reply).toBe('Nobody could confirm it.')
  expect(guest.called('book').status).toBe('denied')
  expect(bookings).toEqual([])
})

test('waits as long as a busy provider asks, and no real second', async () => {
  const clock = virtualClock()
  const model = scriptedModel([fail('rate-limit', { retryAfterMs: 20_000 }), [delay(3_000), say('Good evening.')]], {
    clock,
  })
  await using runtime = await createTestRuntime({ agents: [concierge], model, clock })
  const start = clock.now()

  const answer = conversation(runtime, concierge).says('Good evening')
  await clock.advance(minute)

  const done = (await answer).events.at(-1)
  expect(done).toMatchObject({ type: 'turn.completed', at: start + 23_000 })
})
