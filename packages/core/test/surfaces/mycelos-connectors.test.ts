import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { inspect } from 'node:util'
import { mcpConnectors } from '@keelson/core/mcp'
import { callTool, type ScriptedModel, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import type { ChatEvent } from '../../src/surfaces/mycelos/chat-events.ts'
import { connectorOf } from '../../src/surfaces/mycelos/connectors.ts'
import { isAlive, newJournal } from '../connectors/scene.ts'
import { assistant, chat, dataOf, mycelosServer, rowTime, type TestServer, until } from './mycelos-server.ts'

const everything = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/package.json')),
  'dist/index.js',
)

describe('a connector', () => {
  test('is added, starts a real server whose tools a chat uses, and is removed', async () => {
    const model = scriptedModel([[callTool('every__echo', { message: 'ahoy' })], say('It said ahoy.')])
    await using server = await mycelosServer({ model, connectors: mcpConnectors(), allowProcesses: true })
    const before = (await server.ask('GET', '/api/config/generations')).json
    const body = { name: 'every', command: `node ${everything}` }
    const added = await server.ask('POST', '/api/connectors', { body })
    expect([added.status, added.json]).toEqual([200, { status: 'registered', connector: 'every' }])
    await until(
      async () => (await server.ask('GET', '/api/connectors')).json[0].operational_state === 'healthy',
      'it is connected',
    )
    expect((await server.ask('GET', '/api/connectors')).json).toEqual([
      {
        id: 'every',
        name: 'every',
        connector_type: 'mcp',
        description: `MCP: node ${everything}`,
        status: 'active',
        setup_type: 'mcp',
        created_at: rowTime,
        updated_at: null,
        last_success_at: rowTime,
        last_error: null,
        last_error_at: null,
        capabilities: [],
        operational_state: 'healthy',
        tool_count: expect.any(Number),
      },
    ])
    const asked = await chat(server, { message: 'Echo ahoy', session_id: 's' })
    const answered = asked.some(({ event }) => event === 'widget')
      ? await chat(server, { message: 'yes', session_id: 's' })
      : asked
    expect(dataOf(answered, 'text').content).toBe('It said ahoy.')
    expect(JSON.stringify(model.calls[1]?.request.messages)).toContain('ahoy')

    const again = await server.ask('POST', '/api/connectors', { body })
    expect([again.status, again.json]).toEqual([409, { error: "Connector 'every' already exists" }])
    const removed = await server.ask('DELETE', '/api/connectors/every')
    expect(removed.json).toEqual({ status: 'removed', connector: 'every' })
    const missing = await server.ask('DELETE', '/api/connectors/every')
    expect([missing.status, missing.json]).toEqual([404, { error: "Connector 'every' not found" }])
    expect((await server.ask('GET', '/api/connectors')).json).toEqual([])
    // The state is the one from before: its number counts again.
    const after = (await server.ask('GET', '/api/config/generations')).json
    expect(after.active_id).toBe(before.active_id)
    expect(after.generations[0]).toMatchObject({ trigger: 'connector_register', is_active: false })
  })

  test.each<[object, number]>([
    [{}, 422],
    [{ name: 7 }, 422],
    [{ name: 'x', command: 7 }, 422],
    [{ name: 'x', command: 'node a', env_vars: [] }, 422],
    [{ name: 'x', command: 'node a', secrets: 'y' }, 422],
    [{ name: 'x' }, 400],
    [{ name: 'x', command: 'rm -rf /' }, 400],
    [{ name: 'x', command: 'node a; rm b' }, 400],
    [{ name: 'x', command: 'node $(id)' }, 400],
    [{ name: 'x', command: 'bash -c ls' }, 400],
    [{ name: '', command: 'node a' }, 400],
    [{ name: '../x', command: 'node a' }, 400],
    [{ name: 'x', command: 'node a', env_vars: { LD_PRELOAD: 'y' } }, 400],
  ])('is refused as %j', async (body, status) => {
    await using server = await mycelosServer({
      model: scriptedModel([]),
      connectors: mcpConnectors(),
      allowProcesses: true,
    })
    const before = (await server.ask('GET', '/api/config/generations')).json
    const got = await server.ask('POST', '/api/connectors', { body })
    expect([got.status, Object.keys(got.json)]).toEqual([status, [status === 422 ? 'detail' : 'error']])
    expect((await server.ask('GET', '/api/connectors')).json).toEqual([])
    expect((await server.ask('GET', '/api/config/generations')).json).toEqual(before)
  })

  test('without secrets needs no vault, and with some says that there is none', async () => {
    // Nobody has given the vault a key.
    const { vaultKeyFile: _, ...store } = sqliteStore(':memory:')
    await using server = await mycelosServer({
      model: scriptedModel([]),
      connectors: mcpConnectors(),
      allowProcesses: true,
      store,
    })
    const body = { name: 'x', command: 'node a' }
    expect((await server.ask('POST', '/api/connectors', { body })).status).toBe(200)
    const secret = { ...body, name: 'y', secret: 'sk-1' }
    const refused = await server.ask('POST', '/api/connectors', { body: secret })
    expect([refused.status, JSON.stringify(refused.json)]).toEqual([503, expect.stringContaining('vault has no key')])
    expect((await server.ask('GET', '/api/connectors')).json).toHaveLength(1)
  })

  test('starts no program where the host allows none', async () => {
    await using server = await mycelosServer({ model: scriptedModel([]), connectors: mcpConnectors() })
    const got = await server.ask('POST', '/api/connectors', { body: { name: 'x', command: 'node a' } })
    expect([got.status, got.json]).toEqual([403, { error: expect.stringContaining('allowProcesses') }])
  })

  test('cannot be where the host has given no way to connect', async () => {
    await using server = await mycelosServer({ model: scriptedModel([]) })
    expect((await server.ask('GET', '/api/connectors')).json).toEqual([])
    expect((await server.ask('POST', '/api/connectors', { body: { name: 'x', command: 'node a' } })).status).toBe(503)
  })
})

const script = join(import.meta.dirname, '../connectors/child-server.ts')

/** A server that may start the programs of tests, with an agent that has the tools of all connectors. */
const open = (model: ScriptedModel = scriptedModel([])) =>
  mycelosServer({
    model,
    agents: [assistant({ connectors: '*' })],
    connectors: mcpConnectors({ programs: [process.execPath], limits: { backoffMs: 5, longestBackoffMs: 20 } }),
    allowProcesses: true,
  })

const commandOf = (behaviour = 'plain', journal = '') => `${process.execPath} ${script} ${behaviour} ${journal}`
const add = async (server: TestServer, more: object = {}) => {
  const got = await server.ask('POST', '/api/connectors', { body: { name: 'test', command: commandOf(), ...more } })
  expect(got.json).toEqual({ status: 'registered', connector: 'test' })
}
const rowOf = async (server: TestServer) => (await server.ask('GET', '/api/connectors')).json[0]
const becomes = (server: TestServer, state: string) =>
  until(async () => (await rowOf(server))?.operational_state === state, `it is ${state}`)

/** Sends a message and lets the agent do what it asks for. */
async function allow(server: TestServer, message: string): Promise<ChatEvent[]> {
  const events = [...(await chat(server, { message, session_id: 's' }))]
  while (events.at(-1)?.event === 'done' && events.some(({ event }) => event === 'widget')) {
    const more = await chat(server, { message: 'yes', session_id: 's' })
    if (!more.some(({ event }) => event === 'widget')) return more
    events.push(...more)
  }
  return events
}

describe('a program that misbehaves', () => {
  test('by ending in mid-call fails that call, and is there for the next one', async () => {
    const model = scriptedModel([
      callTool('test__die'),
      say('It died.'),
      callTool('test__echo', { text: 'x' }),
      say('On.'),
    ])
    await using server = await open(model)
    await add(server)
    expect(dataOf(await allow(server, 'Die'), 'text').content).toBe('It died.')
    expect(JSON.stringify(model.calls[1]?.request.messages.at(-1))).toContain('ended with exit code 7')
    await becomes(server, 'healthy')
    expect(dataOf(await allow(server, 'Echo'), 'text').content).toBe('On.')
  })

  test('by never answering is failing, with why, and leaves chats to their answers', async () => {
    const model = scriptedModel([say('I have no tools.')])
    await using server = await mycelosServer({
      model,
      agents: [assistant({ connectors: '*' })],
      connectors: mcpConnectors({ programs: [process.execPath], limits: { startMs: 1_000, attempts: 1 } }),
      allowProcesses: true,
    })
    await add(server, { command: commandOf('silent') })
    expect(dataOf(await chat(server, 'Hi'), 'text').content).toBe('I have no tools.')
    await becomes(server, 'failing')
    expect(await rowOf(server)).toMatchObject({
      tool_count: 0,
      last_error: expect.stringContaining('no answer within 1000 ms'),
      last_error_at: rowTime,
      last_success_at: null,
    })
  })

  test.each(['floods', 'babbles'])('because it %s works all the same', async (behaviour) => {
    await using server = await open()
    await add(server, { command: commandOf(behaviour) })
    await becomes(server, 'healthy')
    expect((await rowOf(server)).tool_count).toBe(8)
  })

  test('by getting more tools while it is connected shows them', async () => {
    const model = scriptedModel([callTool('test__grow'), say('Grown.'), say('Seen.')])
    await using server = await open(model)
    await add(server)
    await allow(server, 'Grow')
    await until(async () => (await rowOf(server)).tool_count === 9, 'it has nine tools')
    await chat(server, { message: 'And now?', session_id: 's' })
    const offered = model.calls.at(-1)?.request.tools.map(({ name }) => name)
    expect(offered).toContain('test__grown8')
  })

  test('by hanging in a call is removed all the same, and the call fails', async () => {
    const model = scriptedModel([callTool('test__slow'), say('It is gone.')])
    await using server = await open(model)
    const journal = newJournal()
    await add(server, { command: commandOf('plain', journal.file) })
    const chatting = allow(server, 'Wait')
    await until(() => journal.lines().includes('called slow'), 'the call runs')
    const removed = await server.ask('DELETE', '/api/connectors/test')
    expect(removed.json).toEqual({ status: 'removed', connector: 'test' })
    expect(dataOf(await chatting, 'text').content).toBe('It is gone.')
    const pid = Number(/^started (\d+)/.exec(journal.lines()[0] ?? '')?.[1])
    await until(() => !isAlive(pid), 'its program has ended')
    expect((await server.ask('GET', '/api/connectors')).json).toEqual([])
  })
})

describe('a name', () => {
  test.each([
    '',
    ' ',
    'a/b',
    '..',
    'ünï',
    'a b',
    'a_b',
    'a__b',
    '-a',
    'a-',
    'a\0',
    'a\n',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'x'.repeat(33),
    'x'.repeat(10_240),
  ])('is refused as %j, for what names are', async (name) => {
    await using server = await open()
    const body = { name, command: commandOf(), secret: 'sk-secret-value' }
    const got = await server.ask('POST', '/api/connectors', { body })
    expect([got.status, got.json]).toEqual([400, { error: expect.stringContaining('a name has 1 to 32 letters') }])
    expect((await server.ask('GET', '/api/connectors')).json).toEqual([])
    expect(await server.runtime.client.vault.list({})).toEqual([])
    const removed = await server.ask('DELETE', `/api/connectors/${encodeURIComponent(name)}`)
    expect(removed.status).toBeGreaterThanOrEqual(400)
    expect(removed.status).toBeLessThan(500)
  })

  test('is had by one of those who ask for it at the same time', async () => {
    await using server = await open()
    const asked = Array.from({ length: 5 }, () => ({ name: 'test', command: commandOf() }))
    const answers = await Promise.all(asked.map((body) => server.ask('POST', '/api/connectors', { body })))
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409, 409])
    for (const { json, status } of answers) {
      if (status === 409) expect(json).toEqual({ error: "Connector 'test' already exists" })
    }
    expect((await server.ask('GET', '/api/connectors')).json).toHaveLength(1)
  })
})

describe('a secret', () => {
  const token = 'tok3n/with "signs" & more'

  test('is told to its program, and by nothing to anybody', async () => {
    const model = scriptedModel([callTool('test__environment'), say('Seen.')])
    await using server = await open(model)
    await add(server, { env_vars: { TOKEN: token } })
    await becomes(server, 'healthy')
    const events = await allow(server, 'Look')
    const result = JSON.stringify(model.calls[1]?.request.messages.at(-1))
    expect(result).toContain('TOKEN')
    const said = [events, result, server.runtime.reported.map(({ error }) => inspect(error, { depth: 9 }))]
    for (const path of shownPaths) said.push((await server.ask('GET', path)).text)
    for (const command of ['/connector', '/config', '/credential', '/reload']) said.push(await chat(server, command))
    expect(JSON.stringify(said)).not.toMatch(/tok3n/)
  })

  test('is not in the error of a program that says it and ends', async () => {
    await using server = await open()
    await add(server, { command: commandOf('dies'), secrets: [`TOKEN=${token}`] })
    await becomes(server, 'failing')
    const { last_error } = await rowOf(server)
    expect(last_error).toContain('cannot log in with [secret]')
    const said = [server.runtime.reported.map(({ error }) => inspect(error, { depth: 9 }))]
    for (const path of shownPaths) said.push([(await server.ask('GET', path)).text])
    expect(JSON.stringify(said)).not.toMatch(/tok3n/)
  })

  test.each<[string, object]>([
    ['of a name that chooses code', { env_vars: { LD_PRELOAD: token } }],
    ['of a name that is none', { env_vars: { 'A B': token } }],
    ['in two lines', { env_vars: { TOKEN: `${token}\n` } }],
    ['of a command that is not allowed', { command: 'bash -c env', env_vars: { TOKEN: token } }],
    ['of the wrong type', { env_vars: { TOKEN: [token] } }],
    ['among too many', { env_vars: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`A${at}`, token])) }],
  ])('that is refused is neither kept nor repeated: %s', async (_, more) => {
    await using server = await open()
    const body = { name: 'test', command: commandOf(), ...more }
    const got = await server.ask('POST', '/api/connectors', { body })
    expect([400, 422]).toContain(got.status)
    expect(got.text).not.toContain('tok3n')
    expect(await server.runtime.client.vault.list({})).toEqual([])
  })

  test('stays where it is when somebody else asks for the name', async () => {
    await using server = await open()
    await add(server, { env_vars: { TOKEN: token } })
    const body = { name: 'test', command: commandOf(), env_vars: { TOKEN: 'another' } }
    expect((await server.ask('POST', '/api/connectors', { body })).status).toBe(409)
    expect(await server.runtime.client.vault.list({})).toMatchObject([{ name: 'connector/test' }])
  })
})

const shownPaths = [
  '/api/connectors',
  '/api/config',
  '/api/config/generations',
  '/api/agents',
  '/api/sessions/s/messages',
  '/api/health',
]

describe('secrets', () => {
  const of = (more: object) => connectorOf({ name: 'brave-search', command: 'npx server', ...more })

  test.each<[object, Record<string, string>]>([
    [{}, {}],
    [{ secret: 's' }, { BRAVE_SEARCH_API_KEY: 's' }],
    [{ secret: 's', env_vars: { A: '1', ' ': '2' } }, { A: '1' }],
    [{ secrets: ['TOKEN=a=b', { name: 'KEY', value: 'v' }] }, { TOKEN: 'a=b', KEY: 'v' }],
    [{ secrets: ['plain'] }, { BRAVE_SEARCH_API_KEY: 'plain' }],
    [{ secrets: [], secret: 's' }, { BRAVE_SEARCH_API_KEY: 's' }],
  ])('%j are these variables', (more, secrets) => {
    expect(of(more)).toMatchObject({
      ...(Object.keys(secrets).length === 0 ? {} : { secrets }),
      transport: { type: 'stdio', command: 'npx', args: ['server'], env: Object.keys(secrets) },
    })
  })

  test('of a server with an address are headers', () => {
    expect(of({ command: 'https://mcp.example.com/x', secret: 's' })).toMatchObject({
      secrets: { authorization: 'Bearer s' },
      transport: { type: 'http', url: 'https://mcp.example.com/x', headers: ['authorization'] },
    })
  })
})
