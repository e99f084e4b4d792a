import { createRuntime, ModelFailure, type ModelInfo, type Provider } from '@keelson/core'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { fail, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { apiKey, assistant, modelName, people, rfcTime, roboticusServer, serve, uuid } from './roboticus-server.ts'

const quiet = scriptedModel([])
const provider = (id: string, more: Partial<Provider> = {}): Provider => ({
  id,
  stream: (...call) => quiet.stream(...call),
  ...more,
})

async function offering(...providers: Provider[]) {
  const runtime = createRuntime({ store: sqliteStore(':memory:'), providers, agents: [assistant()] })
  return await serve(runtime, { apiKey })
}

const failing = (error: unknown) => async (): Promise<readonly ModelInfo[]> => {
  throw error
}

describe('the available models', () => {
  test('are what each provider offers and what is configured, each once and sorted', async () => {
    await using server = await offering(
      provider('openai', {
        models: [{ name: 'gpt-5-mini' }, { name: 'known' }],
        discover: async () => [{ name: 'new' }, { name: 'known' }],
      }),
      provider('router', { discover: async () => [{ name: 'qwen/qwen3' }, { name: 'router/plain' }] }),
      provider('local', { models: [{ name: 'echo' }] }),
      provider('bare'),
    )
    const { json } = await server.ask('GET', '/api/models/available')
    expect(json).toEqual({
      models: [
        'local/echo',
        modelName,
        'openai/known',
        'openai/new',
        'other/model',
        'router/plain',
        'router/qwen/qwen3',
      ],
      count: 7,
      validation_level: 'zero',
      proxy: { mode: 'in_process' },
      providers: {
        openai: { status: 'ok', models: [modelName, 'openai/known', 'openai/new'], count: 3 },
        router: { status: 'ok', models: ['router/plain', 'router/qwen/qwen3'], count: 2 },
        local: { status: 'ok', models: ['local/echo'], count: 1 },
        bare: { status: 'skipped', models: [], count: 0, reason: 'missing_url' },
      },
    })
  })

  test('of one provider are asked for by name in any case, and no other is asked', async () => {
    let asked = 0
    const counting = async () => {
      asked += 1
      return [{ name: 'x' }]
    }
    await using server = await offering(
      provider('openai', { discover: counting }),
      provider('other', { discover: counting }),
    )
    const { json } = await server.ask('GET', '/api/models/available?provider=OpenAI&validation_level=full')
    expect(json).toMatchObject({ models: [modelName, 'openai/x'], count: 2, validation_level: 'full' })
    expect(Object.keys(json.providers)).toEqual(['openai'])
    expect(asked).toBe(1)
    const none = await server.ask('GET', '/api/models/available?provider=nobody')
    expect(none.json).toMatchObject({ models: [], count: 0, providers: {} })
    expect((await server.ask('GET', '/api/models/available?provider=')).json.count).toBe(4)
  })

  test('are told although a provider fails, which says how', async () => {
    const failure = (name: ModelFailure['failure']) => new ModelFailure(name, 'secret text')
    await using server = await offering(
      provider('openai', { models: [{ name: 'known' }], discover: failing(failure('auth')) }),
      provider('away', { discover: failing(failure('network')) }),
      provider('broken', { discover: failing(new Error('secret text')) }),
      provider('odd', { discover: async () => null as never }),
    )
    const got = await server.ask('GET', '/api/models/available')
    expect(got.status).toBe(200)
    expect(got.text).not.toContain('secret')
    expect(got.json.providers).toEqual({
      openai: { status: 'error', models: ['openai/known'], count: 1, error: 'auth' },
      away: { status: 'unreachable', models: [], count: 0, error: 'network' },
      broken: { status: 'error', models: [], count: 0, error: 'server' },
      odd: { status: 'error', models: [], count: 0, error: 'server' },
    })
    expect(got.json.models).toContain('openai/known')
  })
})

describe('the log of selections', () => {
  test('is newest first, one event of each turn, and cut to the limit', async () => {
    const model = scriptedModel([], { otherwise: say('fine') })
    await using server = await roboticusServer({ model })
    for (const content of ['first', 'second', 'third']) {
      await server.ask('POST', '/api/agent/message', { body: { content } })
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const excerpts = async (query: string) => {
      const { json } = await server.ask('GET', `/api/models/selections${query}`)
      expect(json.count).toBe(json.events.length)
      return json.events.map((event: { user_excerpt: string }) => event.user_excerpt)
    }
    expect(await excerpts('')).toEqual(['third', 'second', 'first'])
    expect(await excerpts('?limit=2')).toEqual(['third', 'second'])
    expect(await excerpts('?limit=0')).toEqual(['third'])
    expect(await excerpts('?limit=-7')).toEqual(['third'])
    expect(await excerpts('?limit=99999')).toHaveLength(3)
    for (const limit of ['x', '1.5', '', '1e3', '%00']) {
      const got = await server.ask('GET', `/api/models/selections?limit=${limit}`)
      expect([got.status, got.json.error], limit).toEqual([400, expect.stringContaining('limit')])
    }
  })

  test('says what was passed over and why, and what was chosen in its place', async () => {
    const model = scriptedModel([fail('billing'), say('1')], { otherwise: say('fine') })
    await using server = await roboticusServer({ model })
    const first = await server.ask('POST', '/api/agent/message', { body: { content: 'a' } })
    await server.runtime.client.sessions.update({ id: first.json.session_id, model: 'mine/own' })
    await server.ask('POST', '/api/agent/message', { body: { content: 'b' } })
    const { events } = (await server.ask('GET', '/api/models/selections?limit=1')).json
    expect(events).toEqual([
      {
        event_id: uuid,
        turn_id: uuid,
        session_id: first.json.session_id,
        agent_id: 'assistant',
        channel: 'api',
        selected_model: 'mine/own',
        strategy: 'override_usable',
        primary_model: modelName,
        override_model: 'mine/own',
        complexity: null,
        user_excerpt: 'b',
        candidates: [
          {
            model: 'mine/own',
            source: 'override',
            provider_available: true,
            breaker_blocked: false,
            usable: true,
            note: 'provider registered',
          },
          {
            model: modelName,
            source: 'primary_ordered',
            provider_available: true,
            breaker_blocked: true,
            usable: false,
            note: 'its breaker is open',
          },
          {
            model: 'other/model',
            source: 'fallback_ordered',
            provider_available: true,
            breaker_blocked: false,
            usable: true,
            note: 'provider registered',
          },
        ],
        created_at: rfcTime,
      },
    ])
    await server.runtime.client.sessions.update({ id: first.json.session_id, model: null })
    await server.ask('POST', '/api/agent/message', { body: { content: 'c' } })
    await server.ask('POST', '/api/breaker/open/other')
    await server.ask('POST', '/api/agent/message', { body: { content: 'd' } })
    const strategies = (await server.ask('GET', '/api/models/selections')).json.events.map(
      (event: { strategy: string }) => event.strategy,
    )
    expect(strategies).toEqual(['last_resort_primary', 'fallback_usable_1', 'override_usable', 'primary_usable'])
  })

  test.each([
    ['long words', `${'x'.repeat(500)} y`, 'x'.repeat(240)],
    ['many words', Array.from({ length: 30 }, (_, index) => index).join(' \n '), [...Array(20).keys()].join(' ')],
    ['characters of two halves', '𝔘'.repeat(300), '𝔘'.repeat(240)],
  ])('shows no more than the beginning of %s', async (_, content, excerpt) => {
    await using server = await roboticusServer({ model: scriptedModel([say('fine')]) })
    await server.ask('POST', '/api/agent/message', { body: { content } })
    const { events } = (await server.ask('GET', '/api/models/selections')).json
    expect(events[0].user_excerpt).toBe(excerpt)
    const one = await server.ask('GET', `/api/turns/${events[0].turn_id}/model-selection`)
    expect(one.json).toEqual(events[0])
  })

  test('is of the turns in reach alone', async () => {
    await using server = await roboticusServer({ model: scriptedModel([], { otherwise: say('fine') }), users: people })
    await server.ask('POST', '/api/agent/message', { user: 'ann', body: { content: 'of ann' } })
    const count = async (user: string) => (await server.ask('GET', '/api/models/selections', { user })).json.count
    expect([await count('ann'), await count('amy'), await count('boss'), await count('rex')]).toEqual([1, 0, 1, 0])
  })
})

test.each([[0], [-1], [1.5], [2 ** 31], [Number.NaN]])('a turn time of %s is refused as an option', (turnMs) => {
  expect(() => roboticus({ apiKey, turnMs })).toThrowError(expect.objectContaining({ code: 'SURFACE_OPTIONS_INVALID' }))
})
