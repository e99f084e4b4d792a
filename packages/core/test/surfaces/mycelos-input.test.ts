import { request } from 'node:http'
import { mcpConnectors } from '@keelson/core/mcp'
import { say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { mycelosServer, password, type TestServer } from './mycelos-server.ts'

/** A server with something of everything, so that a change of any of it shows. */
async function open() {
  const scripted = scriptedModel([], { otherwise: say('Hi.') })
  const server = await mycelosServer({ model: scripted, connectors: mcpConnectors(), allowProcesses: true })
  await server.ask('POST', '/api/sessions')
  await server.ask('POST', '/api/knowledge/notes', { body: { title: 'Plain', content: 'As it was.' } })
  await server.runtime.client.config.change({
    patch: { agents: { assistant: { name: 'The first' } } },
    trigger: 'agent_register',
    numbering: 'reuse',
  })
  return { server, scripted }
}

const shown = [
  '/api/sessions',
  '/api/knowledge/notes',
  '/api/knowledge/notes/notes/plain',
  '/api/connectors',
  '/api/agents',
  '/api/models',
  '/api/cost?period=all',
  '/api/config',
  '/api/config/generations',
]

/** All that a client can see. */
const stateOf = async (server: TestServer) => {
  const state: Record<string, unknown> = {}
  for (const path of shown) state[path] = (await server.ask('GET', path)).json
  return state
}

/** Every route that takes a body, with one that it would take. */
const withBody: readonly [string, string, object][] = [
  ['POST', '/api/chat', { message: 'Hi' }],
  ['PATCH', '/api/sessions/s', { title: 'Other' }],
  ['POST', '/api/knowledge/search', { query: 'plain' }],
  ['POST', '/api/knowledge/notes', { title: 'Other' }],
  ['PUT', '/api/knowledge/notes/notes%2Fplain', { content: 'Other' }],
  ['PUT', '/api/knowledge/notes/notes/plain', { content: 'Other' }],
  ['PATCH', '/api/agents/assistant', { display_name: 'Other' }],
  ['POST', '/api/connectors', { name: 'other', command: 'node a' }],
  ['POST', '/api/config/rollback', { generation: 1 }],
  ['POST', '/api/auth/login', { password }],
]

const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

describe.each(withBody)('%s %s', (method, path, fine) => {
  const member = (json: string) => `${JSON.stringify(fine).slice(0, -1)},${json}}`

  test('refuses every body that is none, in the system’s words, and changes nothing', async () => {
    const { server, scripted } = await open()
    await using _ = server
    const before = await stateOf(server)
    const bodies: [string, string | Uint8Array, number, Record<string, string>?][] = [
      ['nothing', '', 422],
      ['broken JSON', '{"message": ', 422],
      ['text', 'hello', 422],
      ['two values', '{} {}', 422],
      ['bytes that are not UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 422],
      ['a polluting key', member('"__proto__":{"admin":true}'), 422],
      ['an escaped polluting key', member('"\\u005f_proto__":{"a":1}'), 422],
      ['a polluting constructor', member('"constructor":{"prototype":{"a":1}}'), 422],
      ['deep nesting', member(`"a":${deep(100)}`), 422],
      ['very deep nesting', '['.repeat(500_000), 422],
      ['null', 'null', 422],
      ['a list', '[]', 422],
      ['a string', '"hello"', 422],
      ['a number', '5', 422],
      ['another type', JSON.stringify(fine), 422, { 'content-type': 'text/plain' }],
      ['a form', 'message=Hi', 422, { 'content-type': 'application/x-www-form-urlencoded' }],
      ['another alphabet', JSON.stringify(fine), 422, { 'content-type': 'application/json; charset=utf-16' }],
      ['compressed bytes', JSON.stringify(fine), 422, { 'content-encoding': 'gzip' }],
      ['one byte too much', member(`"a":"${'x'.repeat(1_048_576)}"`), 413],
      ['10 MB', member(`"a":"${'x'.repeat(10_000_000)}"`), 413],
    ]
    for (const [what, body, status, headers] of bodies) {
      const got = await server.ask(method, path, { body, ...(headers ? { headers } : {}) })
      expect([what, got.status, Object.keys(got.json)]).toEqual([what, status, [status === 413 ? 'error' : 'detail']])
      if (status === 422) {
        const [problem] = got.json.detail
        expect(problem).toEqual({
          type: expect.any(String),
          loc: expect.any(Array),
          msg: expect.any(String),
          input: null,
        })
        expect(problem.loc[0]).toBe('body')
      }
      expect(got.text).not.toMatch(/at \w+ \(|node_modules|\.ts:|zod/i)
    }
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
    expect(await stateOf(server)).toEqual(before)
    expect(scripted.calls).toEqual([])
  })

  test('counts what is sent without a length, too', async () => {
    const { server } = await open()
    await using _ = server
    const before = await stateOf(server)
    expect(await sendEndlessly(server, method, path)).toBe(413)
    expect(await stateOf(server)).toEqual(before)
  })

  test('looks at no body of somebody unknown, or of a foreign page', async () => {
    const { server } = await open()
    await using _ = server
    for (const body of ['{broken', 'x'.repeat(2_000_000), JSON.stringify(fine)]) {
      const foreign = await server.ask(method, path, { body, headers: { origin: 'http://evil.example' } })
      expect([foreign.status, foreign.json]).toEqual([403, { error: 'Cross-origin request blocked (CSRF)' }])
      if (path === '/api/auth/login') continue
      expect((await server.ask(method, path, { body, password: null })).status).toBe(401)
    }
  })
})

/** The status that a body without an end is answered with. */
function sendEndlessly(server: TestServer, method: string, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Basic ${btoa(`x:${password}`)}`,
      'content-type': 'application/json',
      'transfer-encoding': 'chunked',
    }
    const outgoing = request({ port: server.port, host: '127.0.0.1', method, path, headers, agent: false })
    const piece = Buffer.alloc(65_536, 0x20)
    let answered = false
    const write = () => {
      if (!answered) outgoing.write(piece, () => setImmediate(write))
    }
    outgoing.on('response', (response) => {
      answered = true
      resolve(response.statusCode)
      response.resume()
      outgoing.destroy()
    })
    // What is still on its way when the answer is there has nobody to go to.
    outgoing.on('error', (error) => (answered ? undefined : reject(error)))
    write()
  })
}

describe('a value of the wrong type', () => {
  const wrong: unknown[] = [7, 1.5, true, [], {}, [['x']], { a: 1 }]
  const required: readonly [string, string, string, object][] = [
    ['POST', '/api/chat', 'message', {}],
    ['POST', '/api/knowledge/search', 'query', {}],
    ['POST', '/api/knowledge/notes', 'title', {}],
    ['POST', '/api/connectors', 'name', { command: 'node a' }],
    ['POST', '/api/auth/login', 'password', {}],
  ]
  const optional: readonly [string, string, string, object][] = [
    ['POST', '/api/chat', 'session_id', { message: 'Hi' }],
    ['POST', '/api/chat', 'channel', { message: 'Hi' }],
    ['POST', '/api/chat', 'target_agent_id', { message: 'Hi' }],
    ['POST', '/api/chat', 'workflow_run_id', { message: 'Hi' }],
    ['POST', '/api/knowledge/notes', 'content', { title: 'x' }],
    ['POST', '/api/knowledge/notes', 'type', { title: 'x' }],
    ['POST', '/api/knowledge/notes', 'due', { title: 'x' }],
    ['POST', '/api/knowledge/notes', 'parent_path', { title: 'x' }],
    ['PUT', '/api/knowledge/notes/notes/plain', 'title', {}],
    ['PUT', '/api/knowledge/notes/notes/plain', 'content', {}],
    ['PUT', '/api/knowledge/notes/notes/plain', 'status', {}],
    ['PUT', '/api/knowledge/notes/notes/plain', 'due', {}],
    ['POST', '/api/connectors', 'command', { name: 'x' }],
    ['POST', '/api/connectors', 'secret', { name: 'x', command: 'node a' }],
    ['POST', '/api/auth/login', 'next', { password }],
  ]
  test.each([...required, ...optional])('%s %s: %s is a 422 that names it, and changes nothing', async (...given) => {
    const [method, path, field, rest] = given
    const { server, scripted } = await open()
    await using _ = server
    const before = await stateOf(server)
    const values = required.includes(given) ? [...wrong, null, undefined] : wrong
    for (const value of values) {
      const got = await server.ask(method, path, { body: { ...rest, [field]: value } })
      expect([value, got.status]).toEqual([value, 422])
      if (got.json.detail !== undefined) expect(got.json.detail[0].loc.slice(0, 2)).toEqual(['body', field])
      else expect(got.json.error).toContain(field)
    }
    expect(await stateOf(server)).toEqual(before)
    expect(scripted.calls).toEqual([])
  })
})

describe('an address', () => {
  test.each([
    '/api/agents/%00',
    '/api/agents/%ff',
    '/api/agents/%c3%28',
    '/api/sessions/%00/messages',
    '/api/knowledge/notes/%00',
    '/api/knowledge/notes/notes/a%00b',
  ])('with bytes that are no text is a 400: %s', async (path) => {
    const { server } = await open()
    await using _ = server
    const got = await server.ask('GET', path)
    // Of broken escapes a framework may speak before anybody else does.
    expect([got.status, typeof got.json.error]).toEqual([400, 'string'])
  })

  test.each([
    '/api/agents/..%2f..%2fetc%2fpasswd',
    '/api/agents/%2e%2e',
    '/api/agents//assistant',
    '/api/agents/./assistant',
    '/api//agents',
    '/api/agents/ASSISTANT',
    '/API/agents',
    '/api/agents/%61ssistant%20',
    `/api/agents/${'x'.repeat(8_000)}`,
    '/api/sessions/..%2f..%2fhealth/messages',
    '/api/knowledge/notes/notes/..%2fplain%2f..',
    '/api/connectors/x/y',
  ])('that names nothing is a 4xx without a trace of how it was looked for: %s', async (path) => {
    const { server } = await open()
    await using _ = server
    const got = await server.ask('GET', path)
    expect(got.status).toBeGreaterThanOrEqual(400)
    expect(got.status).toBeLessThan(500)
    expect(got.text).not.toMatch(/select |sqlite|node_modules|\/tmp\//i)
  })

  test('may repeat a parameter: the first counts; names of the prototype are names like any other', async () => {
    const { server } = await open()
    await using _ = server
    const count = async (query: string) => (await server.ask('GET', `/api/knowledge/notes?${query}`)).json.length
    expect(await count('limit=0&limit=5')).toBe(0)
    expect(await count('__proto__=1&constructor=x&hasOwnProperty=y')).toBe(1)
    const many = await server.ask('GET', `/api/knowledge/notes?${'a=1&'.repeat(300)}`)
    expect([many.status, Object.keys(many.json)]).toEqual([422, ['detail']])
  })
})

describe('a path of a note', () => {
  const base = '/api/knowledge/notes'
  test.each<[string, number]>([
    ['..', 404],
    ['%2e%2e', 404],
    ['%2e%2e%2fplain', 400],
    ['..%2F..%2Fetc%2Fpasswd', 400],
    ['notes%2F..%2Fnotes%2Fplain', 400],
    ['notes%2F.%2Fplain', 400],
    ['notes%2F%2Fplain', 400],
    ['%2Fnotes%2Fplain', 400],
    ['notes%2Fplain%2F', 400],
    ['notes%5Cplain', 400],
    ['notes%2Fplain%00', 400],
    ['notes%252Fplain', 400],
    ['notes%2Fplain.md%20', 400],
    ['notes%2Fplain%0a', 400],
    ['notes%2F%E2%80%AEplain', 400],
    ['notes%2Fplain.md', 404],
    ['notes%2Fgr%C3%BC%C3%9Fe', 404],
    ['notes%2F%E6%97%A5%E6%9C%AC', 404],
    [`notes%2F${'x'.repeat(506)}`, 404],
    [`notes%2F${'x'.repeat(507)}`, 400],
    ['x'.repeat(7_000), 400],
    ['__proto__', 404],
    ['constructor', 404],
  ])('%s is a %i to read and to write, and nothing changes', async (path, status) => {
    const { server } = await open()
    await using _ = server
    const before = await stateOf(server)
    const read = await server.ask('GET', `${base}/${path}`)
    const written = await server.ask('PUT', `${base}/${path}`, { body: { content: 'Other', archive: true } })
    expect(read.status).toBe(status)
    // To the original a path that is none is one that only GET may ask for.
    expect([status, 405]).toContain(written.status)
    expect(await stateOf(server)).toEqual(before)
  })
})

describe('a query', () => {
  test.each([
    '"',
    '""',
    '"plain',
    'plain"',
    '*',
    'pl*ain',
    'NEAR(',
    'NEAR(plain as, 2)',
    'plain AND',
    'AND',
    'OR',
    'NOT plain',
    'plain NOT it',
    '-plain',
    'title:plain',
    'title : plain',
    '{title content}: plain',
    '^plain',
    'plain + it',
    '((((',
    'plain)',
    '\\',
    "'",
    "' OR 1=1 --",
    ':*',
    '!plain',
    'plain & it | was',
    '<->',
    '%_%',
    '...---...',
    '\u{1f600}',
    '\u0000plain',
    'a\ud800b',
    '\u202eplain',
    ' \t\n ',
    'x'.repeat(1_024),
    'a '.repeat(512),
  ])('has no operators and breaks nothing: %j', async (query) => {
    const { server } = await open()
    await using _ = server
    const got = await server.ask('POST', '/api/knowledge/search', { body: { query } })
    expect(got.status).toBe(200)
    const listed = await server.ask('GET', `/api/knowledge/notes?query=${encodeURIComponent(query.toWellFormed())}`)
    expect(listed.status).toBe(200)
    if (query.trim() !== '') expect(listed.json).toEqual(got.json)
    expect((await server.ask('POST', '/api/knowledge/search', { body: { query: 'plain' } })).json).toHaveLength(1)
  })

  test('of words that are there finds them, whatever stands between', async () => {
    const { server } = await open()
    await using _ = server
    const found = async (query: string) =>
      (await server.ask('POST', '/api/knowledge/search', { body: { query } })).json.length
    for (const query of ['plain', '"plain"', '-plain', '(plain)', 'PLAIN*', 'was, plain!', 'as:was']) {
      expect([query, await found(query)]).toEqual([query, 1])
    }
    for (const query of ['plain OR nothing', 'plain NOT it', 'title:plain', 'nothing']) {
      expect([query, await found(query)]).toEqual([query, 0])
    }
  })

  test('that is very long is refused, not searched for', async () => {
    const { server } = await open()
    await using _ = server
    for (const query of ['x'.repeat(1_025), '"'.repeat(100_000), 'a '.repeat(50_000)]) {
      const got = await server.ask('POST', '/api/knowledge/search', { body: { query } })
      expect([got.status, Object.keys(got.json)]).toEqual([400, ['error']])
    }
  })
})

describe('a rollback', () => {
  test.each<[unknown, number]>([
    [0, 400],
    [-1, 400],
    [1e9, 400],
    [2 ** 53, 422],
    ['1e1', 422],
    ['0x1', 422],
    [' 1', 422],
    ['', 422],
    ['-1', 400],
    [1.5, 422],
    [null, 422],
    [true, 422],
    [[], 422],
    [[1], 422],
    [{}, 422],
    ['__proto__', 422],
  ])('to %j is a %i under either name, and changes nothing', async (value, status) => {
    const { server } = await open()
    await using _ = server
    const before = await stateOf(server)
    for (const name of ['generation', 'generation_id']) {
      const got = await server.ask('POST', '/api/config/rollback', { body: { [name]: value } })
      expect([name, got.status, Object.keys(got.json)]).toEqual([name, status, [status === 400 ? 'error' : 'detail']])
    }
    expect(await stateOf(server)).toEqual(before)
  })
})
