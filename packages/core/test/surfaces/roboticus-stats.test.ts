import { createRuntime, type Principal } from '@keelson/core'
import { callTool, finish, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { apiKey, assistant, modelName, roboticusServer, serve, sqliteTime, uuid } from './roboticus-server.ts'

const price = { input: 2_000_000, output: 8_000_000, cacheRead: 200_000 }

/** A server whose model has a price. */
async function shop(options: { readonly budget?: number; readonly users?: Record<string, Principal> } = {}) {
  const { budget, users } = options
  const model = scriptedModel([], {
    id: 'openai',
    models: [{ name: 'gpt-5-mini', maxOutputTokens: 100, price }],
    otherwise: [
      say('Hello.'),
      finish({ usage: { input: 100, cacheRead: 40, cacheWrite: 3, output: 20, reasoning: 7 } }),
    ],
  })
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [model],
    agents: [assistant({ models: [modelName] })],
    ...(budget === undefined ? {} : { budgets: [{ id: 'daily', scope: 'tenant', period: 'day', amount: budget }] }),
  })
  await runtime.start()
  return { ...(await serve(runtime, { apiKey }, users)), model }
}

describe('GET /api/stats/costs', () => {
  test('has one row per model call, newest first, with its tokens and its price in dollars', async () => {
    await using server = await shop()
    expect((await server.ask('GET', '/api/stats/costs')).json).toEqual({ costs: [] })
    await server.ask('POST', '/api/agent/message', { body: { content: 'Hi' } })
    const { json, status } = await server.ask('GET', '/api/stats/costs')
    expect(status).toBe(200)
    expect(json).toEqual({
      costs: [
        {
          id: uuid,
          model: modelName,
          provider: 'openai',
          tokens_in: 143,
          tokens_out: 27,
          cost: (103 * 2 + 40 * 0.2 + 27 * 8) / 1e6,
          tier: null,
          cached: false,
          created_at: sqliteTime,
        },
      ],
    })
  })

  test('has a row for every step of a turn', async () => {
    const model = scriptedModel([callTool('weather', { city: 'Oslo' }), say('Clear.')])
    await using server = await roboticusServer({ model })
    await server.ask('POST', '/api/agent/message', { body: { content: 'Weather?' } })
    const { json } = await server.ask('GET', '/api/stats/costs')
    // The price is not known.
    expect(json.costs).toMatchObject([
      { tokens_in: 10, tokens_out: 5, cost: 0 },
      { tokens_in: 10, tokens_out: 5, cost: 0 },
    ])
  })

  test.each([
    ['limit=2', 2],
    ['limit=2&offset=4', 1],
    ['limit=0', 1],
    ['offset=99999999999999999999', 0],
    ['', 5],
  ])('with ?%s has %i', async (query, count) => {
    await using server = await shop()
    for (let index = 0; index < 5; index += 1) {
      await server.ask('POST', '/api/agent/message', { body: { content: `Hi ${index}` } })
    }
    expect((await server.ask('GET', `/api/stats/costs?${query}`)).json.costs).toHaveLength(count)
  })

  test.each(['limit=x', 'limit=1.5', 'offset=0x10', 'limit=%00'])('refuses ?%s', async (query) => {
    await using server = await shop()
    const { json, status } = await server.ask('GET', `/api/stats/costs?${query}`)
    expect([status, json.error]).toEqual([400, expect.stringContaining('invalid query')])
  })

  test('shows each caller their own calls, and an operator all of the tenant', async () => {
    const who = (subject: string, roles: string[] = []): Principal => ({
      tenant: 'default',
      subject,
      roles,
      via: 'test',
      ambient: false,
    })
    await using server = await shop({ users: { ada: who('ada'), bob: who('bob'), op: who('op', ['operator']) } })
    await server.ask('POST', '/api/agent/message', { body: { content: 'Hi' }, user: 'ada' })
    const count = async (user: string) => (await server.ask('GET', '/api/stats/costs', { user })).json.costs.length
    expect([await count('ada'), await count('bob'), await count('op')]).toEqual([1, 0, 1])
  })
})

describe('a message for which no budget has room', () => {
  test('is a 429 that says why, whether found out before or after it was accepted', async () => {
    await using server = await shop({ budget: 900_000_000 })
    const send = () => server.ask('POST', '/api/agent/message', { body: { content: 'Hi' } })
    expect((await send()).status).toBe(429)
    expect(server.model.calls).toHaveLength(0)
    const { json, status } = await send()
    expect([status, json.error]).toEqual([429, expect.stringContaining('the budget "daily" has no room')])
  })
})
