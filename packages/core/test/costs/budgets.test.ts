import {
  type BudgetCrossing,
  type BudgetDefinition,
  type Client,
  createRuntime,
  type ModelPrice,
  type Principal,
  type RuntimeOptions,
  singleOwner,
  usd,
} from '@keelson/core'
import {
  callTool,
  cut,
  fail,
  finish,
  hang,
  type ScriptStep,
  say,
  scriptedModel,
  virtualClock,
} from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { agentOf, askingTool, databaseFile, followed, gate, noteTool, typesOf, until } from '../durability/scene.ts'

/** One pico-dollar per input token, 1,000 per output token. */
const price: ModelPrice = { input: 1, output: 1_000 }
/** A call reserves this for its answer, and a little more for the bytes it sends. */
const answerTokens = 100
const perCall = answerTokens * 1_000
const window = { limit: 1_000, offset: 0 }

interface ShopOptions extends Partial<RuntimeOptions> {
  readonly price?: ModelPrice | null
  readonly otherwise?: ScriptStep
}

function shop(steps: readonly ScriptStep[], { price: own = price, otherwise, ...rest }: ShopOptions = {}) {
  const crossings: BudgetCrossing[] = []
  const model = scriptedModel(steps, {
    id: 'test',
    models: [
      { name: 'one', maxOutputTokens: answerTokens, ...(own === null ? {} : { price: own }) },
      { name: 'two', maxOutputTokens: answerTokens, price: { input: 1, output: 10 } },
    ],
    ...(otherwise === undefined ? {} : { otherwise }),
  })
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [model],
    agents: [agentOf([noteTool('look', () => 'seen', { risk: 'safe' })])],
    limits: { backoffMs: 0, attempts: 2 },
    stopMs: 0,
    onBudget: (crossing) => crossings.push(crossing),
    ...rest,
  })
  onTestFinished(() => runtime.stop())
  const as = (subject: string, more: Partial<Principal> = {}) =>
    runtime.as({ tenant: 'default', subject, roles: [], via: 'code', ambient: false, ...more })
  return { runtime, model, client: runtime.as(singleOwner('code')), crossings, as }
}

const daily = (amount: number | bigint, more: Partial<BudgetDefinition> = {}): BudgetDefinition => ({
  id: 'daily',
  scope: 'tenant',
  period: 'day',
  amount,
  ...more,
})

const used = (output: number) => finish({ usage: { input: 0, output } })
const stateOf = async (client: Client) => (await client.costs.budgets())[0]

const ended = async (client: Client, message = 'Hi', session?: string) => {
  const { turn } = await client.run('clerk', { message, ...(session === undefined ? {} : { session }) }).outcome
  return await client.sessions.turn({ id: turn })
}

describe('a budget', () => {
  test('is charged what a call cost, and holds nothing back afterwards', async () => {
    const { client } = shop([[say('Hello'), used(7)]], { budgets: [daily(1_000_000)] })
    expect(await ended(client)).toMatchObject({ status: 'completed', cost: 7_000 })
    expect(await stateOf(client)).toMatchObject({
      id: 'daily',
      value: 'default',
      limit: 1_000_000n,
      spent: 7_000n,
      reserved: 0n,
      remaining: 993_000n,
    })
  })

  test('holds back what a running call may cost at most', async () => {
    const { client, model } = shop([[say('So far'), hang()]], { budgets: [daily(1_000_000)] })
    const turn = client.run('clerk', { message: 'Hi' })
    await turn.accepted
    await until(() => model.calls.length === 1)
    const state = await stateOf(client)
    expect(state?.spent).toBe(0n)
    expect(state?.reserved).toBeGreaterThanOrEqual(BigInt(perCall))
    expect(state?.reserved).toBeLessThan(BigInt(perCall + 1_000))
  })

  test('that has no room fails the turn before the model is called, and says which and until when', async () => {
    const clock = virtualClock(Date.UTC(2026, 10, 22, 15, 30))
    const { client, model } = shop([[say('Hello'), used(100)]], { budgets: [daily(perCall * 1.5)], clock })
    const { session, status } = await ended(client)
    expect(status).toBe('completed')
    const refused = await ended(client, 'Again', session)
    expect(refused).toMatchObject({
      status: 'failed',
      cost: null,
      error: {
        code: 'BUDGET_EXHAUSTED',
        message: 'the budget "daily" has no room for this call; its window ends at 2026-11-23T00:00:00.000Z',
      },
    })
    expect(model.calls).toHaveLength(1)
    const events = await followed(client, refused.id)
    expect(events.at(-1)).toMatchObject({ type: 'turn.failed', error: { code: 'BUDGET_EXHAUSTED' } })
    expect(typesOf(events)).not.toContain('text.delta')
    expect(await stateOf(client)).toMatchObject({ spent: 100_000n, reserved: 0n })
  })

  test('that is used up refuses a turn as it is accepted, and nothing is stored', async () => {
    const clock = virtualClock(Date.UTC(2026, 10, 22, 23))
    const { client } = shop([[say('Hello'), used(200)]], { budgets: [daily(200_000)], clock })
    await ended(client)
    await expect(client.run('clerk', { message: 'Again' }).accepted).rejects.toMatchObject({
      code: 'BUDGET_EXHAUSTED',
      kind: 'rate_limited',
      retryAfterMs: 3_600_000,
      details: { budget: 'daily', value: 'default', windowEnd: Date.UTC(2026, 10, 23) },
    })
    expect(await client.sessions.list({ limit: 10, offset: 0 })).toHaveLength(1)
  })

  test('of one call more is enough for exactly that', async () => {
    const { client, model } = shop([], { budgets: [daily(usd('0.000001'))], otherwise: [say('Hi'), used(90)] })
    let completed = 0
    for (;;) {
      const turn = await ended(client).catch(() => null)
      if (turn?.status !== 'completed') break
      completed += 1
    }
    expect(completed).toBe(10)
    expect(model.calls).toHaveLength(10)
    expect(await stateOf(client)).toMatchObject({ spent: 900_000n, reserved: 0n })
  })

  test('of 10 calls lets 10 of 50 turns through that come at once', async () => {
    const { client, model } = shop([], { budgets: [daily(perCall * 10 + 9_000)], otherwise: [say('Hi'), used(100)] })
    const all = await Promise.allSettled(Array.from({ length: 50 }, (_, index) => ended(client, `Hi ${index}`)))
    const statuses = all.map((one) => (one.status === 'fulfilled' ? one.value.status : 'refused'))
    expect(statuses.filter((status) => status === 'completed')).toHaveLength(10)
    expect(model.calls).toHaveLength(10)
    expect(await stateOf(client)).toMatchObject({ spent: 1_000_000n, reserved: 0n })
  })

  test('goes on in its next window, and a clock that goes back finds the old one as it was', async () => {
    const clock = virtualClock(Date.UTC(2026, 10, 22, 23, 59))
    const { client } = shop([], { budgets: [daily(perCall * 1.5)], clock, otherwise: [say('Hi'), used(100)] })
    expect(await ended(client)).toMatchObject({ status: 'completed' })
    expect(await ended(client)).toMatchObject({ status: 'failed' })
    clock.shift(120_000)
    expect(await ended(client)).toMatchObject({ status: 'completed' })
    expect(await stateOf(client)).toMatchObject({ spent: 100_000n, windowStart: Date.UTC(2026, 10, 23) })
    clock.shift(-120_000)
    expect(await ended(client)).toMatchObject({ status: 'failed' })
    expect(await stateOf(client)).toMatchObject({ spent: 100_000n, windowStart: Date.UTC(2026, 10, 22) })
  })

  test('settles a call that runs over the end of its window in the window it began in', async () => {
    const clock = virtualClock(Date.UTC(2026, 10, 22, 23, 59))
    const { passed, open } = gate()
    const model = scriptedModel([], { id: 'test', otherwise: [say('Hi'), used(100)] })
    const slow = {
      ...model,
      models: [{ name: 'one', maxOutputTokens: answerTokens, price }],
      async *stream(...call: Parameters<typeof model.stream>) {
        await passed
        yield* model.stream(...call)
      },
    }
    const { client } = shop([], { budgets: [daily(perCall * 3)], clock, providers: [slow] })
    const turn = client.run('clerk', { message: 'Hi' })
    await turn.accepted
    clock.shift(120_000)
    open()
    await turn.result
    expect(await stateOf(client)).toMatchObject({ spent: 0n, reserved: 0n })
    clock.shift(-120_000)
    expect(await stateOf(client)).toMatchObject({ spent: 100_000n, reserved: 0n })
  })

  test('reserves anew for every attempt, releases what said nothing, and charges a cut answer in full', async () => {
    const { client } = shop([fail('overload'), say('Whole')], { budgets: [daily(10_000_000)] })
    expect(await ended(client)).toMatchObject({ cost: 5_010 })
    expect(await stateOf(client)).toMatchObject({ spent: 5_010n, reserved: 0n })

    const cutting = shop([[say('Half'), cut()], say('Whole')], { budgets: [daily(10_000_000)] })
    const { cost, id } = await ended(cutting.client)
    expect(cost).toBeGreaterThanOrEqual(perCall + 5_010)
    expect(await stateOf(cutting.client)).toMatchObject({ spent: BigInt(cost ?? 0), reserved: 0n })
    const entries = await cutting.client.costs.entries({ ...window, turn: id })
    expect(entries.map(({ outcome }) => outcome).toSorted()).toEqual(['at-reservation', 'settled'])
  })

  test('has room for a fail-over only after what failed was released', async () => {
    const { client, model } = shop([fail('auth'), [say('From the other'), used(1)]], {
      budgets: [daily(perCall + 10_000)],
      agents: [agentOf([], { models: ['test/one', 'test/two'] })],
    })
    expect(await ended(client)).toMatchObject({ status: 'completed', model: 'test/two', cost: 10 })
    expect(model.calls.map((call) => call.model)).toEqual(['one', 'two'])
    expect(await stateOf(client)).toMatchObject({ spent: 10n, reserved: 0n })
  })

  test('stops a turn between its steps', async () => {
    const { client, model } = shop([[callTool('look', { note: 'x' }), used(100)], say('Never said')], {
      budgets: [daily(perCall * 1.5)],
    })
    expect(await ended(client)).toMatchObject({
      status: 'failed',
      steps: 1,
      cost: 100_000,
      error: { code: 'BUDGET_EXHAUSTED' },
    })
    expect(model.calls).toHaveLength(1)
    expect(await stateOf(client)).toMatchObject({ spent: 100_000n, reserved: 0n })
  })

  test('holds nothing back while a turn waits for an approval', async () => {
    const { tool } = askingTool()
    const { client } = shop([callTool('pay', { note: 'x' }), say('Paid')], {
      budgets: [daily(10_000_000)],
      agents: [agentOf([tool])],
    })
    const { status, approvals, turn } = await client.run('clerk', { message: 'Pay' }).result
    expect(status).toBe('waiting')
    expect(await stateOf(client)).toMatchObject({ spent: 5_010n, reserved: 0n })
    await client.approvals.decide({ id: approvals[0]?.id ?? '', decision: 'approve' })
    await client.attach(turn).result
    expect(await stateOf(client)).toMatchObject({ spent: 10_020n, reserved: 0n })
  })

  test('has no call made for a turn that is cancelled while money is set aside for it', async () => {
    const [asked, held] = [gate(), gate()]
    const inner = sqliteStore(':memory:')
    const reserve: typeof inner.loop.reserve = async (...input) => {
      asked.open()
      await held.passed
      return await inner.loop.reserve(...input)
    }
    const loop = new Proxy(inner.loop, { get: (port, key) => (key === 'reserve' ? reserve : Reflect.get(port, key)) })
    const { client, model } = shop([[say('Hello'), used(7)]], {
      store: { ...inner, exclusive: inner.exclusive, loop },
      budgets: [daily(1_000_000)],
    })
    const { session } = await ended(client)
    const turn = client.run('clerk', { message: 'Again', session })
    await asked.passed
    await client.turns.cancel({ id: (await turn.accepted).id })
    held.open()
    expect((await turn.outcome).status).toBe('cancelled')
    expect(model.calls).toHaveLength(1)
    expect(await stateOf(client)).toMatchObject({ spent: 7_000n, reserved: 0n })
  })

  test('charges a cancelled call that had said something in full, and releases one that had not', async () => {
    const { client } = shop([[say('So far'), hang()], hang()], { budgets: [daily(10_000_000)] })
    const first = client.run('clerk', { message: 'Hi' })
    for await (const event of first) if (event.type === 'text.delta') break
    await client.turns.cancel({ id: (await first.accepted).id })
    await first.outcome
    const spent = (await stateOf(client))?.spent ?? 0n
    expect(spent).toBeGreaterThanOrEqual(BigInt(perCall))
    const second = client.run('clerk', { message: 'Hi' })
    for await (const event of second) if (event.type === 'step.started') break
    await client.turns.cancel({ id: (await second.accepted).id })
    await second.outcome
    expect(await stateOf(client)).toMatchObject({ spent, reserved: 0n })
  })

  test('charges the reservation when the provider counts nothing that can be believed', async () => {
    for (const usage of [{ input: 0, output: 0 }, { input: -5, output: -7 }, { output: 10 ** 15 }, { output: 0.5 }]) {
      const { client } = shop([[say('An answer'), finish({ usage })]], { budgets: [daily(10_000_000)] })
      const { cost, status } = await ended(client)
      expect(status).toBe('completed')
      expect(cost).toBeGreaterThanOrEqual(perCall)
      expect(await stateOf(client)).toMatchObject({ spent: BigInt(cost ?? 0), reserved: 0n })
      expect(await client.costs.entries(window)).toMatchObject([{ outcome: 'at-reservation', cost }])
    }
  })

  test('is closed to a model whose price is unknown, unless it says otherwise', async () => {
    const closed = shop([say('Never said')], { price: null, budgets: [daily(10_000_000)] })
    expect(await ended(closed.client)).toMatchObject({ status: 'failed', error: { code: 'BUDGET_PRICE_UNKNOWN' } })
    expect(closed.model.calls).toHaveLength(0)
    const open = shop([say('Said')], { price: null, budgets: [daily(10_000_000, { unknownPrice: 'allow' })] })
    expect(await ended(open.client)).toMatchObject({ status: 'completed', cost: null })
    expect(await stateOf(open.client)).toMatchObject({ spent: 0n, reserved: 0n })
  })

  test('lets a model through that costs nothing, although nothing is left', async () => {
    const { client } = shop([say('Said')], { price: { input: 0, output: 0 }, budgets: [daily(0)] })
    expect(await ended(client)).toMatchObject({ status: 'completed', cost: 0 })
  })

  test('limits the calls outside of turns', async () => {
    const { client, model } = shop([[say('One'), used(100)]], { budgets: [daily(perCall * 1.5)] })
    const asked = { models: ['test/one'], instructions: 'Name it', prompt: 'It', maxOutputTokens: 100 }
    await client.models.complete(asked)
    expect(await stateOf(client)).toMatchObject({ spent: 100_000n, reserved: 0n })
    await expect(client.models.complete(asked)).rejects.toMatchObject({ code: 'BUDGET_EXHAUSTED' })
    expect(model.calls).toHaveLength(1)
  })

  test('settles at the reservation what a stopped process was doing, when the turn goes on', async () => {
    const file = databaseFile()
    const first = shop([[say('So far'), hang()]], { store: sqliteStore(file), budgets: [daily(10_000_000)] })
    const turn = first.client.run('clerk', { message: 'Hi' })
    for await (const event of turn) if (event.type === 'text.delta') break
    const { id } = await turn.accepted
    await first.runtime.stop()
    const second = shop([[say('Again'), used(1)]], { store: sqliteStore(file), budgets: [daily(10_000_000)] })
    const { cost } = await second.client.attach(id).result
    const entries = await second.client.costs.entries({ ...window, turn: id })
    expect(entries.map(({ outcome }) => outcome).toSorted()).toEqual(['at-reservation', 'settled'])
    expect(cost).toBe(entries.reduce((sum, entry) => sum + (entry.cost ?? 0), 0))
    expect(await stateOf(second.client)).toMatchObject({ spent: BigInt(cost ?? 0), reserved: 0n })
  })
})

describe('thresholds', () => {
  test('are told of once each, in order', async () => {
    const { client, crossings } = shop([], {
      budgets: [daily(1_000_000, { thresholds: [80, 50, 90] })],
      otherwise: [say('Hi'), used(45)],
    })
    const told: number[][] = []
    for (let turn = 0; turn < 20; turn += 1) {
      await ended(client)
      told.push(crossings.splice(0).map(({ percent }) => percent))
    }
    expect(told.flat()).toEqual([50, 80, 90])
    expect(told[11]).toEqual([50])
    expect(await stateOf(client)).toMatchObject({ crossed: [50, 80, 90], spent: 900_000n })
  })
})

describe('a scope', () => {
  test.each<[BudgetDefinition['scope'], string]>([
    ['tenant', 'default'],
    ['subject', 'ada'],
    ['agent', 'clerk'],
    ['model', 'test/one'],
    ['schedule', 'nightly'],
  ])('of %s counts the calls of that %s', async (scope, value) => {
    const { as, client } = shop([[say('Hi'), used(3)]], {
      budgets: [{ id: 'b', scope, period: 'month', amount: 10_000_000 }],
    })
    await as('ada').run('clerk', { message: 'Hi', schedule: 'nightly' }).result
    expect(await client.costs.budgets()).toMatchObject([{ scope, value, spent: 3_000n }])
  })

  test('of session gives each session a budget of its own', async () => {
    const { client } = shop([], {
      budgets: [{ id: 'b', scope: 'session', period: 'total', amount: perCall * 1.5 }],
      otherwise: [say('Hi'), used(100)],
    })
    const one = await ended(client)
    const two = await ended(client)
    expect([one.status, two.status]).toEqual(['completed', 'completed'])
    expect(await ended(client, 'More', one.session)).toMatchObject({ status: 'failed' })
    const states = await client.costs.budgets()
    expect(states.map(({ value }) => value).toSorted()).toEqual([one.session, two.session].toSorted())
    expect(states[0]).toMatchObject({ windowEnd: null })
  })

  test('is limited by all budgets at once: the tightest decides, and the others keep nothing', async () => {
    const { as, client } = shop([], {
      budgets: [
        { id: 'all', scope: 'tenant', period: 'total', amount: perCall * 100 },
        { id: 'each', scope: 'subject', period: 'total', amount: perCall * 1.5 },
        { id: 'eve', scope: 'subject', only: 'eve', period: 'total', amount: 0 },
      ],
      otherwise: [say('Hi'), used(100)],
    })
    expect(await ended(as('ada'))).toMatchObject({ status: 'completed' })
    expect(await ended(as('ada'))).toMatchObject({ status: 'failed' })
    expect(await ended(as('bob'))).toMatchObject({ status: 'completed' })
    await expect(as('eve').run('clerk', { message: 'Hi' }).accepted).rejects.toMatchObject({
      details: { budget: 'eve' },
    })
    const all = (await client.costs.budgets()).find(({ id }) => id === 'all')
    expect(all).toMatchObject({ spent: 200_000n, reserved: 0n })
    expect(await as('bob').costs.budgets()).toMatchObject([{ id: 'each', value: 'bob', spent: 100_000n }])
  })
})

test.each<[Partial<BudgetDefinition>, string]>([
  [{ id: '' }, 'needs an id'],
  [{ amount: -1 }, 'amount'],
  [{ amount: 0.5 }, 'amount'],
  [{ amount: 1e30 }, 'amount'],
  [{ scope: 'planet' as never }, 'scope'],
  [{ period: 'week' as never }, 'period'],
  [{ thresholds: [0] }, 'threshold'],
  [{ unknownPrice: 'perhaps' as never }, 'unknown prices'],
])('a budget %o is refused when the runtime is made', (wrong, told) => {
  expect(() => shop([], { budgets: [daily(1, wrong)] })).toThrow(told)
})
