import { callTool, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import {
  type Asked,
  assistant,
  modelName,
  rfcTime,
  roboticusServer,
  sqliteTime,
  type TestServer,
  uuid,
  weather,
} from './roboticus-server.ts'

/** Makes what a route needs and says what to ask it. */
interface RouteCase {
  prepare?(server: TestServer): Promise<Record<string, string>>
  readonly asked?: Asked
  readonly answer: unknown
}

const zeroDiagnostics = {
  breaker_open_count: 0,
  breaker_half_open_count: 0,
  cache_entries: 0,
  cache_hit_rate_pct: 0,
  taskable_subagents_total: 0,
  taskable_subagents_enabled: 0,
  taskable_subagents_booting: 0,
  taskable_subagents_running: 0,
  taskable_subagents_error: 0,
  taskable_subagents_hollow: 0,
  delegation_tools_available: false,
  channels_total: 0,
  channels_with_errors: 0,
}

const session = {
  id: uuid,
  agent_id: 'assistant',
  scope_key: 'agent',
  status: 'active',
  model: null,
  nickname: null,
  created_at: sqliteTime,
  updated_at: sqliteTime,
  metadata: null,
}

const cost = {
  id: uuid,
  model: modelName,
  provider: 'openai',
  tokens_in: 10,
  tokens_out: 5,
  cost: 0,
  tier: null,
  cached: false,
  created_at: sqliteTime,
}

const createSession = async ({ ask }: TestServer) => {
  const { json } = await ask('POST', '/api/sessions', { body: { agent_id: 'assistant' } })
  return { id: json.id as string }
}

const askForApproval = async ({ ask }: TestServer) => {
  await ask('POST', '/api/agent/message', { body: { content: 'Weather in Oslo?' } })
  const { json } = await ask('GET', '/api/approvals')
  return { id: json.pending[0].id as string }
}

const approval = {
  id: uuid,
  tool_name: 'weather',
  tool_input: '{"city":"Oslo"}',
  session_id: uuid,
  requested_authority: 'Creator',
  status: 'Pending',
  decided_by: null,
  decided_at: null,
  timeout_at: rfcTime,
  created_at: rfcTime,
}

const sendMessage = async ({ ask, runtime }: TestServer) => {
  const { json } = await ask('POST', '/api/agent/message', { body: { content: 'Weather in Oslo?' } })
  const [turn] = await runtime.client.sessions.turns({ session: json.session_id, limit: 1, offset: 0 })
  return { id: turn?.id ?? '' }
}

const sendToSession = async ({ ask }: TestServer) => {
  const { json } = await ask('POST', '/api/agent/message', { body: { content: 'Weather in Oslo?' } })
  return { id: json.session_id as string }
}

const turn = {
  id: uuid,
  session_id: uuid,
  thinking: null,
  tokens_in: 20,
  tokens_out: 10,
  cost: null,
  model: modelName,
  created_at: sqliteTime,
}

const candidate = {
  model: modelName,
  source: 'primary_ordered',
  provider_available: true,
  breaker_blocked: false,
  usable: true,
  note: 'provider registered',
}

const selection = {
  event_id: uuid,
  turn_id: uuid,
  session_id: uuid,
  agent_id: 'assistant',
  channel: 'api',
  selected_model: modelName,
  strategy: 'primary_usable',
  primary_model: modelName,
  override_model: null,
  complexity: null,
  user_excerpt: 'Weather in Oslo?',
  candidates: [candidate, { ...candidate, model: 'other/model', source: 'fallback_ordered' }],
  created_at: rfcTime,
}

const message = {
  session_id: uuid,
  nickname: 'Weather in Oslo',
  user_message_id: uuid,
  assistant_message_id: uuid,
  content: 'I asked.',
  selected_model: modelName,
  model: modelName,
  model_shift_from: null,
  cached: false,
  tokens_saved: 0,
  tokens_in: 20,
  tokens_out: 10,
  cost: 0,
  threat_score: 0,
  reduced_authority: false,
  authority: 'Creator',
  react_turns: 2,
}

const stored = { provider: 'openai', keystore_entry: 'openai_api_key' }

/** Every route of all sections. A route without a line here, or a line without a route, fails. */
const cases: Readonly<Record<string, RouteCase>> = {
  'GET /api/health': {
    answer: {
      status: 'ok',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      agent: 'The assistant',
      uptime_seconds: expect.any(Number),
      models: { primary: modelName, current: modelName, fallbacks: ['other/model'] },
    },
  },
  'GET /api/config': {
    answer: expect.objectContaining({
      agent: expect.objectContaining({ id: 'assistant', name: 'The assistant' }),
      models: expect.objectContaining({ primary: modelName, fallbacks: ['other/model'] }),
      security: {},
    }),
  },
  'PUT /api/config': {
    asked: { body: { agent: { name: 'Bo' } } },
    answer: {
      updated: true,
      persisted: true,
      message: expect.any(String),
      backup_path: 'generation:0',
      deferred_apply: ['server.bind', 'server.port', 'wallet'],
      ignored_keys: [],
    },
  },
  'GET /api/config/capabilities': {
    answer: {
      immutable_sections: ['server', 'a2a', 'wallet'],
      mutable_sections: expect.arrayContaining(['agent', 'models']),
      notes: {
        runtime_reload: expect.any(String),
        deferred_apply_examples: ['server.bind', 'server.port', 'wallet'],
        deferred_apply_behavior: expect.any(String),
      },
    },
  },
  'GET /api/config/status': {
    answer: {
      status: {
        config_path: 'generation:0',
        last_attempt_at: null,
        last_success_at: null,
        last_error: null,
        last_backup_path: null,
        deferred_apply: [],
      },
    },
  },
  'PUT /api/providers/:name/key': {
    prepare: async () => ({ name: 'openai' }),
    asked: { body: { api_key: 'sk-1' } },
    answer: { stored: true, ...stored },
  },
  'DELETE /api/providers/:name/key': {
    prepare: async () => ({ name: 'openai' }),
    answer: { removed: false, ...stored },
  },
  'GET /api/agent/status': {
    prepare: askForApproval,
    answer: {
      state: 'running',
      name: 'The assistant',
      agent_name: 'The assistant',
      agent_id: 'assistant',
      primary_model: modelName,
      active_model: modelName,
      primary_provider_state: 'closed',
      cache_entries: 0,
      cache_hit_rate_pct: 0,
      diagnostics: {
        ...zeroDiagnostics,
        uptime_seconds: expect.any(Number),
        primary_model: modelName,
        active_model: modelName,
        primary_provider: 'openai',
        primary_provider_state: 'closed',
        pending_approvals: 1,
      },
    },
  },
  'POST /api/agent/message': { asked: { body: { content: 'Weather in Oslo?' } }, answer: message },
  'POST /api/agent/message/stream': {
    asked: { body: { content: 'Weather in Oslo?' } },
    answer: expect.stringMatching(/^id: \d+\ndata: \{"type":"stream_start",/),
  },
  'GET /api/sessions': { prepare: createSession, answer: { sessions: [{ ...session, turn_count: 0 }] } },
  'POST /api/sessions': {
    asked: { body: { agent_id: 'assistant' } },
    answer: { ...session, session_id: uuid },
  },
  'POST /api/sessions/backfill-nicknames': { prepare: createSession, answer: { backfilled: 1 } },
  'GET /api/sessions/:id': { prepare: createSession, answer: session },
  'GET /api/sessions/:id/messages': { prepare: createSession, answer: { messages: [] } },
  'POST /api/sessions/:id/messages': {
    prepare: createSession,
    asked: { body: { role: 'user', content: 'Hi' } },
    answer: { message_id: uuid },
  },
  'GET /api/approvals': { prepare: askForApproval, answer: { pending: [approval], total: 1 } },
  'POST /api/approvals/:id/approve': {
    prepare: askForApproval,
    answer: {
      approval: { ...approval, status: 'Approved', decided_by: 'api', decided_at: rfcTime },
      replay_queued: true,
    },
  },
  'POST /api/approvals/:id/deny': {
    prepare: askForApproval,
    answer: { ...approval, status: 'Denied', decided_by: 'api', decided_at: rfcTime },
  },
  'GET /api/models/available': {
    answer: {
      models: [modelName, 'other/model'],
      count: 2,
      validation_level: 'zero',
      proxy: { mode: 'in_process' },
      // The one provider of these tests serves any name and cannot be asked.
      providers: {},
    },
  },
  'GET /api/models/selections': { prepare: sendMessage, answer: { events: [selection], count: 1 } },
  'GET /api/breaker/status': {
    answer: {
      providers: {
        openai: { state: 'closed', blocked: false, credit_tripped: false, operator_forced_open: false },
        other: { state: 'closed', blocked: false, credit_tripped: false, operator_forced_open: false },
      },
      config: { threshold: 5, cooldown_seconds: 30, max_cooldown_seconds: 300, window_seconds: 60 },
    },
  },
  'POST /api/breaker/reset/:provider': {
    prepare: async () => ({ provider: 'openai' }),
    answer: { provider: 'openai', state: 'closed', reset: true },
  },
  'POST /api/breaker/open/:provider': {
    prepare: async () => ({ provider: 'openai' }),
    answer: { provider: 'openai', state: 'open', operator_forced_open: true },
  },
  'GET /api/sessions/:id/turns': { prepare: sendToSession, answer: { turns: [turn] } },
  'GET /api/turns/:id': { prepare: sendMessage, answer: turn },
  'GET /api/turns/:id/context': {
    prepare: sendMessage,
    answer: {
      turn_id: uuid,
      model: modelName,
      token_budget: 128_000 - 4_096,
      system_prompt_tokens: expect.any(Number),
      memory_tokens: 0,
      history_tokens: expect.any(Number),
      history_depth: 3,
      complexity_level: 'L0',
      tokens_in: 20,
      tokens_out: 10,
      cost: null,
      tool_call_count: 1,
      tool_failure_count: 1,
    },
  },
  'GET /api/turns/:id/tools': {
    prepare: sendMessage,
    answer: {
      tool_calls: [
        {
          id: uuid,
          tool_name: 'weather',
          skill_id: null,
          skill_name: null,
          skill_hash: null,
          status: 'partial_success',
          duration_ms: null,
          created_at: sqliteTime,
        },
      ],
    },
  },
  'GET /api/turns/:id/model-selection': { prepare: sendMessage, answer: selection },
  'GET /api/stats/costs': {
    prepare: askForApproval,
    answer: { costs: [cost, cost] },
  },
  'POST /api/ws-ticket': { answer: { ticket: expect.stringMatching(/^wst_[0-9a-f]{64}$/), expires_in: 30 } },
}

const server = () =>
  roboticusServer({
    agents: [assistant({ tools: [{ ...weather, approval: 'always' }] })],
    model: scriptedModel([callTool('weather', { city: 'Oslo' }), say('I asked.'), say('Done.')]),
  })

const filled = (path: string, values: Readonly<Record<string, string>>) =>
  path.replace(/:(\w+)/g, (_, name: string) => values[name] ?? '00000000-0000-4000-8000-000000000000')

describe('the routes are those of the document', () => {
  test('no route is without a case, no case without a route', async () => {
    await using running = await server()
    // The WebSocket has tests of its own.
    const plain = running.surface.routes.filter(({ socket }) => socket !== true)
    const routes = plain.map(({ method, path }) => `${method} ${path}`)
    expect(routes.toSorted()).toEqual(Object.keys(cases).toSorted())
    expect(new Set(running.surface.routes.map(({ section }) => section))).toEqual(
      new Set([
        'Health',
        'Config',
        'Agent',
        'Sessions',
        'Models',
        'Circuit Breaker',
        'Context Observatory',
        'Approvals',
        'Providers',
        'Statistics',
        'WebSocket',
      ]),
    )
  })
})

describe.each(Object.entries(cases))('%s', (name, { answer, asked, prepare }) => {
  const [method = '', path = ''] = name.split(' ')
  const isOpen = path === '/api/health'

  test('gives the documented answer', async () => {
    await using running = await server()
    const values = (await prepare?.(running)) ?? {}
    const got = await running.ask(method, filled(path, values), asked)
    expect(got.status).toBe(200)
    expect(got.json ?? got.text).toEqual(answer)
    expect(got.headers).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'content-type': path.endsWith('/stream') ? 'text/event-stream' : 'application/json',
    })
  })

  test(isOpen ? 'needs no key' : 'is refused without a key', async () => {
    await using running = await server()
    const got = await running.ask(method, filled(path, {}), { ...asked, key: null })
    if (isOpen) {
      expect(got.status).toBe(200)
      return
    }
    expect(got.status).toBe(401)
    expect(got.json).toEqual({ error: 'unauthorized', message: 'Valid API key required' })
  })

  test('answers another method with 405', async () => {
    await using running = await server()
    const got = await running.ask('PATCH', filled(path, {}))
    expect(got.status).toBe(405)
    expect(got.json).toEqual({ error: 'method not allowed' })
    expect(got.headers['allow']).toContain(method)
  })

  test('is not found with something behind it', async () => {
    await using running = await server()
    const got = await running.ask(method, `${filled(path, {})}/nothing/here`, asked)
    expect(got.status).toBe(404)
    expect(got.json).toEqual({ error: 'not found' })
  })
})
