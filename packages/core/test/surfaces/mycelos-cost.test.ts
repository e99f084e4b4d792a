import { finish, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { periodStart } from '../../src/surfaces/mycelos/cost.ts'
import { chat, dataOf, modelName, mycelosServer, namesOf } from './mycelos-server.ts'

/** Dollars for a million tokens: 3 in, 15 out. */
const price = { input: 3_000_000, output: 15_000_000 }
const answering = (usage: { input: number; output: number }) =>
  scriptedModel([], {
    otherwise: [say('Hi.'), finish({ usage })],
    models: [{ name: modelName, contextTokens: 100_000, maxOutputTokens: 4_000, price }],
  })

describe('the cost', () => {
  test('of a turn is told with it, and adds up in the report', async () => {
    await using server = await mycelosServer({ model: answering({ input: 100, output: 20 }) })
    expect((await server.ask('GET', '/api/cost')).json).toEqual({
      period: 'today',
      since: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T00:00:00\+00:00$/),
      models: [],
      total_cost: 0,
      total_tokens: 0,
    })
    expect(dataOf(await chat(server, 'One'), 'done')).toEqual({ tokens: 120, model: modelName, cost: 0.0006 })
    await chat(server, 'Two')
    await chat(server, '/cost')
    const { json } = await server.ask('GET', '/api/cost?period=today')
    expect(json).toMatchObject({ period: 'today', total_cost: 0.0012, total_tokens: 240 })
    expect(json.models).toEqual([
      { model: modelName, input_tokens: 200, output_tokens: 40, total_tokens: 240, total_cost: 0.0012, calls: 2 },
    ])
    for (const period of ['week', 'month', 'all', 'nonsense', '%00']) {
      const got = await server.ask('GET', `/api/cost?period=${period}`)
      expect(got.json).toMatchObject({ period: decodeURIComponent(period), total_cost: 0.0012 })
    }
    expect((await server.ask('GET', '/api/cost?period=all')).json.since).toBe('2020-01-01T00:00:00+00:00')
    expect((await server.ask('GET', `/api/cost?period=${'x'.repeat(65)}`)).status).toBe(422)
    expect(dataOf(await chat(server, '/cost all'), 'system-response').content).toContain('0.0012 USD')
  })

  test('that becomes high is told of once for each threshold, before the answer and in place of the agent', async () => {
    await using server = await mycelosServer({ model: answering({ input: 2_000_000, output: 0 }) })
    const told = []
    for (let count = 0; count < 4; count += 1) {
      const events = await chat(server, 'Go')
      if (namesOf(events)[1] === 'system-response') told.push(dataOf(events, 'system-response').content)
      else expect(namesOf(events)[1]).toBe('agent')
    }
    expect(told).toEqual([
      expect.stringContaining('5 USD (so far 6.00'),
      expect.stringContaining('10 USD (so far 12.00'),
    ])
  })
})

test('periods are days in UTC, and sliding weeks and months', () => {
  const now = Date.parse('2026-11-22T13:14:15.678Z')
  const since = (period: string) => new Date(periodStart(period, now)).toISOString()
  expect(since('today')).toBe('2026-11-22T00:00:00.000Z')
  expect(since('week')).toBe('2026-11-15T13:14:15.678Z')
  expect(since('month')).toBe('2026-10-23T13:14:15.678Z')
  expect(since('ever')).toBe('2020-01-01T00:00:00.000Z')
})
