import { defineTool } from '@keelson/core'
import { mcpConnectors } from '@keelson/core/mcp'
import { callTool, finish, respond, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { assistant, eventsOf, modelName, mycelosServer, type TestServer } from './mycelos-server.ts'
import { people } from './surface-server.ts'

/** Dollars for a million tokens. */
const price = { input: 3_000_000, output: 15_000_000 }

const open = () =>
  mycelosServer({
    model: scriptedModel([], {
      otherwise: respond(({ messages }) => {
        const last = messages.at(-1)?.parts[0]
        const text = last?.type === 'text' ? last.text : ''
        return text === 'mail' ? callTool('send_mail') : [say('Hi.'), finish({ usage: { input: 100, output: 20 } })]
      }),
      models: [{ name: modelName, contextTokens: 100_000, maxOutputTokens: 4_000, price }],
    }),
    agents: [
      assistant({
        recall: { notes: true },
        tools: [
          defineTool({
            name: 'send_mail',
            description: 'Sends',
            input: z.object({}),
            risk: 'caution',
            approval: 'always',
            execute: () => 'sent',
          }),
        ],
      }),
    ],
    users: people,
    connectors: mcpConnectors(),
    allowProcesses: true,
  })

const as = (server: TestServer, user: string) => ({
  ask: (method: string, path: string, body?: object) =>
    server.ask(method, path, { user, password: null, ...(body ? { body } : {}) }),
  get: async (path: string) => (await server.ask('GET', path, { user, password: null })).json,
  async chat(message: string, session_id: string) {
    const got = await server.ask('POST', '/api/chat', { user, password: null, body: { message, session_id } })
    expect(got.status).toBe(200)
    return eventsOf(got.text)
  },
})

/** Without how they do, which changes by itself. */
const connectorsOf = async ({ get }: ReturnType<typeof as>) =>
  (await get('/api/connectors')).map(({ description, id, status }: Record<string, string>) => [id, description, status])

/** North has a session, notes, costs, a connector, a key, a changed agent and an open question; South has nothing. */
async function inhabited() {
  const server = await open()
  const [ann, amy, boss, rex] = ['ann', 'amy', 'boss', 'rex'].map((name) => as(server, name))
  if (!ann || !amy || !boss || !rex) throw new Error('somebody is missing')
  await ann.chat('hello', 'anns')
  await boss.chat('secret plan', 'bosses')
  await ann.ask('POST', '/api/knowledge/notes', { title: 'Plan of ann', content: 'keel' })
  await boss.ask('POST', '/api/knowledge/notes', { title: 'Plan of boss', content: 'keel' })
  await boss.ask('POST', '/api/connectors', { name: 'yard', command: 'node a', env_vars: { TOKEN: 'tok3n' } })
  const north = server.runtime.as(people['boss'] ?? null)
  await north.config.change({
    patch: { agents: { assistant: { name: 'The northern one', instructions: 'Northern.' } } },
    trigger: 'agent_register',
    description: 'north only',
    numbering: 'reuse',
  })
  await boss.chat('mail', 'waiting')
  return { server, ann, amy, boss, rex, north }
}

describe('two tenants', () => {
  test('see nothing of each other in any list', async () => {
    const { server, boss, rex } = await inhabited()
    await using _ = server
    expect((await boss.get('/api/sessions')).length).toBe(3)
    const paths = {
      '/api/sessions': [],
      '/api/knowledge/notes': [],
      '/api/knowledge/notes?query=plan': [],
      '/api/connectors': [],
    }
    for (const [path, nothing] of Object.entries(paths)) expect([path, await rex.get(path)]).toEqual([path, nothing])
    expect((await rex.ask('POST', '/api/knowledge/search', { query: 'keel' })).json).toEqual([])
    for (const period of ['today', 'week', 'month', 'all']) {
      expect(await rex.get(`/api/cost?period=${period}`)).toMatchObject({ models: [], total_cost: 0, total_tokens: 0 })
    }
    expect((await boss.get('/api/cost')).total_cost).toBeGreaterThan(0)
    const [config, generations, agents, models] = await Promise.all(
      ['/api/config', '/api/config/generations', '/api/agents', '/api/models'].map((path) => rex.get(path)),
    )
    expect(config.connectors).toEqual({})
    expect(JSON.stringify([config, generations, agents, models])).not.toMatch(/north|yard|tok3n/i)
    expect((await boss.get('/api/agents'))[0]).toMatchObject({
      display_name: 'The northern one',
      system_prompt: 'Northern.',
    })
    expect((await rex.get('/api/agents'))[0]).toMatchObject({
      display_name: 'The assistant',
      system_prompt: 'You help.',
    })
  })

  test('see nothing of each other through commands', async () => {
    const { server, rex } = await inhabited()
    await using _ = server
    for (const command of [
      '/sessions',
      '/memory',
      '/memory search keel',
      '/connector',
      '/config',
      '/cost all',
      '/agent',
      '/credential',
      '/reload',
    ]) {
      const said = JSON.stringify(await rex.chat(command, 'rexes'))
      expect([command, /ann|boss|plan|north|yard|tok3n|keel|secret|0\.0006/i.test(said.replace(command, ''))]).toEqual([
        command,
        false,
      ])
    }
  })

  test('reach nothing of each other by name', async () => {
    const { server, ann, boss, rex, north } = await inhabited()
    await using _ = server
    const state = async () => [
      await boss.get('/api/sessions'),
      await boss.get('/api/sessions/anns/messages'),
      await boss.get('/api/sessions/waiting/messages'),
      await boss.get('/api/knowledge/notes'),
      await connectorsOf(boss),
      await boss.get('/api/config'),
      await boss.get('/api/config/generations'),
      await north.vault.list({}),
    ]
    const before = await state()
    const { active_id } = await boss.get('/api/config/generations')
    const tries: [string, string, object?][] = [
      ['GET', '/api/sessions/anns/messages'],
      ['PATCH', '/api/sessions/anns', { title: 'Mine' }],
      ['POST', '/api/chat', { message: 'hello', session_id: 'anns' }],
      ['POST', '/api/chat', { message: '/help', session_id: 'anns' }],
      ['POST', '/api/chat', { message: 'yes', session_id: 'waiting' }],
      ['GET', '/api/knowledge/notes/notes/plan-of-ann'],
      ['PUT', '/api/knowledge/notes/notes/plan-of-ann', { content: 'Mine' }],
      ['PUT', '/api/knowledge/notes/notes%2Fplan-of-boss', { archive: true }],
      ['DELETE', '/api/connectors/yard'],
      ['POST', '/api/config/rollback', { generation: active_id + 40 }],
    ]
    for (const [method, path, body] of tries) {
      const got = await rex.ask(method, path, body)
      expect([path, got.status >= 400 && got.status < 500]).toEqual([path, true])
      expect(got.text).not.toMatch(/hello|keel|node a/)
    }
    expect(await state()).toEqual(before)
    expect(await north.approvals.list({ status: 'pending', limit: 9, offset: 0 })).toHaveLength(1)
    expect((await ann.get('/api/sessions')).length).toBe(1)
  })

  test('have notes, connectors and generations of the same names', async () => {
    const { server, boss, rex } = await inhabited()
    await using _ = server
    const note = { title: 'Plan of boss', content: 'southern' }
    expect((await rex.ask('POST', '/api/knowledge/notes', note)).json.path).toBe('notes/plan-of-boss')
    const body = { name: 'yard', command: 'node b', env_vars: { TOKEN: 'other' } }
    expect((await rex.ask('POST', '/api/connectors', body)).status).toBe(200)
    expect((await boss.get('/api/knowledge/notes/notes/plan-of-boss')).content).toBe('keel')
    expect((await rex.get('/api/knowledge/notes/notes/plan-of-boss')).content).toBe('southern')
    expect((await boss.get('/api/connectors'))[0].description).toBe('MCP: node a')
    expect((await rex.get('/api/connectors'))[0].description).toBe('MCP: node b')
    expect((await rex.ask('DELETE', '/api/connectors/yard')).status).toBe(200)
    expect(await boss.get('/api/connectors')).toHaveLength(1)
    const before = await boss.get('/api/config/generations')
    const [newest] = (await rex.get('/api/config/generations')).generations
    await rex.ask('POST', '/api/config/rollback', { generation: newest.id })
    expect(await boss.get('/api/config/generations')).toEqual(before)
  })

  test('give their models no note of each other', async () => {
    const { server, rex } = await inhabited()
    await using _ = server
    await rex.chat('What about the keel of the plan?', 'rexes')
    const turns = await server.runtime
      .as(people['rex'] ?? null)
      .sessions.turns({ session: 'rexes', limit: 1, offset: 0 })
    expect(JSON.stringify(turns[0]?.context)).not.toContain('plan-of')
  })
})

describe('within a tenant', () => {
  test('each user has their own sessions, notes and costs, and an operator all of them', async () => {
    const { server, ann, amy, boss } = await inhabited()
    await using _ = server
    expect(await amy.get('/api/sessions')).toEqual([])
    expect(await amy.get('/api/knowledge/notes')).toEqual([])
    expect((await amy.ask('POST', '/api/knowledge/search', { query: 'keel' })).json).toEqual([])
    expect((await amy.get('/api/cost')).models).toEqual([])
    expect((await ann.get('/api/sessions')).map(({ session_id }: { session_id: string }) => session_id)).toEqual([
      'anns',
    ])
    expect(await ann.get('/api/knowledge/notes')).toHaveLength(1)
    expect((await ann.get('/api/cost')).total_cost).toBe(0.0006)
    expect(await boss.get('/api/knowledge/notes')).toHaveLength(2)
    expect((await boss.get('/api/cost')).total_cost).toBeGreaterThan(0.0006)
    expect((await amy.ask('GET', '/api/knowledge/notes/notes/plan-of-ann')).status).toBe(404)
    expect((await amy.ask('PUT', '/api/knowledge/notes/notes/plan-of-ann', { content: 'Mine' })).status).toBe(404)
    expect((await amy.ask('GET', '/api/sessions/anns/messages')).json).toEqual({ error: 'Session not found' })
  })

  test('who is no operator changes nothing that all share, and sees no secret of it', async () => {
    const { server, ann, boss } = await inhabited()
    await using _ = server
    const state = async () => [
      await connectorsOf(boss),
      await boss.get('/api/config'),
      await boss.get('/api/config/generations'),
    ]
    const before = await state()
    const { active_id } = await boss.get('/api/config/generations')
    const tries: [string, string, object?][] = [
      ['GET', '/api/connectors'],
      ['POST', '/api/connectors', { name: 'mine', command: 'node a' }],
      ['DELETE', '/api/connectors/yard'],
      ['PATCH', '/api/agents/assistant', { display_name: 'Mine' }],
      ['POST', '/api/config/rollback', { generation: active_id }],
    ]
    for (const [method, path, body] of tries) {
      const got = await ann.ask(method, path, body)
      expect([method, path, got.status, Object.keys(got.json)]).toEqual([method, path, 403, ['error']])
    }
    for (const command of [
      `/config rollback ${active_id}`,
      '/connector remove yard',
      '/credential store openai sk-1',
      '/reload',
      '/connector add mine node a',
    ]) {
      expect(JSON.stringify(await ann.chat(command, 'anns'))).toContain('That did not work')
    }
    for (const path of [
      '/api/config',
      '/api/config/generations',
      '/api/agents',
      '/api/agents/assistant',
      '/api/health',
    ]) {
      expect((await ann.ask('GET', path)).text).not.toMatch(/Northern\.|tok3n|node a/)
    }
    expect(await state()).toEqual(before)
  })

  test('nobody answers a question in somebody else’s session', async () => {
    const { server, ann, amy, north } = await inhabited()
    await using _ = server
    for (const user of [ann, amy]) {
      expect((await user.ask('POST', '/api/chat', { message: 'yes', session_id: 'waiting' })).status).toBeLessThan(500)
    }
    expect(await north.approvals.list({ status: 'pending', limit: 9, offset: 0 })).toHaveLength(1)
  })
})
