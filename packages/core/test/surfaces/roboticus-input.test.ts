import { connect } from 'node:net'
import { say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { apiKey, roboticusServer } from './roboticus-server.ts'

const start = () => roboticusServer({ model: scriptedModel([], { otherwise: say('Hi.') }) })

const withBody: readonly [string, object][] = [
  ['/api/agent/message', { content: 'Hi' }],
  ['/api/agent/message/stream', { content: 'Hi' }],
  ['/api/sessions', { agent_id: 'assistant' }],
  ['/api/sessions/x/messages', { role: 'user', content: 'Hi' }],
  ['/api/approvals/x/approve', {}],
  ['/api/approvals/x/deny', {}],
]

const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

describe.each(withBody)('%s', (path, fine) => {
  const member = (json: string) =>
    `${JSON.stringify(fine).slice(0, -1)}${Object.keys(fine).length > 0 ? ',' : ''}${json}}`

  test.each<[string, string | Uint8Array, number, string]>([
    ['broken JSON', '{"content": ', 400, 'the body is not valid JSON'],
    ['text', 'hello', 400, 'the body is not valid JSON'],
    ['two values', '{} {}', 400, 'the body is not valid JSON'],
    [
      'bytes that are not UTF-8',
      new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
      400,
      'the body is not valid JSON',
    ],
    ['a polluting key', member('"__proto__":{"admin":true}'), 400, 'the body has a key that is not allowed'],
    ['an escaped polluting key', member('"\\u005f_proto__":{"a":1}'), 400, 'the body has a key that is not allowed'],
    [
      'a polluting constructor',
      member('"constructor":{"prototype":{"a":1}}'),
      400,
      'the body has a key that is not allowed',
    ],
    ['deep nesting', member(`"a":${deep(100)}`), 400, 'the body is nested too deeply'],
    ['very deep nesting', '['.repeat(500_000), 400, 'the body is nested too deeply'],
    ['10 MB', JSON.stringify({ content: 'x'.repeat(10_000_000) }), 413, 'the body is too large'],
    ['one byte over the limit', member(`"a":"${'x'.repeat(1_048_576)}"`), 413, 'the body is too large'],
    ['null', 'null', 422, 'invalid body: Invalid input: expected object, received null'],
    ['a list', '[]', 422, 'invalid body: Invalid input: expected object, received array'],
    ['a string', '"hello"', 422, 'invalid body: Invalid input: expected object, received string'],
    ['a number', '5', 422, 'invalid body: Invalid input: expected object, received number'],
  ])('refuses %s', async (_, body, status, error) => {
    await using server = await start()
    const got = await server.ask('POST', path, { body })
    expect([got.status, got.json]).toEqual([status, { error }])
    expect(got.text).not.toMatch(/at \w+ \(|node_modules|\.ts:/)
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined()
    expect((await server.ask('GET', '/api/health')).status).toBe(200)
  })

  test.each([
    ['text/plain', 415],
    ['application/x-www-form-urlencoded', 415],
    ['multipart/form-data; boundary=x', 415],
    ['application/json; charset=latin1', 415],
    ['', 415],
  ])('refuses the content type %j', async (type, status) => {
    await using server = await start()
    const got = await server.ask('POST', path, { body: fine, headers: { 'content-type': type } })
    expect([got.status, Object.keys(got.json)]).toEqual([status, ['error']])
  })

  test('looks at nothing of the body without a key', async () => {
    await using server = await start()
    for (const body of ['{broken', 'x'.repeat(2_000_000)]) {
      expect((await server.ask('POST', path, { key: null, body })).status).toBe(401)
    }
  })
})

describe('the content of a message', () => {
  test.each<[string, unknown, number, string]>([
    ['missing', {}, 422, 'invalid body: content: Invalid input: expected string, received undefined'],
    ['null', { content: null }, 422, 'invalid body: content: Invalid input: expected string, received null'],
    ['a number', { content: 5 }, 422, 'invalid body: content: Invalid input: expected string, received number'],
    ['a list', { content: ['Hi'] }, 422, 'invalid body: content: Invalid input: expected string, received array'],
    ['empty', { content: '' }, 400, 'content must not be empty'],
    ['blank', { content: ' \t\r\n\u00a0\u2003' }, 400, 'content must not be empty'],
    ['with NUL', { content: 'a\0b' }, 400, 'content must not contain NUL'],
    ['too long', { content: 'x'.repeat(32_769) }, 413, 'content must have at most 32768 bytes'],
    ['too long in bytes', { content: '😀'.repeat(8_193) }, 413, 'content must have at most 32768 bytes'],
    ['with a wrong session', { content: 'x', session_id: 5 }, 422, expect.stringContaining('session_id')],
    ['with a wrong flag', { content: 'x', is_group: 'yes' }, 422, expect.stringContaining('is_group')],
    ['with a wrong channel', { content: 'x', channel: {} }, 422, expect.stringContaining('channel')],
  ])('%s is refused', async (_, body, status, error) => {
    await using server = await start()
    for (const path of ['/api/agent/message', '/api/agent/message/stream']) {
      const got = await server.ask('POST', path, { body })
      expect([got.status, got.json]).toEqual([status, { error }])
    }
    expect((await server.ask('GET', '/api/sessions')).json.sessions).toEqual([])
  })

  test.each([
    ['32768 bytes', 'x'.repeat(32_768)],
    ['half a surrogate pair', 'a\ud800b'],
    ['markup', '<script>alert(1)</script>'],
    ['SQL', "'; DROP TABLE sessions; --"],
    ['a key of the prototype', '__proto__'],
  ])('%s is answered', async (_, content) => {
    await using server = await start()
    const got = await server.ask('POST', '/api/agent/message', { body: { content } })
    expect([got.status, got.json.content]).toEqual([200, 'Hi.'])
    const { messages } = (await server.ask('GET', `/api/sessions/${got.json.session_id}/messages`)).json
    expect(messages[0].content).toBe(content.toWellFormed())
  })

  test('unknown members are ignored', async () => {
    await using server = await start()
    const body = { content: 'x', model: 'evil/model', authority: 'Creator', stream: true }
    expect((await server.ask('POST', '/api/agent/message', { body })).json.model).toBe('openai/gpt-5-mini')
  })
})

describe('odd requests', () => {
  test.each([
    ['GET', '/', 404],
    ['GET', '/api', 404],
    ['GET', '/api/', 404],
    ['GET', '//api/sessions', 404],
    ['GET', '/api/../api/sessions', 404],
    ['GET', '/API/SESSIONS', 404],
    ['GET', '/api/sessions/a/b', 404],
    ['DELETE', '/api/sessions/x', 405],
    ['PUT', '/api/sessions', 405],
    ['OPTIONS', '/api/sessions', 405],
    ['TRACE', '/api/health', 405],
    ['GET', '/api/agent/message', 405],
    ['GET', '/api/approvals/x/approve', 405],
    ['HEAD', '/api/health', 200],
    ['HEAD', '/api/sessions', 200],
  ])('%s %s is a %i', async (method, path, status) => {
    await using server = await start()
    const got = await server.ask(method, path)
    expect(got.status).toBe(status)
    if (method === 'HEAD') expect(got.text).toBe('')
    else expect(got.json).toEqual({ error: status === 404 ? 'not found' : 'method not allowed' })
    expect(got.headers['x-content-type-options']).toBe('nosniff')
  })

  test('a query of many parameters is refused', async () => {
    await using server = await start()
    const got = await server.ask('GET', `/api/sessions?${'a=1&'.repeat(2_000)}`)
    expect(got.status).toBe(400)
    expect(got.json.error).toMatch(/^invalid query: /)
  })

  test('a broken connection leaves the server well', async () => {
    await using server = await start()
    for (let round = 0; round < 5; round += 1) {
      const socket = connect(server.port, '127.0.0.1')
      socket.write(
        `POST /api/agent/message HTTP/1.1\r\nHost: x\r\nx-api-key: ${apiKey}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"con`,
      )
      await new Promise((resolve) => setTimeout(resolve, 10))
      socket.destroy()
    }
    expect((await server.ask('GET', '/api/health')).status).toBe(200)
    expect(server.runtime.reported).toEqual([])
  })
})
