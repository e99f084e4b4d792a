import { createRuntime, defineTool, singleOwner } from '@keelson/core'
import { callTool, respond, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { storeWithoutKey } from '../config/scene.ts'
import { apiKey, assistant, rfcTime, roboticusServer, type ServerOptions, serve } from './roboticus-server.ts'

const talking = () => scriptedModel([], { otherwise: say('done') })

const office = (options: Partial<ServerOptions> = {}) => roboticusServer({ model: talking(), ...options })

const applied = (backup: string, ignored: string[] = []) => ({
  updated: true,
  persisted: true,
  message: expect.any(String),
  backup_path: backup,
  deferred_apply: ['server.bind', 'server.port', 'wallet'],
  ignored_keys: ignored,
})

describe('GET /api/config', () => {
  test('shows what is in force, section by section', async () => {
    await using server = await office()
    const { json, status } = await server.ask('GET', '/api/config')
    expect(status).toBe(200)
    expect(Object.keys(json)).toHaveLength(34)
    expect(json.agent).toEqual({
      name: 'The assistant',
      id: 'assistant',
      workspace: '',
      log_level: 'info',
      delegation_enabled: false,
      delegation_min_complexity: 0,
      delegation_min_utility_margin: 0,
      specialist_creation_requires_approval: true,
      autonomy_max_react_turns: 10,
      autonomy_max_turn_duration_seconds: 600,
    })
    expect(json.models).toMatchObject({ primary: 'openai/gpt-5-mini', fallbacks: ['other/model'] })
    expect(json.providers.openai).toEqual({
      url: '',
      format: null,
      chat_path: null,
      api_key_env: null,
      api_key_ref: null,
      auth_mode: null,
      auth_header: null,
      is_local: false,
      cost_per_input_token: null,
      cost_per_output_token: null,
      _key_status: 'configured',
      _key_source: 'env',
      _provider_name: 'openai',
    })
    expect(json.session).toEqual({ scope_mode: 'agent' })
  })

  test('is for those who operate the server', async () => {
    const ann = { tenant: 'default', subject: 'ann', roles: [], via: 'test', ambient: false }
    await using server = await office({ users: { ann } })
    for (const [method, path] of [
      ['GET', '/api/config'],
      ['PUT', '/api/config'],
      ['GET', '/api/config/status'],
      ['PUT', '/api/providers/openai/key'],
      ['DELETE', '/api/providers/openai/key'],
    ] as const) {
      const body = method === 'PUT' ? { body: { api_key: 'k' } } : {}
      expect(await server.ask(method, path, { user: 'ann', ...body })).toMatchObject({ status: 403 })
      expect(await server.ask(method, path, { user: 'nobody', ...body })).toMatchObject({ status: 401 })
    }
  })
})

describe('PUT /api/config', () => {
  test('changes the agent from the next message on', async () => {
    const model = talking()
    await using server = await roboticusServer({ model })
    const body = { agent: { name: 'Bo' }, models: { primary: 'other/new', fallbacks: [] } }
    expect((await server.ask('PUT', '/api/config', { body })).json).toEqual(applied('generation:0'))
    expect((await server.ask('GET', '/api/config')).json).toMatchObject(body)
    await server.ask('POST', '/api/agent/message', { body: { content: 'hello there' } })
    expect(model.calls.at(-1)?.model).toBe('other/new')
    const health = await server.ask('GET', '/api/health', { key: null })
    expect(health.json).toMatchObject({ agent: 'Bo', models: { primary: 'other/new', fallbacks: [] } })
    const generation = await server.runtime.client.config.get({ generation: 1 })
    expect(generation).toMatchObject({ trigger: 'roboticus', author: 'owner', description: 'changed agent, models' })
    await server.runtime.client.config.rollback({ generation: 0 })
    expect((await server.ask('GET', '/api/config')).json.agent.name).toBe('The assistant')
  })

  test('leaves a message that is being answered alone', async () => {
    const [gate, started] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const wait = defineTool({
      name: 'wait',
      description: 'Waits',
      input: z.object({}),
      risk: 'safe',
      execute() {
        started.resolve()
        return gate.promise
      },
    })
    const model = scriptedModel([], {
      otherwise: respond(({ messages }) => (messages.at(-1)?.role === 'user' ? callTool('wait') : say('done'))),
    })
    await using server = await roboticusServer({ model, agents: [assistant({ tools: [wait] })] })
    const answering = server.ask('POST', '/api/agent/message', { body: { content: 'wait for me' } })
    await started.promise
    await server.ask('PUT', '/api/config', { body: { models: { primary: 'other/new' } } })
    gate.resolve()
    await answering
    expect(model.calls.map((call) => call.model)).toEqual(['openai/gpt-5-mini', 'openai/gpt-5-mini'])
  })

  test('keeps what it merges, part by part, and names what it does not know', async () => {
    await using server = await office()
    const put = async (body: object) => (await server.ask('PUT', '/api/config', { body })).json
    expect(await put({ browser: { enabled: true, size: { x: 1, y: 2 } }, weather: {} })).toEqual(
      applied('generation:0', ['weather']),
    )
    expect(await put({ browser: { size: { y: 3 } }, skills: { paths: ['a'] } })).toEqual(applied('generation:1'))
    expect(await put({ skills: { paths: ['b'] } })).toMatchObject({ updated: true })
    const { json } = await server.ask('GET', '/api/config')
    expect(json.browser).toEqual({ enabled: true, size: { x: 1, y: 3 } })
    expect(json.skills).toEqual({ paths: ['b'] })
    expect(json).not.toHaveProperty('weather')
  })

  test('makes nothing of what is so already, also of all that it has shown', async () => {
    await using server = await office()
    await server.ask('PUT', '/api/config', { body: { agent: { name: 'Bo' }, browser: { enabled: true } } })
    const { json: shown } = await server.ask('GET', '/api/config')
    for (const body of [shown, {}, { agent: { name: 'Bo' } }, { weather: 1 }]) {
      expect((await server.ask('PUT', '/api/config', { body })).json).toEqual({
        updated: false,
        persisted: false,
        message: expect.any(String),
        ignored_keys: 'weather' in body ? ['weather'] : [],
      })
    }
    expect((await server.runtime.client.config.list({ limit: 10 })).generations).toHaveLength(1)
  })

  test.each([
    ['a memory whose shares are not whole', { memory: { working_budget_pct: 31 } }, 'memory'],
    ['no primary model', { models: { primary: '' } }, 'models.primary'],
    ['a model that is none', { models: { primary: 'nonsense' } }, 'provider/model'],
    ['an agent without a name', { agent: { name: '' } }, 'agent.name'],
    ['another id for the agent', { agent: { id: 'other' } }, 'agent.id'],
    ['an unknown scope', { session: { scope_mode: 'all' } }, 'session.scope_mode'],
    ['a text as a section', { browser: 'on' }, 'browser'],
    ['the key of the API', { server: { api_key: 'sk-secret-1' } }, 'server.api_key'],
    ['a secret in the depth', { channels: { telegram: { bot_token: 'sk-secret-1' } } }, 'channels.telegram.bot_token'],
  ])('refuses %s with 400, and changes nothing', async (_, body, said) => {
    await using server = await office()
    const { json, status } = await server.ask('PUT', '/api/config', { body: { ...body, skills: { a: 1 } } })
    expect([status, json]).toEqual([400, { error: expect.stringContaining(said) }])
    expect(json.error).not.toContain('sk-secret')
    expect((await server.ask('GET', '/api/config')).json.skills).toEqual({})
    expect((await server.ask('GET', '/api/config/status')).json.status.last_error).toContain(said)
  })

  test.each([
    ['a list', '[]', 422],
    ['what is no JSON', '{', 400],
  ])('refuses %s as a body', async (_, body, status) => {
    await using server = await office()
    const headers = { 'content-type': 'application/json' }
    expect((await server.ask('PUT', '/api/config', { body, headers })).status).toBe(status)
  })

  test('loses nothing when many change it at once', async () => {
    await using server = await office()
    const sections = ['browser', 'skills', 'cache', 'digest']
    const answers = await Promise.all(
      sections.map((name) => server.ask('PUT', '/api/config', { body: { [name]: { mark: name } } })),
    )
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const { json } = await server.ask('GET', '/api/config')
    for (const name of sections) expect(json[name]).toEqual({ mark: name })
  })

  test('takes names that every object has as plain names', async () => {
    await using server = await office()
    const body = '{"browser":{"__proto__":{"polluted":true},"constructor":{"a":1}},"__proto__":{"x":1}}'
    const headers = { 'content-type': 'application/json' }
    await server.ask('PUT', '/api/config', { body, headers })
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    expect((await server.ask('GET', '/api/config')).status).toBe(200)
  })
})

test('GET /api/config/capabilities says what may be changed', async () => {
  await using server = await office()
  const { json } = await server.ask('GET', '/api/config/capabilities')
  expect(json).toEqual({
    immutable_sections: ['server', 'a2a', 'wallet'],
    mutable_sections: expect.arrayContaining(['agent', 'models', 'providers', 'memory', 'session', 'security']),
    notes: {
      runtime_reload: expect.any(String),
      deferred_apply_examples: ['server.bind', 'server.port', 'wallet'],
      deferred_apply_behavior: expect.any(String),
    },
  })
})

test('GET /api/config/status tells of the last change', async () => {
  await using server = await office()
  const status = async () => (await server.ask('GET', '/api/config/status')).json.status
  const nothing = { last_attempt_at: null, last_success_at: null, last_error: null, last_backup_path: null }
  expect(await status()).toEqual({ config_path: 'generation:0', ...nothing, deferred_apply: [] })
  await server.ask('PUT', '/api/config', { body: { agent: { name: '' } } })
  expect(await status()).toMatchObject({ ...nothing, last_attempt_at: rfcTime, last_error: expect.any(String) })
  await server.ask('PUT', '/api/config', { body: { agent: { name: 'Bo' } } })
  expect(await status()).toEqual({
    config_path: 'generation:1',
    last_attempt_at: rfcTime,
    last_success_at: rfcTime,
    last_error: null,
    last_backup_path: 'generation:0',
    deferred_apply: ['server.bind', 'server.port', 'wallet'],
  })
})

describe('the key of a provider', () => {
  /** A server that knows one provider by its name. */
  async function keyServer(store = sqliteStore(':memory:')) {
    const model = { ...talking(), id: 'openai' }
    const agents = [assistant({ models: ['openai/gpt-5-mini'] })]
    const runtime = createRuntime({ store, agents, providers: [model] })
    return { ...(await serve(runtime, { apiKey })), client: runtime.as(singleOwner('code')) }
  }

  test('goes into the vault and is never shown', async () => {
    await using server = await keyServer()
    const key = 'sk-live-0123456789'
    const stored = await server.ask('PUT', '/api/providers/openai/key', { body: { api_key: ` ${key}\n` } })
    expect(stored.json).toEqual({ stored: true, provider: 'openai', keystore_entry: 'openai_api_key' })
    expect((await server.client.vault.list({})).map(({ name }) => name)).toEqual(['openai_api_key'])
    const { json, text } = await server.ask('GET', '/api/config')
    expect(text).not.toContain(key)
    expect(json.providers.openai).toMatchObject({ _key_status: 'configured', _key_source: 'keystore' })
    expect((await server.client.config.list({ limit: 1 })).generations).toEqual([])
    const removed = { removed: true, provider: 'openai', keystore_entry: 'openai_api_key' }
    expect((await server.ask('DELETE', '/api/providers/openai/key')).json).toEqual(removed)
    expect((await server.ask('DELETE', '/api/providers/openai/key')).json).toEqual({ ...removed, removed: false })
    expect((await server.ask('GET', '/api/config')).json.providers.openai._key_source).toBe('env')
  })

  test.each([
    ['of a provider that is not configured', 'nobody', { api_key: 'k' }, 404],
    ['that is blank', 'openai', { api_key: '  ' }, 400],
    ['that could not be sent', 'openai', { api_key: 'a\nb' }, 400],
    ['that is no text', 'openai', { api_key: 7 }, 422],
    ['that is missing', 'openai', {}, 422],
  ])('%s is refused', async (_, provider, body, status) => {
    await using server = await keyServer()
    const answer = await server.ask('PUT', `/api/providers/${provider}/key`, { body })
    expect([answer.status, answer.json]).toEqual([status, { error: expect.any(String) }])
    expect(await server.client.vault.list({})).toEqual([])
    if (status === 404) expect((await server.ask('DELETE', `/api/providers/${provider}/key`)).status).toBe(404)
  })

  test('is answered with 503 while the vault has no key', async () => {
    await using server = await keyServer(storeWithoutKey())
    const answer = await server.ask('PUT', '/api/providers/openai/key', { body: { api_key: 'k' } })
    expect([answer.status, answer.json]).toEqual([503, { error: expect.stringContaining('vault') }])
    expect((await server.ask('DELETE', '/api/providers/openai/key')).json).toMatchObject({ removed: false })
  })
})

describe('what the agent is told, and what a day may cost', () => {
  test('are part of the document: the next message takes them, and a rollback takes them back', async () => {
    const model = talking()
    await using server = await office({ model })
    const told = async () => {
      const { status } = await server.ask('POST', '/api/agent/message', { body: { content: 'hi' } })
      return [status, model.calls.at(-1)?.request.instructions]
    }
    const before = (await server.ask('GET', '/api/config')).json
    expect(before.personality.instructions).toBe((await told())[1])
    expect(before.treasury).toEqual({})
    const change = { personality: { instructions: 'Be brief.' }, treasury: { daily_inference_budget: 1.5 } }
    expect((await server.ask('PUT', '/api/config', { body: change })).json).toEqual(applied('generation:0'))
    expect((await server.ask('GET', '/api/config')).json).toMatchObject(change)
    expect(await server.runtime.client.costs.budgets()).toMatchObject([
      { id: 'daily_inference_budget', scope: 'tenant', period: 'day', limit: 1_500_000_000_000n },
    ])
    await server.runtime.client.config.rollback({ generation: 0 })
    expect(await told()).toEqual([200, before.personality.instructions])
    expect(await server.runtime.client.costs.budgets()).toEqual([])
  })

  test('are refused where they are none', async () => {
    await using server = await office()
    for (const treasury of [{ daily_inference_budget: -1 }, { daily_inference_budget: 'much' }]) {
      expect((await server.ask('PUT', '/api/config', { body: { treasury } })).status).toBe(400)
    }
    expect((await server.ask('PUT', '/api/config', { body: { personality: { instructions: 7 } } })).status).toBe(400)
    expect((await server.ask('GET', '/api/config')).json.treasury).toEqual({})
  })
})
