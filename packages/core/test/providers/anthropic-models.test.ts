import { calcPrice } from '@pydantic/genai-prices'
import { describe, expect, it } from 'vitest'
import { costOf } from '../../src/capabilities/models/index.ts'
import { anthropic } from '../../src/providers/anthropic.ts'

const models = anthropic().models ?? []

describe('the models that are known', () => {
  it('have room for more than they say', () => {
    expect(models.length).toBeGreaterThan(4)
    for (const { contextTokens = 0, maxOutputTokens = 0 } of models)
      expect(contextTokens).toBeGreaterThan(maxOutputTokens)
  })

  it.each(models.filter(({ price }) => price).map(({ name, price }) => [name, price] as const))(
    'cost what the published prices say: %s',
    (name, price) => {
      const usage = { input: 1_000, cacheRead: 20_000, cacheWrite: 3_000, output: 400, reasoning: 50 }
      const published = calcPrice(
        {
          input_tokens: usage.input + usage.cacheRead + usage.cacheWrite,
          cache_read_tokens: usage.cacheRead,
          cache_write_tokens: usage.cacheWrite,
          output_tokens: usage.output + usage.reasoning,
        },
        name,
        { providerId: 'anthropic' },
      )
      expect((costOf(usage, price ?? null) ?? 0) / 1e12).toBeCloseTo(published?.total_price ?? -1, 9)
    },
  )

  it('pay twice the price of input for an entry of the cache that lives for an hour', () => {
    const long = anthropic({ cache: '1h' }).models ?? []
    for (const { price } of long) expect(price?.cacheWrite).toBe(price && price.input * 2)
  })

  it('give way to those of the host', () => {
    expect(anthropic({ models: [{ name: 'mine' }] }).models).toEqual([{ name: 'mine' }])
  })
})
