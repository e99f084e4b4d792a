import { calcPrice } from '@pydantic/genai-prices'
import { describe, expect, it } from 'vitest'
import { costOf, createPrices } from '../../src/capabilities/costs/rate-card.ts'
import { modelOf } from '../../src/capabilities/models/model.ts'
import { type AnthropicOptions, anthropic } from '../../src/providers/anthropic.ts'
import { json, withServer } from './hand-made.ts'

const providerOf = (options: AnthropicOptions = {}) => anthropic({ apiKey: 'sk-ant-kit', ...options })
const models = providerOf().models ?? []

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
      const model = modelOf(`anthropic/${name}`, name, providerOf(), { name, ...(price && { price }) })
      const card = createPrices(null, () => 0).card(model, 0)
      expect((card ? costOf(usage, card) : 0) / 1e12).toBeCloseTo(published?.total_price ?? -1, 9)
    },
  )

  it('pay twice the price of input for an entry of the cache that lives for an hour', () => {
    const long = providerOf({ cache: '1h' }).models ?? []
    for (const { price } of long) expect(price?.cacheWrite).toBe(price && price.input * 2)
  })

  it('are replaced or joined by those of the host', () => {
    const [known] = models
    const made =
      providerOf({ models: [{ name: 'mine' }, { name: known?.name ?? '', maxOutputTokens: 5 }] }).models ?? []
    expect(made).toContainEqual({ name: 'mine' })
    expect(made).toContainEqual({ ...known, maxOutputTokens: 5 })
    expect(made).toHaveLength(models.length + 1)
  })
})

describe('the models that the vendor lists', () => {
  const listed = (id: string, more: object = {}) => ({ type: 'model', id, display_name: id, ...more })
  const never = new AbortController().signal

  it('are found on all pages, with what is said of them', () =>
    withServer(
      (response, _, path) => {
        const second = path.includes('after_id=b')
        const able = { image_input: { supported: false }, structured_outputs: { supported: true } }
        const data = second
          ? [listed('c', { max_input_tokens: 'many', capabilities: null })]
          : [listed('a', { max_input_tokens: 1_000, max_tokens: 100, capabilities: able }), listed('b'), 7]
        json(response, 200, { data, has_more: !second, last_id: second ? 'c' : 'b' })
      },
      async ({ url, requests }) => {
        expect(await providerOf({ baseURL: url }).discover?.(never)).toEqual([
          { name: 'a', contextTokens: 1_000, maxOutputTokens: 100, vision: false, structuredOutput: true },
          { name: 'b' },
          { name: 'c' },
        ])
        expect(requests.map(({ path }) => path.split('?')[0])).toEqual(['/v1/models', '/v1/models'])
      },
    ))

  it('end, even if the server goes on for ever', () => {
    let asked = 0
    return withServer(
      (response) => {
        asked += 1
        json(response, 200, { data: [listed(`m${asked}`)], has_more: true, last_id: `m${asked}` })
      },
      async ({ url }) => {
        expect((await providerOf({ baseURL: url }).discover?.(never))?.length).toBeLessThan(100)
      },
    )
  })

  it('are not found with the wrong key', () =>
    withServer(
      (response) =>
        json(response, 401, { type: 'error', error: { type: 'authentication_error', message: 'sk-ant-kit?' } }),
      async ({ url }) => {
        const found = providerOf({ baseURL: url }).discover?.(never)
        await expect(found).rejects.toMatchObject({ failure: 'auth', message: '[hidden]?' })
      },
    ))

  it('are not found in a page of a proxy', () =>
    withServer(
      (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      async ({ url }) => {
        await expect(providerOf({ baseURL: url }).discover?.(never)).rejects.toMatchObject({ failure: 'malformed' })
      },
    ))
})
