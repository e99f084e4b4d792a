import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { mcpConnectors } from '@keelson/core/mcp'
import { callTool, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { connectorOf } from '../../src/surfaces/mycelos/connectors.ts'
import { chat, dataOf, mycelosServer, rowTime, until } from './mycelos-server.ts'

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
      secrets,
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
