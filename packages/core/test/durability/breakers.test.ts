import { type BreakerEvent, type BreakerOptions, type FailureClass, type ModelPart, singleOwner } from '@keelson/core'
import {
  createTestRuntime,
  delay,
  fail,
  hang,
  respond,
  type ScriptStep,
  say,
  scriptedModel,
  settle,
  virtualClock,
} from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { agentOf, codeOf, databaseFile, gate } from './scene.ts'

const two = agentOf([], { models: ['one/model', 'two/model'] })
const breakers: BreakerOptions = { threshold: 3, cooldownMs: 10_000, maxCooldownMs: 40_000, failureRate: 0 }
/** One attempt per model, so that each turn asks each provider once. */
const limits = { attempts: 1 }

/** A runtime whose providers do what `acts` says at the time. */
async function scene(options: Partial<Parameters<typeof createTestRuntime>[0]> = {}) {
  const clock = virtualClock()
  const acts: Record<string, () => ScriptStep> = {}
  const asked: string[] = []
  let model = ''
  const script = scriptedModel([], {
    clock,
    otherwise: respond(() => acts[model]?.() ?? say(model)),
  })
  const provider = {
    ...script,
    stream(name: string, ...call: [Parameters<typeof script.stream>[1], AbortSignal]): AsyncIterable<ModelPart> {
      model = name.split('/', 1)[0] ?? ''
      asked.push(model)
      return script.stream(name, ...call)
    },
  }
  const runtime = await createTestRuntime({ agents: [two], model: provider, clock, breakers, limits, ...options })
  const events: BreakerEvent[] = []
  await runtime.client.breakers.watch({ listener: (event) => events.push(event) })
  const state = async (name: string) =>
    (await runtime.client.breakers.status()).breakers.find((breaker) => breaker.provider === name)
  return {
    runtime,
    client: runtime.client,
    clock,
    acts,
    asked,
    events,
    state,
    run: (message = 'hi') => runtime.client.run('clerk', { message }).outcome,
    /** What happened since it was last asked. */
    told: () => events.splice(0).map(({ provider: name, type }) => `${name} ${type.slice('breaker.'.length)}`),
    takeAsked: () => asked.splice(0),
    [Symbol.asyncDispose]: () => runtime.stop(),
  }
}

describe('a provider that fails', () => {
  test('is left alone after its threshold, tried once after the cool-down, and used again when it answers', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 3; count += 1) expect((await s.run()).text).toBe('two')
    expect(s.told()).toEqual(['one opened'])
    expect(s.takeAsked()).toEqual(['one', 'two', 'one', 'two', 'one', 'two'])
    expect(await s.state('one')).toMatchObject({ state: 'open', cause: 'failures', lastFailure: 'server' })

    expect(await s.run()).toMatchObject({ text: 'two', selected: 'two/model', model: 'two/model' })
    expect(s.takeAsked()).toEqual(['two'])

    s.clock.shift(10_000)
    expect(await s.state('one')).toMatchObject({ state: 'half-open', probing: false })
    expect((await s.run()).text).toBe('two')
    expect(s.takeAsked()).toEqual(['one', 'two'])
    expect(s.told()).toEqual(['one half-opened', 'one opened'])

    delete s.acts['one']
    s.clock.shift(10_000)
    // The cool-down has doubled.
    expect(await s.state('one')).toMatchObject({ state: 'open' })
    s.clock.shift(10_000)
    expect((await s.run()).text).toBe('one')
    expect(s.told()).toEqual(['one half-opened', 'one closed'])
    expect(await s.state('one')).toMatchObject({ state: 'closed', failures: 0, retryAt: null })
  })

  test('has a cool-down that doubles up to its maximum and begins anew after an answer', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 3; count += 1) await s.run()
    const waits: number[] = []
    for (let count = 0; count < 4; count += 1) {
      const { retryAt = 0 } = (await s.state('one')) ?? {}
      waits.push((retryAt ?? 0) - s.clock.now())
      s.clock.shift(waits.at(-1) ?? 0)
      await s.run()
    }
    expect(waits).toEqual([10_000, 20_000, 40_000, 40_000])
    delete s.acts['one']
    s.clock.shift(40_000)
    expect((await s.run()).text).toBe('one')
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 3; count += 1) await s.run()
    expect((await s.state('one'))?.retryAt).toBe(s.clock.now() + 10_000)
  })

  test('too seldom within the window stays in use', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 8; count += 1) {
      await s.run()
      s.clock.shift(30_000)
    }
    expect(s.told()).toEqual([])
    expect(await s.state('one')).toMatchObject({ state: 'closed', failures: 1 })
  })

  test('in a small share of its calls stays in use, unless the threshold alone counts', async () => {
    for (const [failureRate, opened] of [
      [0.5, []],
      [0, ['one opened']],
    ] as const) {
      await using s = await scene({ breakers: { ...breakers, failureRate } })
      for (let count = 0; count < 9; count += 1) {
        s.acts['one'] = () => (count % 3 === 0 ? fail('server') : say('one'))
        await s.run()
      }
      expect(s.told()).toEqual(opened)
    }
  })

  const counting: FailureClass[] = ['server', 'overload', 'timeout', 'network', 'auth', 'malformed', 'rate-limit']
  test.each(counting)('with %s is left alone', async (failure) => {
    await using s = await scene()
    s.acts['one'] = () => fail(failure)
    for (let count = 0; count < 3; count += 1) await s.run()
    expect(s.told()).toEqual(['one opened'])
  })

  const blameless: FailureClass[] = ['content-refused', 'bad-request', 'context-too-long']
  test.each(blameless)('with %s is not to blame', async (failure) => {
    await using s = await scene()
    s.acts['one'] = () => fail(failure)
    for (let count = 0; count < 10; count += 1) await s.run()
    expect(s.told()).toEqual([])
    expect(await s.state('one')).toMatchObject({ state: 'closed', failures: 0 })
  })

  test('for want of credit is left alone at once, until somebody resets it', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('billing')
    expect((await s.run()).text).toBe('two')
    expect(s.told()).toEqual(['one opened'])
    delete s.acts['one']
    s.clock.shift(86_400_000 * 365)
    expect((await s.run()).text).toBe('two')
    expect(await s.state('one')).toMatchObject({ state: 'open', cause: 'billing', retryAt: null })
    await s.client.breakers.reset({ provider: 'one' })
    expect(s.told()).toEqual(['one reset'])
    expect((await s.run()).text).toBe('one')
  })

  test('for want of credit while it is tried stays open until a reset', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 3; count += 1) await s.run()
    s.acts['one'] = () => fail('billing')
    s.clock.shift(10_000)
    await s.run()
    expect(await s.state('one')).toMatchObject({ state: 'open', cause: 'billing', retryAt: null })
  })

  test('while it is tried, with what it is not to blame for, may be tried again at once', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 3; count += 1) await s.run()
    s.clock.shift(10_000)
    s.acts['one'] = () => fail('bad-request')
    await s.run()
    expect(await s.state('one')).toMatchObject({ state: 'half-open', probing: false })
    delete s.acts['one']
    expect((await s.run()).text).toBe('one')
  })
})

describe('a rate limit', () => {
  test('that says for how long holds the model back for that long, and is no fault', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('rate-limit', { retryAfterMs: 40_000 })
    for (let count = 0; count < 5; count += 1) expect((await s.run()).text).toBe('two')
    // The first call was told to stay away, so there was no other.
    expect(s.takeAsked().filter((name) => name === 'one')).toHaveLength(1)
    expect(s.told()).toEqual([])
    const { selection } = await s.client.sessions.turn({ id: (await s.run()).turn })
    expect(selection?.candidates[0]).toMatchObject({ usable: false, note: expect.stringContaining('rate limit') })
    delete s.acts['one']
    s.clock.shift(40_000)
    expect((await s.run()).text).toBe('one')
  })

  test('of the only model is waited for when it is short, and ends the turn with a hint when it is long', async () => {
    const one = agentOf([], { models: ['one/model'] })
    await using s = await scene({ agents: [one] })
    for (const [retryAfterMs, short] of [
      [20_000, true],
      [50_000, false],
    ] as const) {
      s.acts['one'] = () => fail('rate-limit', { retryAfterMs })
      await s.run()
      delete s.acts['one']
      const asked = s.asked.length
      const turn = s.client.run('clerk', { message: 'hi' })
      await turn.accepted
      if (short) {
        await s.clock.advance(19_999)
        expect(s.asked).toHaveLength(asked)
        await s.clock.advance(1)
        expect((await turn.outcome).text).toBe('one')
      } else {
        expect(await turn.outcome).toMatchObject({
          status: 'failed',
          error: { code: 'MODEL_UNAVAILABLE', retryAfterMs: 50_000, message: expect.stringContaining('rate-limited') },
        })
        expect(s.asked).toHaveLength(asked)
      }
    }
  })

  test('is forgotten when the provider is reset', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('rate-limit', { retryAfterMs: 40_000 })
    await s.run()
    delete s.acts['one']
    await s.client.breakers.reset({ provider: 'one' })
    expect((await s.run()).text).toBe('one')
  })
})

describe('the call that tries an open provider', () => {
  const opened = async (s: Awaited<ReturnType<typeof scene>>) => {
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 3; count += 1) await s.run()
    s.clock.shift(10_000)
    s.takeAsked()
    s.told()
  }

  test('is one, however many ask at the same time', async () => {
    await using s = await scene()
    await opened(s)
    const answer = gate<ScriptStep>()
    s.acts['one'] = () => respond(() => answer.passed)
    const turns = Array.from({ length: 20 }, () => s.run())
    await settle()
    expect(await s.state('one')).toMatchObject({ state: 'half-open', probing: true })
    answer.open(say('one'))
    const texts = (await Promise.all(turns)).map(({ text }) => text)
    expect(texts.filter((text) => text === 'one')).toHaveLength(1)
    expect(s.takeAsked().filter((name) => name === 'one')).toHaveLength(1)
    expect(s.told()).toEqual(['one half-opened', 'one closed'])
  })

  test('gives its place up when its turn is cancelled', async () => {
    await using s = await scene()
    await opened(s)
    s.acts['one'] = () => hang()
    const turn = s.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    await settle()
    expect(await s.state('one')).toMatchObject({ probing: true })
    await s.client.turns.cancel({ id })
    expect(await turn.outcome).toMatchObject({ status: 'cancelled' })
    expect(await s.state('one')).toMatchObject({ state: 'half-open', probing: false })
    delete s.acts['one']
    expect((await s.run()).text).toBe('one')
  })

  test('changes nothing any more when somebody has opened the breaker by hand meanwhile', async () => {
    await using s = await scene()
    await opened(s)
    const answer = gate<ScriptStep>()
    s.acts['one'] = () => respond(() => answer.passed)
    const turn = s.run()
    await settle()
    await s.client.breakers.forceOpen({ provider: 'one' })
    answer.open(say('one'))
    expect((await turn).text).toBe('one')
    expect(await s.state('one')).toMatchObject({ state: 'open', cause: 'operator' })
  })
})

describe('every provider down', () => {
  test('fails each turn at once with a hint when to try again, and they are back as soon as one answers', async () => {
    await using s = await scene()
    s.acts['one'] = s.acts['two'] = () => fail('network')
    for (let count = 0; count < 3; count += 1) {
      expect(await s.run()).toMatchObject({ status: 'failed', error: { code: 'MODEL_FAILED' } })
    }
    s.takeAsked()
    s.clock.shift(4_000)
    const { error, turn } = await s.run()
    expect(error).toEqual({
      code: 'MODEL_UNAVAILABLE',
      message: 'no model can be called now: one/model (breaker-open), two/model (breaker-open)',
      retryAfterMs: 6_000,
    })
    await expect(s.client.run('clerk', { message: 'hi' }).result).rejects.toMatchObject({
      code: 'TURN_FAILED',
      retryAfterMs: 6_000,
      details: { reason: 'MODEL_UNAVAILABLE' },
    })
    expect(s.takeAsked()).toEqual([])
    expect((await s.client.observatory.turn({ id: turn })).attempts).toMatchObject([
      { model: 'one/model', outcome: 'skipped', reason: 'breaker-open' },
      { model: 'two/model', outcome: 'skipped', reason: 'breaker-open' },
    ])
    delete s.acts['two']
    s.clock.shift(6_000)
    expect((await s.run()).text).toBe('two')
    delete s.acts['one']
    s.clock.shift(20_000)
    expect((await s.run()).text).toBe('one')
    expect(
      await codeOf(s.client.models.complete({ models: ['one/x'], instructions: '', prompt: '', maxOutputTokens: 1 })),
    ).toBe('fulfilled')
  })

  test('has no hint when only a reset can help', async () => {
    await using s = await scene()
    for (const provider of ['one', 'two']) await s.client.breakers.forceOpen({ provider })
    const { error } = await s.run()
    expect(error).toEqual({ code: 'MODEL_UNAVAILABLE', message: expect.any(String) })
    const call = { models: ['one/x'], instructions: '', prompt: '', maxOutputTokens: 1 }
    expect(await codeOf(s.client.models.complete(call))).toBe('MODEL_UNAVAILABLE')
  })
})

test('a provider that fails six times in ten is passed over in time, and every turn succeeds', async () => {
  await using s = await scene()
  let calls = 0
  const fails = [true, true, false, true, false, true, true, false, true, false]
  s.acts['one'] = () => (fails[calls++ % fails.length] ? fail('server', { afterText: 'half an ans' }) : say('one'))
  const told: string[] = []
  for (let count = 0; count < 60; count += 1) {
    const outcome = await s.run(`message ${count}`)
    expect([outcome.status, outcome.text]).toEqual(['completed', expect.stringMatching(/^(one|two)$/)])
    told.push(...s.told())
    s.clock.shift(3_000)
  }
  expect(new Set(told)).toEqual(new Set(['one opened', 'one half-opened', 'one closed']))
  const log = await s.client.models.selections({ limit: 100, offset: 0 })
  expect(log).toHaveLength(60)
  expect(log.map(({ excerpt }) => excerpt)).toEqual(Array.from({ length: 60 }, (_, index) => `message ${59 - index}`))
  for (const { model, selection } of log) {
    const { attempts = [], candidates, chosen, strategy } = selection
    if (chosen === 'two/model') {
      expect([strategy, candidates[0]?.note, candidates[0]?.score]).toEqual(['fallback_1', 'its breaker is open', 0])
      expect(attempts).toEqual([])
    } else if (model === 'two/model') {
      expect(attempts).toMatchObject([
        { step: 1, model: 'one/model', outcome: 'failed', reason: 'server' },
        { step: 1, model: 'two/model', outcome: 'answered', reason: null },
      ])
    } else {
      expect(attempts).toEqual([])
    }
  }
  expect(log.some(({ selection }) => selection.chosen === 'two/model')).toBe(true)
  expect(log.some(({ selection }) => (selection.attempts ?? []).length > 0)).toBe(true)
})

describe('a clock that is set back', () => {
  test('by more than the cool-down does not keep a breaker open for as much longer', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 3; count += 1) await s.run()
    delete s.acts['one']
    s.clock.shift(-3_600_000)
    expect((await s.run()).text).toBe('two')
    s.clock.shift(10_000)
    expect((await s.run()).text).toBe('one')
  })

  test('does not let failures count that lie ahead', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 2; count += 1) await s.run()
    s.clock.shift(-3_600_000)
    for (let count = 0; count < 2; count += 1) await s.run()
    expect(s.told()).toEqual([])
    await s.run()
    expect(s.told()).toEqual(['one opened'])
  })

  test('does not keep the place of a call that tries', async () => {
    await using s = await scene()
    s.acts['one'] = () => fail('server')
    for (let count = 0; count < 3; count += 1) await s.run()
    s.clock.shift(10_000)
    s.acts['one'] = () => hang()
    const hanging = s.client.run('clerk', { message: 'hi' })
    await hanging.accepted
    await settle()
    s.clock.shift(70_000)
    delete s.acts['one']
    expect((await s.run()).text).toBe('one')
  })
})

describe('a restart', () => {
  test('keeps what was forced open or has run out of credit, and what is cooling down', async () => {
    const file = databaseFile()
    const three = agentOf([], { models: ['one/model', 'two/model', 'three/model'] })
    const clock = virtualClock()
    {
      await using s = await scene({ store: sqliteStore(file), agents: [three], clock })
      s.acts['two'] = () => fail('billing')
      s.acts['three'] = () => fail('server')
      await s.client.breakers.forceOpen({ provider: 'one' })
      for (let count = 0; count < 3; count += 1) await s.run()
    }
    await using s = await scene({ store: sqliteStore(file), agents: [three], clock })
    const { breakers: all } = await s.client.breakers.status()
    expect(all.map(({ provider, state, cause }) => [provider, state, cause])).toEqual([
      ['one', 'open', 'operator'],
      ['three', 'open', 'failures'],
      ['two', 'open', 'billing'],
    ])
    expect((await s.run()).error).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryAfterMs: 10_000 })
    clock.shift(10_000)
    expect((await s.run()).text).toBe('three')
  })

  test('frees the place of a call that a dead process was trying with', async () => {
    const file = databaseFile()
    const clock = virtualClock()
    const record = {
      provider: 'one',
      version: 1,
      state: 'open',
      cause: 'failures',
      failures: [],
      lastFailure: 'server',
      cooldownMs: 10_000,
      openedAt: clock.now() - 20_000,
      retryAt: clock.now() - 10_000,
      probe: { instance: 'dead', until: clock.now() + 50_000 },
      changedAt: clock.now(),
    } as const
    const store = sqliteStore(file)
    await store.open()
    await store.breakers.swap(record)
    await store.close()
    await using s = await scene({ store: sqliteStore(file), clock })
    expect((await s.run()).text).toBe('one')
    expect(await s.state('one')).toMatchObject({ state: 'closed' })
  })
})

describe('a store that cannot be had', () => {
  test('lets breakers open here all the same, and close again', async () => {
    const store = sqliteStore(':memory:')
    let down = false
    const swaps: string[] = []
    const troubled = {
      ...store,
      breakers: {
        ...store.breakers,
        swap: async (record: Parameters<typeof store.breakers.swap>[0]) => {
          if (down) throw new Error('the database is away')
          const written = await store.breakers.swap(record)
          if (written) swaps.push(record.state)
          return written
        },
      },
    }
    await using s = await scene({ store: troubled })
    s.acts['one'] = () => fail('server')
    down = true
    for (let count = 0; count < 3; count += 1) expect((await s.run()).text).toBe('two')
    s.takeAsked()
    expect((await s.run()).text).toBe('two')
    expect(s.takeAsked()).toEqual(['two'])
    expect(s.runtime.reported.map(({ where }) => where)).toContain('breaker one')
    down = false
    delete s.acts['one']
    s.clock.shift(10_000)
    expect((await s.run()).text).toBe('one')
    expect(await s.state('one')).toMatchObject({ state: 'closed' })
    expect(swaps).toEqual(['open', 'closed'])
  })
})

describe('while every provider works', () => {
  test('nothing about breakers is read or written by any number of turns', async () => {
    const store = sqliteStore(':memory:')
    const used: string[] = []
    const spied = {
      ...store,
      breakers: {
        list: async (...call: Parameters<typeof store.breakers.list>) => {
          used.push('list')
          return await store.breakers.list(...call)
        },
        swap: async (...call: Parameters<typeof store.breakers.swap>) => {
          used.push('swap')
          return await store.breakers.swap(...call)
        },
      },
    }
    await using s = await scene({ store: spied })
    expect(used.splice(0)).toEqual(['list'])
    for (let count = 0; count < 10; count += 1) await s.run()
    expect(used).toEqual([])
    s.acts['one'] = () => fail('server')
    await s.run()
    expect(used.splice(0)).toEqual(['swap'])
    delete s.acts['one']
    await s.run()
    expect(used).toEqual([])
  })
})

describe('the time of a turn', () => {
  test('ends it although its models hang one after the other, and is held against them', async () => {
    const three = agentOf([], { models: ['one/model', 'two/model', 'three/model'] })
    await using s = await scene({ agents: [three], limits: { attempts: 3, firstTokenMs: 60_000, turnMs: 100_000 } })
    s.acts['one'] = s.acts['two'] = s.acts['three'] = () => hang()
    const turn = s.client.run('clerk', { message: 'hi', failureReply: 'Sorry.' })
    await turn.accepted
    await s.clock.advance(99_999)
    expect(await s.client.sessions.turn({ id: (await turn.accepted).id })).toMatchObject({ status: 'running' })
    await s.clock.advance(1)
    expect(await turn.outcome).toMatchObject({ status: 'failed', text: 'Sorry.', error: { code: 'TURN_TIMEOUT' } })
    expect(s.clock.pending).toBe(1)
  })

  test('can be shorter for one turn, and a model that has had most of it is to blame', async () => {
    await using s = await scene()
    s.acts['one'] = () => hang()
    for (let count = 0; count < 3; count += 1) {
      const turn = s.client.run('clerk', { message: 'hi', turnMs: 5_000 })
      await turn.accepted
      await s.clock.advance(5_000)
      expect(await turn.outcome).toMatchObject({ status: 'failed', error: { code: 'TURN_TIMEOUT' } })
    }
    expect(s.told()).toEqual(['one opened'])
    expect((await s.run()).text).toBe('two')
  })

  test('is not held against a model that was given little of it', async () => {
    await using s = await scene({ limits: { attempts: 1, firstTokenMs: 4_000 } })
    s.acts['one'] = () => [delay(3_900), fail('bad-request')]
    s.acts['two'] = () => hang()
    const turn = s.client.run('clerk', { message: 'hi', turnMs: 5_000 })
    await turn.accepted
    await s.clock.advance(5_000)
    expect(await turn.outcome).toMatchObject({ error: { code: 'TURN_TIMEOUT' } })
    expect(await s.state('two')).toMatchObject({ failures: 0 })
  })

  test.each([0, -1, 1.5, 2 ** 31, Number.NaN])('of %s is refused', async (turnMs) => {
    await using s = await scene()
    expect(await codeOf(s.client.run('clerk', { message: 'hi', turnMs }).accepted)).toBe('LIMIT_INVALID')
    expect(await codeOf(scene({ limits: { turnMs } }))).toBe('LIMIT_INVALID')
  })
})

describe('what is refused', () => {
  test.each<BreakerOptions>([
    { threshold: 0 },
    { threshold: 1.5 },
    { windowMs: -1 },
    { cooldownMs: 2 ** 31 },
    { cooldownMs: 60_000, maxCooldownMs: 1_000 },
    { failureRate: 1.1 },
    { failureRate: Number.NaN },
    { policy: 'constructor' as never },
    { sorcery: 1 } as never,
  ])('the options %j', async (wrong) => {
    expect(await codeOf(scene({ breakers: wrong }))).toBe('BREAKER_OPTIONS_INVALID')
  })

  test('changes of anybody but an operator, and of providers that nobody has configured', async () => {
    await using s = await scene()
    const caller = s.runtime.caller('ann')
    expect(await codeOf(caller.breakers.forceOpen({ provider: 'one' }))).toBe('FORBIDDEN')
    expect(await codeOf(caller.breakers.reset({ provider: 'one' }))).toBe('FORBIDDEN')
    expect((await caller.breakers.status()).breakers).toHaveLength(2)
    expect(await codeOf(s.runtime.as(null).breakers.status())).toBe('UNAUTHENTICATED')
    const other = s.runtime.as({ ...singleOwner('code'), tenant: 'north' })
    for (const provider of ['three', '', '__proto__']) {
      expect(await codeOf(other.breakers.forceOpen({ provider }))).toBe('PROVIDER_UNKNOWN')
      expect(await codeOf(other.breakers.reset({ provider }))).toBe('PROVIDER_UNKNOWN')
    }
  })
})
