import { createRuntime, type PriceSource, type Rate, type RateCard, singleOwner } from '@keelson/core'
import { genaiPrices } from '@keelson/core/prices/genai'
import { finish, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { calcPrice } from '@pydantic/genai-prices'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { agentOf } from '../durability/scene.ts'

const at = Date.UTC(2026, 10, 22, 12)

/** Which model at which provider, and how much it is asked: around the edges of tiers, with and without a cache. */
const models = [
  ['openai', 'gpt-5-mini'],
  ['openai', 'gpt-4o'],
  ['openai', 'o3'],
  ['anthropic', 'claude-sonnet-4-5'],
  ['anthropic', 'claude-3-5-haiku-latest'],
  ['google', 'gemini-2.5-pro'],
  ['google', 'gemini-2.5-flash'],
  ['deepseek', 'deepseek-chat'],
  ['mistral', 'mistral-large-latest'],
] as const
const usages = [
  { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 },
  { input: 1, cacheRead: 0, cacheWrite: 0, output: 1, reasoning: 0 },
  { input: 1_234, cacheRead: 567, cacheWrite: 89, output: 321, reasoning: 45 },
  { input: 200_000, cacheRead: 0, cacheWrite: 0, output: 7, reasoning: 0 },
  { input: 199_999, cacheRead: 1, cacheWrite: 1, output: 7, reasoning: 3 },
  { input: 10, cacheRead: 900_000, cacheWrite: 11, output: 64_000, reasoning: 1_000 },
]

let prices: PriceSource
beforeAll(async () => {
  prices = genaiPrices()
  await prices.load()
})

/** A runtime whose model is called as the price data call it. */
function shop(provider: string, name: string, usage: object, source = prices) {
  const model = scriptedModel([[say('Hi'), finish({ usage })]], { id: provider })
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [model],
    agents: [agentOf([], { models: [`${provider}/${name}`] })],
    prices: source,
    clock: { now: () => at, after: () => () => {} },
  })
  onTestFinished(() => runtime.stop())
  return runtime.as(singleOwner('code'))
}

describe.each(models)('%s/%s', (provider, name) => {
  test.each(usages)('costs what the price data say: %o', async (usage) => {
    const { input, cacheRead, cacheWrite, output, reasoning } = usage
    const golden = calcPrice(
      {
        input_tokens: input + cacheRead + cacheWrite,
        cache_read_tokens: cacheRead,
        cache_write_tokens: cacheWrite,
        output_tokens: output + reasoning,
        output_reasoning_tokens: reasoning,
      },
      name,
      { providerId: provider, timestamp: new Date(at) },
    )
    if (!golden) throw new Error('the model is not among the price data any more')
    if (input === 0) {
      expect(golden.total_price).toBe(0)
      return
    }
    const { cost } = await shop(provider, name, usage).run('clerk', { message: 'Hi' }).result
    // Theirs is a floating-point number of dollars, ours whole pico-dollars.
    expect(Math.abs((cost ?? Number.NaN) - golden.total_price * 1e12)).toBeLessThan(
      1 + golden.total_price * 1e12 * 1e-9,
    )
  })
})

test('a row names the data and their version', async () => {
  const client = shop('openai', 'gpt-5-mini', { input: 100, output: 10 })
  await client.run('clerk', { message: 'Hi' }).result
  expect(await client.costs.entries({ limit: 1, offset: 0 })).toMatchObject([
    {
      cost: 100 * 250_000 + 10 * 2_000_000,
      priceSource: expect.stringMatching(/^genai-prices@\d+\.\d+\.\d+$/),
      price: 'input 250000, cacheRead 25000, cacheWrite 250000, output 2000000, reasoning 2000000',
      priceAt: at,
    },
  ])
})

test('a card has the tiers of the data, and is made once', () => {
  const model = { provider: 'anthropic', name: 'claude-sonnet-4-5' }
  const card = prices.card(model, at) as RateCard
  const tiered: Rate = { base: 3_000_000, tiers: [{ over: 200_000, rate: 6_000_000 }] }
  expect(card.rates.input).toEqual(tiered)
  expect(prices.card(model, at + 1)).toBe(card)
})

test('prices change with the date from which they hold', () => {
  const model = { provider: 'anthropic', name: 'claude-opus-4-6' }
  const before = prices.card(model, Date.UTC(2026, 2, 12))
  const after = prices.card(model, Date.UTC(2026, 2, 14))
  expect(before?.price).not.toBe(after?.price)
})

test('a model that is not among the data has no price, and a registration comes first', async () => {
  expect(prices.card({ provider: 'ollama', name: 'no-such-model' }, at)).toBeNull()
  expect(prices.card({ provider: 'no-such-provider', name: 'gpt-5-mini' }, at)).toBeNull()
  const renamed = genaiPrices({ providers: { main: 'openai' } })
  await renamed.load()
  expect(renamed.card({ provider: 'main', name: 'gpt-5-mini' }, at)).not.toBeNull()
  const model = scriptedModel([say('Hi')], {
    id: 'openai',
    models: [{ name: 'gpt-5-mini', price: { input: 7, output: 0 } }],
  })
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [model],
    agents: [agentOf([], { models: ['openai/gpt-5-mini'] })],
    prices,
  })
  onTestFinished(() => runtime.stop())
  expect((await runtime.as(singleOwner('code')).run('clerk', { message: 'Hi' }).result).cost).toBe(70)
})
