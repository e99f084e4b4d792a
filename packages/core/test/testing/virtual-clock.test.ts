import { defineAgent } from '@keelson/core'
import {
  createTestRuntime,
  delay,
  say,
  scriptedModel,
  sequentialIds,
  settle,
  virtualClock,
} from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'

describe('a virtual clock', () => {
  test('stands still', async () => {
    const clock = virtualClock(new Date('2027-03-01T09:00:00Z'))
    await settle()
    expect(clock.now()).toBe(Date.parse('2027-03-01T09:00:00Z'))
  })

  test('runs timers in the order in which they come due, each at its moment', async () => {
    const clock = virtualClock(0)
    const ran: string[] = []
    for (const [name, ms] of [
      ['c', 30],
      ['a', 10],
      ['b', 20],
      ['b, later set', 20],
    ] as const) {
      clock.after(ms, () => ran.push(`${name} at ${clock.now()}`))
    }
    await clock.advance(20)
    expect(ran).toEqual(['a at 10', 'b at 20', 'b, later set at 20'])
    expect([clock.now(), clock.pending]).toEqual([20, 1])
    await clock.advance(10)
    expect(ran.at(-1)).toBe('c at 30')
  })

  test('runs what a timer sets, in the same advance, when that comes due too', async () => {
    const clock = virtualClock(0)
    const ran: number[] = []
    const again = () => {
      ran.push(clock.now())
      // Set only after something else has happened, as the runtime does.
      setImmediate(() => clock.after(10, again))
    }
    clock.after(10, again)
    await clock.advance(35)
    expect(ran).toEqual([10, 20, 30])
  })

  test('forgets what was cancelled, also by a timer that runs before it', async () => {
    const clock = virtualClock(0)
    const cancel = clock.after(10, () => expect.unreachable())
    clock.after(5, cancel)
    await clock.advance(100)
    expect(clock.pending).toBe(0)
  })

  test('goes to a moment', async () => {
    const clock = virtualClock(new Date('2027-03-01T09:00:00Z'))
    await clock.advanceTo(new Date('2027-03-01T10:30:00Z'))
    expect(new Date(clock.now()).toISOString()).toBe('2027-03-01T10:30:00.000Z')
  })

  test('has hands that can be put back without bringing any timer nearer', async () => {
    const clock = virtualClock(1_000)
    let ran = 0
    clock.after(100, () => ran++)
    clock.shift(-500)
    expect(clock.now()).toBe(500)
    clock.shift(3_600_000)
    await clock.advance(99)
    expect(ran).toBe(0)
    await clock.advance(1)
    expect(ran).toBe(1)
  })

  test.each([-1, Number.NaN])('refuses to advance by %s', async (ms) => {
    await expect(virtualClock().advance(ms)).rejects.toThrow('time only goes on')
  })

  test('refuses to go back, and to begin at no moment', async () => {
    await expect(virtualClock(10).advanceTo(5)).rejects.toThrow('time only goes on')
    expect(() => virtualClock(new Date('soon'))).toThrow('a moment is a Date')
  })

  test('hands on what a timer throws, and goes on afterwards', async () => {
    const clock = virtualClock(0)
    clock.after(5, () => {
      throw new Error('oops')
    })
    await expect(clock.advance(10)).rejects.toThrow('oops')
    expect(clock.now()).toBe(5)
    await clock.advance(5)
    expect(clock.now()).toBe(10)
  })
})

describe('a deterministic runtime', () => {
  const agents = [defineAgent({ id: 'clerk', instructions: '', models: ['test/one'] })]

  const story = async () => {
    const model = scriptedModel([say('Hello.')])
    await using runtime = await createTestRuntime({ agents, model, deterministic: true })
    const { session } = await runtime.client.run('clerk', { message: 'Hi' }).result
    await runtime.clock.advance(1_000)
    return await runtime.client.sessions.messages({ session, limit: 10 })
  }

  test('writes the same rows every time', async () => {
    const rows = await story()
    expect(rows).toEqual(await story())
    expect(rows[0]).toMatchObject({ id: expect.stringMatching(/^0{8}-0000-4000-8000-/), createdAt: 1_800_000_000_000 })
  })

  test('keeps a clock and identifiers that were given', async () => {
    const clock = virtualClock(0)
    const model = scriptedModel([[delay(5_000), say('Late.')]], { clock })
    const newId = sequentialIds(0x100)
    await using runtime = await createTestRuntime({ agents, model, deterministic: true, clock, newId })
    const turn = runtime.client.run('clerk', { message: 'Hi' })
    expect((await turn.accepted).id).toMatch(/^0{8}-0000-4000-8000-0{9}10\d$/)
    await clock.advance(5_000)
    expect((await turn.result).text).toBe('Late.')
    expect(runtime.clock).toBe(clock)
  })

  test('is the only one whose clock can be asked for', async () => {
    await using runtime = await createTestRuntime({ agents, model: scriptedModel([]) })
    expect(() => runtime.clock).toThrow('deterministic: true')
  })
})
