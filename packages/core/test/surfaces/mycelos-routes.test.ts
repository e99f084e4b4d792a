import { fail, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { assistant, chat, modelName, mycelosServer, recordTime, rowTime, uuid } from './mycelos-server.ts'

const model = () => scriptedModel([], { otherwise: say('Hi.') })

describe('health', () => {
  test('tells the caller how the server is protected, and probes nothing of its owner', async () => {
    const user = { name: 'Ada', email: 'ada@example.com', language: 'de', timezone: 'Europe/Berlin' }
    const surface = { password: 'secret', user }
    await using server = await mycelosServer({ model: model(), surface })
    const known = await server.ask('GET', '/api/health', { password: 'secret' })
    expect(known.json).toEqual({
      status: 'ok',
      uptime_seconds: expect.any(Number),
      generation_id: known.json.generation_id,
      scheduler: false,
      user: { id: 'default', ...user },
      security: {
        bind_host: '127.0.0.1',
        network_exposed: false,
        password_protected: true,
        client_ip: expect.stringContaining('127.0.0.1'),
        warning: null,
      },
    })
    const probe = await server.ask('GET', '/api/health', { password: null })
    expect(probe.json.status).toBe('ok')
    expect(JSON.stringify(probe.json)).not.toMatch(/Ada|ada@|Berlin/)
  })

  test('warns of a server that everybody can reach', async () => {
    const surface = { bindHost: '0.0.0.0', allowUnprotected: true }
    await using server = await mycelosServer({ model: model(), surface })
    const { security } = (await server.ask('GET', '/api/health', { password: null })).json
    expect(security).toMatchObject({ network_exposed: true, password_protected: false, warning: expect.any(String) })
  })

  test('of probes is one word', async () => {
    await using server = await mycelosServer({ model: model() })
    expect((await server.ask('GET', '/healthz', { password: null })).json).toEqual({ status: 'ok' })
  })
})

describe('sessions', () => {
  test('begin empty, are made, renamed and listed, the last active first', async () => {
    await using server = await mycelosServer({ model: model() })
    expect((await server.ask('GET', '/api/sessions')).json).toEqual([])
    const { session_id: first } = (await server.ask('POST', '/api/sessions')).json
    expect(first).toEqual(uuid)
    await chat(server, { message: 'Second', session_id: 'second' })
    const renamed = await server.ask('PATCH', `/api/sessions/${first}`, { body: { title: 'Mine', topic: 'ships' } })
    expect(renamed.json).toEqual({ session_id: first, title: 'Mine', topic: 'ships' })
    expect((await server.ask('GET', '/api/sessions')).json).toEqual([
      {
        type: 'session_start',
        session_id: first,
        user_id: 'default',
        timestamp: recordTime,
        title: 'Mine',
        topic: 'ships',
        file: `${first}.jsonl`,
        message_count: 0,
      },
      expect.objectContaining({ session_id: 'second', title: 'Second', message_count: 2 }),
    ])
    await chat(server, { message: 'More', session_id: 'second' })
    expect((await server.ask('GET', '/api/sessions')).json[0].session_id).toBe('second')
  })

  test('keep the title that was given by hand, and the topic when only the title changes', async () => {
    await using server = await mycelosServer({ model: model() })
    const { session_id: id } = (await server.ask('POST', '/api/sessions')).json
    await server.ask('PATCH', `/api/sessions/${id}`, { body: { title: 'By hand' } })
    await server.ask('PATCH', `/api/sessions/${id}`, { body: { topic: 'ships', title: null } })
    await chat(server, { message: 'Hello', session_id: id })
    expect((await server.ask('GET', '/api/sessions')).json[0]).toMatchObject({ title: 'By hand', topic: 'ships' })
  })

  test('show messages field by field, and nothing between', async () => {
    await using server = await mycelosServer({ model: model() })
    await chat(server, { message: 'Hello', session_id: 's' })
    expect((await server.ask('GET', '/api/sessions/s/messages')).json).toEqual({
      session_id: 's',
      messages: [
        { type: 'message', session_id: 's', role: 'user', content: 'Hello', timestamp: recordTime },
        {
          type: 'message',
          session_id: 's',
          role: 'assistant',
          content: 'Hi.',
          timestamp: recordTime,
          metadata: { tokens: 15, model: modelName },
        },
      ],
    })
  })

  test.each(['unknown', '..%2f..', 'a%2Fb', '%F0%9F%98%80', 'x'.repeat(3_000)])(
    'that do not exist are a 404: %s',
    async (id) => {
      await using server = await mycelosServer({ model: model() })
      for (const [method, path, body] of [
        ['GET', `/api/sessions/${id}/messages`, undefined],
        ['PATCH', `/api/sessions/${id}`, { title: 'x' }],
      ] as const) {
        const got = await server.ask(method, path, body === undefined ? {} : { body })
        expect([got.status, got.json]).toEqual([404, { error: 'Session not found' }])
      }
    },
  )

  test.each([[{ title: 7 }], [{ title: 'x'.repeat(513) }], [{ topic: {} }], [[]], ['{']])(
    'are not renamed to %j',
    async (body) => {
      await using server = await mycelosServer({ model: model() })
      const { session_id: id } = (await server.ask('POST', '/api/sessions')).json
      const got = await server.ask('PATCH', `/api/sessions/${id}`, { body })
      expect([got.status, Object.keys(got.json)]).toEqual([422, ['detail']])
      expect((await server.ask('GET', '/api/sessions')).json[0]).not.toHaveProperty('title')
    },
  )

  test('of a failed turn hold its question alone', async () => {
    await using server = await mycelosServer({ model: scriptedModel([], { otherwise: fail('auth') }) })
    await chat(server, { message: 'Hello', session_id: 's' })
    expect((await server.ask('GET', '/api/sessions')).json[0].message_count).toBe(1)
  })
})

describe('agents', () => {
  const agents = [assistant(), assistant({ id: 'poet', name: 'The poet', tools: [], models: ['other/opus-5'] })]

  test('are listed field by field; others than the first can be talked to by name', async () => {
    await using server = await mycelosServer({ model: model(), agents })
    const { json } = await server.ask('GET', '/api/agents')
    expect(json[0]).toEqual({
      id: 'assistant',
      name: 'The assistant',
      agent_type: 'full_model',
      status: 'active',
      policy: null,
      reputation: 0.5,
      code_hash: null,
      tests_hash: null,
      prompt_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      display_name: 'The assistant',
      user_facing: 0,
      created_at: rowTime,
      created_by: 'system',
      system_prompt: 'You help.',
      allowed_tools: '["weather"]',
      model: modelName,
      capabilities: ['weather'],
      conversational: false,
    })
    expect(json[1]).toMatchObject({ id: 'poet', user_facing: 1, conversational: true, allowed_tools: '[]' })
    expect((await server.ask('GET', '/api/agents')).json).toEqual(json)
  })

  test('are shown one by one, with their code, of which there is none', async () => {
    await using server = await mycelosServer({ model: model(), agents })
    const [row] = (await server.ask('GET', '/api/agents')).json
    const { conversational: _, ...rest } = row
    expect((await server.ask('GET', '/api/agents/assistant')).json).toEqual({ ...rest, code: null })
  })

  test.each(['nobody', '__proto__', 'constructor', 'Assistant', '..%2f'])(
    'that do not exist are a 404: %s',
    async (id) => {
      await using server = await mycelosServer({ model: model(), agents })
      const got = await server.ask('GET', `/api/agents/${id}`)
      expect([got.status, got.json]).toEqual([404, { error: 'Agent not found' }])
    },
  )
})

describe('models', () => {
  test('are those that are registered or that agents name, with who uses them', async () => {
    const agents = [assistant(), assistant({ id: 'poet', name: 'The poet', models: ['other/claude-opus-5'] })]
    await using server = await mycelosServer({ model: model(), agents })
    const { json } = await server.ask('GET', '/api/models')
    expect(json.agents).toEqual([
      { id: 'assistant', name: 'The assistant' },
      { id: 'poet', name: 'The poet' },
    ])
    const ids = json.models.map(({ id }: { id: string }) => id)
    expect(ids).toEqual(expect.arrayContaining([modelName, 'other/claude-opus-5']))
    expect(json.models.find(({ id }: { id: string }) => id === modelName)).toMatchObject({
      tier: 'haiku',
      status: 'available',
      updated_at: rowTime,
    })
    expect(json.assignments).toEqual([
      { agent_id: 'assistant', model_id: modelName, priority: 1, purpose: 'execution', agent_name: 'The assistant' },
      {
        agent_id: 'assistant',
        model_id: 'other/model',
        priority: 2,
        purpose: 'execution',
        agent_name: 'The assistant',
      },
      { agent_id: 'poet', model_id: 'other/claude-opus-5', priority: 1, purpose: 'execution', agent_name: 'The poet' },
      { agent_id: null, model_id: modelName, priority: 1, purpose: 'execution', agent_name: null },
      { agent_id: null, model_id: 'other/model', priority: 2, purpose: 'execution', agent_name: null },
    ])
  })
})

describe('translations', () => {
  test('are in the language of the user, or of the request', async () => {
    await using server = await mycelosServer({ model: model(), surface: { user: { name: 'A', language: 'de-AT' } } })
    const german = (await server.ask('GET', '/api/i18n')).json
    expect(german).toMatchObject({ lang: 'de', translations: { approval: { deny: 'Ablehnen' } } })
    const english = (await server.ask('GET', '/api/i18n?lang=fr')).json
    expect(english).toMatchObject({ lang: 'en', translations: { approval: { deny: 'Deny' } } })
    for (const section of Object.keys(english.translations)) {
      expect(Object.keys(german.translations[section])).toEqual(Object.keys(english.translations[section]))
    }
  })
})

test.each(['/api/sessions/%00/messages', '/api/agents/%00'])('a NUL in a path is a 400: %s', async (path) => {
  await using server = await mycelosServer({ model: model() })
  const got = await server.ask('GET', path)
  expect([got.status, got.json]).toEqual([400, { error: expect.any(String) }])
})

describe('a request for what is not there', () => {
  test.each([
    ['GET', '/api/nothing', 404, { detail: 'Not Found' }],
    ['POST', '/api/nothing', 405, { detail: 'Method Not Allowed' }],
    ['DELETE', '/api/sessions', 405, { detail: 'Method Not Allowed' }],
    ['PUT', '/api/chat', 405, { detail: 'Method Not Allowed' }],
    ['DELETE', '/api/sessions/x', 405, { detail: 'Method Not Allowed' }],
  ])('%s %s is a %i', async (method, path, status, body) => {
    await using server = await mycelosServer({ model: model() })
    const got = await server.ask(method, path)
    expect([got.status, got.json]).toEqual([status, body])
  })
})
