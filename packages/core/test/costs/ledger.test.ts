import { usd } from '@keelson/core'
import { callTool, cut, fail, say } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { agentOf, askingTool, databaseFile } from '../durability/scene.ts'
import { price, shop, used, window } from './shop.ts'

describe('the ledger', () => {
  test('has one row per model call, with disjoint tokens, cost and the price it was made of', async () => {
    const { client } = shop([
      [callTool('look', { note: 'x' }), used({ input: 100, cacheRead: 50, cacheWrite: 7, output: 20, reasoning: 3 })],
      [say('Done.'), used({ input: 200, output: 10 })],
    ])
    const { turn, cost, session } = await client.run('clerk', { message: 'Look', schedule: 'nightly' }).result
    const entries = await client.costs.entries({ ...window, turn })
    expect(entries).toMatchObject([
      { step: 2, usage: { input: 200, cacheRead: 0, cacheWrite: 0, output: 10, reasoning: 0 }, cost: 300_000 },
      {
        tenant: 'default',
        subject: 'owner',
        session,
        turn,
        step: 1,
        agent: 'clerk',
        schedule: 'nightly',
        model: 'test/one',
        provider: 'test',
        usage: { input: 100, cacheRead: 50, cacheWrite: 7, output: 20, reasoning: 3 },
        cost: 100 * 1_000 + 50 * 100 + 7 * 1_250 + 23 * 10_000,
        priceSource: 'registration',
        price: 'input 1000, cacheRead 100, cacheWrite 1250, output 10000, reasoning 10000',
        outcome: 'settled',
      },
    ])
    expect(cost).toBe(entries.reduce((sum, entry) => sum + (entry.cost ?? 0), 0))
  })

  test('says so when a price is unknown, and the cost of such a turn is unknown', async () => {
    const { client } = shop([say('Done.')], { price: null })
    const { cost } = await client.run('clerk', { message: 'Hi' }).result
    expect(cost).toBeNull()
    expect(await client.costs.entries(window)).toMatchObject([
      { cost: null, priceSource: 'unknown', price: null, priceAt: null, outcome: 'settled' },
    ])
    const hour = { from: Date.now() - 3_600_000, to: Date.now() + 3_600_000 }
    expect(await client.costs.report(hour)).toMatchObject([{ calls: 1, unknownPriceCalls: 1, cost: 0n }])
  })

  test('counts a price of zero as known', async () => {
    const { client } = shop([say('Done.')], { price: { input: 0, output: 0 } })
    expect((await client.run('clerk', { message: 'Hi' }).result).cost).toBe(0)
    expect(await client.costs.entries(window)).toMatchObject([{ cost: 0, priceSource: 'registration' }])
  })

  test('keeps what each row was priced by when the price changes in the middle of a turn', async () => {
    const file = databaseFile()
    const { tool } = askingTool()
    const agents = [agentOf([tool])]
    const first = shop([callTool('pay', { note: 'x' })], { store: sqliteStore(file), agents })
    const { turn, approvals } = await first.client.run('clerk', { message: 'Pay' }).result
    await first.runtime.stop()
    const second = shop([say('Paid.')], { store: sqliteStore(file), agents, price: { input: 2_000, output: 3_000 } })
    await second.client.approvals.decide({ id: approvals[0]?.id ?? '', decision: 'approve' })
    const { cost } = await second.client.attach(turn).result
    expect(cost).toBe(10 * 1_000 + 5 * 10_000 + 10 * 2_000 + 5 * 3_000)
    const entries = await second.client.costs.entries({ ...window, turn })
    expect(entries.map(({ cost: one, price: by }) => [one, by?.slice(0, 10)])).toEqual([
      [35_000, 'input 2000'],
      [60_000, 'input 1000'],
    ])
  })

  test('has a row for a stream that was cut after it had said something, and none for a call that said nothing', async () => {
    const { client } = shop([[say('Half an ans'), cut()], fail('overload'), say('Whole.')], {
      limits: { attempts: 3, backoffMs: 0 },
    })
    const { turn, usage, cost } = await client.run('clerk', { message: 'Hi' }).result
    const entries = await client.costs.entries({ ...window, turn })
    expect(entries.map(({ outcome }) => outcome).toSorted()).toEqual(['estimated', 'settled'])
    const lost = entries.find(({ outcome }) => outcome === 'estimated')
    expect(lost?.usage.output).toBe(Math.ceil('Half an ans'.length / 4))
    expect(usage).toMatchObject({ input: 10, output: 5 })
    expect(cost).toBe(60_000 + (lost?.cost ?? 0))
  })

  test.each<[string, unknown]>([
    ['nothing', { input: 0, output: 0 }],
    ['a negative count', { input: -10, output: 5 }],
    ['a fraction', { input: 10.5, output: 5 }],
    ['not a number', { input: Number.NaN, output: 5 }],
    ['more than any context window', { input: 10, output: 10 ** 15 }],
    ['a text', { input: '10', output: 5 }],
    ['null', { input: null, output: 5 }],
  ])('estimates what a provider counts as %s', async (_, usage) => {
    const { client } = shop([[say('An answer of some length.'), used(usage as object)]])
    const result = await client.run('clerk', { message: 'Hi' }).result
    expect(result).toMatchObject({ status: 'completed', text: 'An answer of some length.' })
    expect(result.usage.output).toBe(Math.ceil('An answer of some length.'.length / 4))
    expect(result.usage.input).toBeGreaterThan(0)
    const [entry] = await client.costs.entries(window)
    expect(entry).toMatchObject({ outcome: 'estimated', usage: result.usage, cost: result.cost })
    expect(entry?.cost).toBeGreaterThan(0)
  })

  test('has the calls outside of turns', async () => {
    const { client } = shop([[say('A title'), used({ input: 20, output: 2 })]])
    const asked = { models: ['test/one'], instructions: 'Name it', prompt: 'It', maxOutputTokens: 20 }
    expect(await client.models.complete(asked)).toMatchObject({ text: 'A title', usage: { input: 20, output: 2 } })
    expect(await client.costs.entries(window)).toMatchObject([
      { turn: null, session: null, agent: null, step: 0, cost: 40_000, outcome: 'settled' },
    ])
  })

  test('is shown within the caller’s reach', async () => {
    const { runtime, client } = shop([say('1'), say('2'), say('3')])
    const as = (subject: string, tenant = 'default') =>
      runtime.as({ tenant, subject, roles: [], via: 'code', ambient: false })
    await as('ada').run('clerk', { message: 'Hi' }).result
    await as('bob').run('clerk', { message: 'Hi' }).result
    await as('ada', 'other').run('clerk', { message: 'Hi' }).result
    const hour = { from: Date.now() - 3_600_000, to: Date.now() + 3_600_000 }
    expect((await client.costs.entries(window)).map(({ subject }) => subject).toSorted()).toEqual(['ada', 'bob'])
    expect(await as('ada').costs.entries(window)).toMatchObject([{ subject: 'ada', tenant: 'default' }])
    expect(await client.costs.report({ ...hour, groupBy: ['subject'] })).toMatchObject([
      { subject: 'ada', calls: 1 },
      { subject: 'bob', calls: 1 },
    ])
    expect(await as('bob').costs.report(hour)).toMatchObject([{ calls: 1, cost: 60_000n }])
    expect(await as('eve').costs.report(hour)).toEqual([])
  })
})

test('dollars are turned into pico-dollars exactly', () => {
  expect(usd('0.01')).toBe(10_000_000_000n)
  expect(usd(12.5)).toBe(12_500_000_000_000n)
  expect(usd('123456789.000000000001')).toBe(123_456_789_000_000_000_001n)
  for (const wrong of ['-1', '1e3', '', '0.0000000000001', 'NaN']) expect(() => usd(wrong)).toThrow('decimal number')
})

test.each([{ input: -1 }, { output: Number.NaN }, { cacheRead: Number.POSITIVE_INFINITY }, { cacheWrite: -0.5 }])(
  'a registration with the price %o is refused when the runtime is made',
  (wrong) => {
    expect(() => shop([], { price: { ...price, ...wrong } })).toThrow('pico-dollars per token, 0 or more')
  },
)
