import { connect } from 'node:net'
import { join } from 'node:path'
import { LLMock } from '@copilotkit/aimock'
import { describe, expect, test } from 'vitest'
import { type Environment, readConfig } from '../src/config.ts'
import { lineOf, startServer } from '../src/server.ts'
import { ask, scratch, until } from './running-server.ts'

const framesOf = (text: string) =>
  [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? '') as Record<string, unknown>)

const said = (text: string) =>
  framesOf(text)
    .map(({ delta }) => delta ?? '')
    .join('')

describe.each(['express', 'fastify'])('on %s', (framework) => {
  async function start(environment: Environment = {}) {
    const folder = await scratch()
    const log: string[] = []
    const config = readConfig({
      PORT: '0',
      KEELSON_DB: join(folder.path, 'keelson.db'),
      KEELSON_FRAMEWORK: framework,
      ...environment,
    })
    const server = await startServer(config, (line) => log.push(line))
    return {
      folder: folder.path,
      log,
      url: server.url,
      port: new URL(server.url).port,
      close: () => server.close(),
      async [Symbol.asyncDispose]() {
        await server.close()
        await folder[Symbol.asyncDispose]()
      },
    }
  }

  describe('mounts', () => {
    test('the surface answers at the root and under its own name, and so do its 404s', async () => {
      await using server = await start()
      for (const prefix of ['', '/roboticus']) {
        const health = await ask(server.url, 'GET', `${prefix}/api/health`)
        expect([health.status, health.json]).toMatchObject([200, { status: 'ok', agent: 'Assistant' }])
        for (const path of ['/nothing', '/']) {
          const missing = await ask(server.url, 'GET', `${prefix}${path}`)
          expect([missing.status, missing.json]).toEqual([404, { error: 'not found' }])
        }
        expect((await ask(server.url, 'DELETE', `${prefix}/api/health`)).status).toBe(405)
      }
      expect((await ask(server.url, 'GET', '/api/health')).headers['x-powered-by']).toBeUndefined()
    })

    test('both are the same agent with the same sessions', async () => {
      await using server = await start()
      const created = await ask(server.url, 'POST', '/roboticus/api/sessions', { body: { agent_id: 'assistant' } })
      expect((await ask(server.url, 'GET', `/api/sessions/${created.json.id}`)).status).toBe(200)
    })
  })

  describe('the Mycelos surface', () => {
    const chat = async (url: string, path: string, body: object) => {
      const { status, text } = await ask(url, 'POST', path, { body })
      expect(status).toBe(200)
      return text
    }

    test('chats at the root and under its name, in the same sessions', async () => {
      await using server = await start()
      expect(await chat(server.url, '/api/chat', { message: 'What is 2 + 2?', session_id: 'one' })).toContain('4')
      const { json } = await ask(server.url, 'GET', '/mycelos/api/sessions')
      expect(json).toMatchObject([{ session_id: 'one', message_count: 2, title: 'What is 2 + 2?' }])
    })

    test('has the root to itself when it alone is chosen, and asks for its password', async () => {
      await using server = await start({ KEELSON_SURFACES: 'mycelos', KEELSON_PASSWORD: 'secret' })
      expect((await ask(server.url, 'GET', '/api/sessions')).json).toEqual({ error: 'Authentication required' })
      const headers = { authorization: `Basic ${btoa('x:secret')}` }
      expect((await ask(server.url, 'GET', '/api/sessions', { headers })).json).toEqual([])
      const health = await ask(server.url, 'GET', '/api/health')
      expect(health.json.security).toMatchObject({ password_protected: true, bind_host: '127.0.0.1' })
    })

    test('asks before a note is written, and takes the next message as the answer', async () => {
      await using server = await start()
      const asked = await chat(server.url, '/api/chat', { message: 'Note: buy milk', session_id: 's' })
      expect(asked).toContain('"type":"permission_prompt"')
      const notes = async () => (await ask(server.url, 'GET', '/api/knowledge/notes?query=milk')).json
      expect(await notes()).toEqual([])
      const answered = await chat(server.url, '/api/chat', { message: 'yes', session_id: 's' })
      expect(answered).toContain('event: done')
      expect(await notes()).toMatchObject([{ title: 'buy milk' }])
    })
  })

  describe('without a key', () => {
    test('the Host must be this machine', async () => {
      await using server = await start()
      const { port } = server
      const hosts: [string, number][] = [
        [`127.0.0.1:${port}`, 200],
        [`localhost:${port}`, 200],
        [`LocalHost:${port}`, 200],
        [`[::1]:${port}`, 200],
        [`evil.example:${port}`, 403],
        [`127.0.0.1.evil.example:${port}`, 403],
        ['127.0.0.1', 403],
        ['localhost', 403],
        ['127.0.0.1:1', 403],
        [`0.0.0.0:${port}`, 403],
        [`localhost:${port}.evil.example`, 403],
        [`user@localhost:${port}`, 403],
      ]
      for (const [host, status] of hosts) {
        for (const path of ['/api/sessions', '/api/health', '/nothing']) {
          const got = await ask(server.url, 'GET', path, { headers: { host } })
          expect([host, got.status]).toEqual([host, status === 200 && path === '/nothing' ? 404 : status])
          if (status === 403) expect(got.json).toEqual({ error: 'this server answers to localhost only' })
        }
      }
    })

    test('a request without a Host is refused', async () => {
      await using server = await start()
      const socket = connect(Number(server.port), '127.0.0.1')
      socket.setEncoding('utf8')
      socket.write('GET /api/health HTTP/1.0\r\n\r\n')
      let text = ''
      for await (const piece of socket) text += piece
      expect(text).toMatch(/^HTTP\/1\.1 403 /)
    })

    test.each(['forwarded', 'x-forwarded-for', 'X-Forwarded-Proto', 'x-forwarded-anything', 'X-Real-IP', 'via'])(
      'a request with %s is refused before anything else',
      async (name) => {
        await using server = await start()
        for (const [method, path] of [
          ['GET', '/api/health'],
          ['POST', '/api/agent/message'],
          ['GET', '/nothing'],
        ] as const) {
          const got = await ask(server.url, method, path, { headers: { [name]: '127.0.0.1' } })
          expect(got.status).toBe(403)
          expect(got.json.error).toContain(name.toLowerCase())
        }
      },
    )

    test('a page of another origin cannot write', async () => {
      await using server = await start()
      const asked = { body: { content: 'Hi' }, headers: { origin: 'http://evil.example' } }
      expect((await ask(server.url, 'POST', '/api/agent/message', asked)).status).toBe(403)
      const own = { body: { content: 'Hi' }, headers: { origin: server.url } }
      expect((await ask(server.url, 'POST', '/api/agent/message', own)).status).toBe(200)
    })
  })

  describe('with a key', () => {
    const withKey = { KEELSON_AUTH: 'required', KEELSON_API_KEY: 'k-123456' }

    test('nobody gets in without it, whatever the Host', async () => {
      await using server = await start(withKey)
      expect((await ask(server.url, 'GET', '/api/sessions')).status).toBe(401)
      const headers = { 'x-api-key': 'k-123456', host: 'agents.example.org', 'x-forwarded-for': '10.0.0.1' }
      expect((await ask(server.url, 'GET', '/api/sessions', { headers })).status).toBe(200)
      expect(
        (await ask(server.url, 'GET', '/roboticus/api/sessions', { headers: { ...headers, 'x-api-key': 'k' } })).status,
      ).toBe(401)
    })
  })

  describe('with the demo model', () => {
    test('answers, computes, and asks before it writes', async () => {
      await using server = await start()
      const send = (content: string) => ask(server.url, 'POST', '/api/agent/message', { body: { content } })
      expect((await send('Hello')).json).toMatchObject({
        content: expect.stringContaining('demo model'),
        model: 'demo/demo',
        nickname: 'Untitled',
      })
      expect((await send('What is 6 * 7?')).json).toMatchObject({
        content: expect.stringContaining('42'),
        react_turns: 2,
      })
      expect((await send('What is 1 / 0?')).json.content).toContain('division by zero')
      await send('Note that the key is under the mat')
      const notes = async () => (await ask(server.url, 'GET', '/mycelos/api/knowledge/notes')).json
      expect(await notes()).toEqual([])
      const { pending } = (await ask(server.url, 'GET', '/api/approvals')).json
      expect(pending).toMatchObject([{ tool_name: 'write_note', status: 'Pending' }])
      expect((await ask(server.url, 'POST', `/api/approvals/${pending[0].id}/approve`)).status).toBe(200)
      await until(async () => (await notes()).length === 1, 'the note')
      expect(server.log).toEqual([])
    })

    test('streams', async () => {
      await using server = await start()
      const got = await ask(server.url, 'POST', '/api/agent/message/stream', { body: { content: 'What is 2 + 2?' } })
      expect(got.headers['content-type']).toBe('text/event-stream')
      expect(said(got.text)).toContain('4')
      expect(framesOf(got.text).at(-1)).toMatchObject({ type: 'stream_end', model: 'demo/demo' })
    })
  })

  describe('with a server that speaks OpenAI’s protocol', () => {
    const key = 'sk-secret-of-this-test'

    test('streams a message with a tool call', async () => {
      const mock = new LLMock({ port: 0 })
      mock.on(
        { userMessage: 'sixteen', hasToolResult: false },
        { toolCalls: [{ name: 'calculator', arguments: '{"expression":"2^4"}' }] },
      )
      mock.on({ userMessage: 'sixteen', hasToolResult: true }, { content: 'Two to the four is 16.' })
      await mock.start()
      try {
        await using server = await start({ OPENAI_BASE_URL: `${mock.url}/v1`, OPENAI_API_KEY: key })
        const got = await ask(server.url, 'POST', '/api/agent/message/stream', { body: { content: 'Make sixteen' } })
        expect(said(got.text)).toBe('Two to the four is 16.')
        const frames = framesOf(got.text)
        expect(frames[0]).toMatchObject({ type: 'stream_start', model: 'openai/gpt-5-mini' })
        expect(frames.at(-1)).toMatchObject({ type: 'stream_end', tokens_out: expect.any(Number), content_length: 22 })
        const request = mock.getLastRequest()?.body as { messages: { role: string; content: unknown }[] } | undefined
        const messages = request?.messages ?? []
        expect(messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'tool'])
        expect(String(messages.at(-1)?.content)).toBe('16')
        expect(server.log).toEqual([])
      } finally {
        await mock.stop()
      }
    })

    test('a provider that refuses the key is a line in the log, without the key', async () => {
      const mock = new LLMock({ port: 0 })
      mock.onMessage('Hi', { error: { message: `bad key ${key}`, type: 'invalid_request_error' }, status: 401 })
      await mock.start()
      try {
        await using server = await start({ OPENAI_BASE_URL: `${mock.url}/v1`, OPENAI_API_KEY: key })
        const streamed = await ask(server.url, 'POST', '/api/agent/message/stream', { body: { content: 'Hi' } })
        expect([streamed.status, streamed.json]).toEqual([502, { error: 'upstream provider error' }])
        const answered = await ask(server.url, 'POST', '/api/agent/message', { body: { content: 'Hi' } })
        expect([answered.status, answered.json.tokens_in]).toEqual([200, 0])
        expect(server.log).toHaveLength(2)
        expect(server.log[0]).toMatch(/^MODEL_FAILED \(auth\) in model openai\/gpt-5-mini: /)
        expect(server.log.join()).not.toContain(key)
      } finally {
        await mock.stop()
      }
    })
  })

  test('streams a message with a tool call from a server that speaks Anthropic’s protocol', async () => {
    const mock = new LLMock({ port: 0 })
    mock.on(
      { userMessage: 'sixteen', hasToolResult: false },
      { toolCalls: [{ name: 'calculator', arguments: '{"expression":"2^4"}' }] },
    )
    mock.on({ userMessage: 'sixteen', hasToolResult: true }, { content: 'Two to the four is 16.' })
    await mock.start()
    try {
      await using server = await start({
        ANTHROPIC_BASE_URL: mock.url,
        ANTHROPIC_API_KEY: 'sk-ant-secret',
        KEELSON_MODEL: 'anthropic/claude-haiku-4-5',
      })
      const got = await ask(server.url, 'POST', '/api/agent/message/stream', { body: { content: 'Make sixteen' } })
      expect(said(got.text)).toBe('Two to the four is 16.')
      expect(framesOf(got.text)[0]).toMatchObject({ type: 'stream_start', model: 'anthropic/claude-haiku-4-5' })
      expect(mock.getRequests().map(({ path }) => path)).toEqual(['/v1/messages', '/v1/messages'])
      expect(server.log).toEqual([])
    } finally {
      await mock.stop()
    }
  })

  describe('closing', () => {
    test('ends a stream with an error frame, and may be asked twice', async () => {
      const mock = new LLMock({ port: 0 })
      mock.onMessage(
        'Hi',
        { content: 'A long answer, word by word, that takes its time.' },
        { latency: 300, chunkSize: 4 },
      )
      await mock.start()
      try {
        await using server = await start({ OPENAI_BASE_URL: `${mock.url}/v1` })
        const response = await fetch(`${server.url}/api/agent/message/stream`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ content: 'Hi' }),
        })
        await Promise.all([server.close(), server.close()])
        const frames = framesOf(await response.text())
        expect(frames.slice(-2)).toMatchObject([{ type: 'error' }, { type: 'stream_end' }])
        await expect(fetch(`${server.url}/api/health`)).rejects.toThrow()
      } finally {
        await mock.stop()
      }
    })

    test('a port in use leaves the database free', async () => {
      await using first = await start()
      await using folder = await scratch()
      const taken = readConfig({ PORT: first.port, KEELSON_DB: join(folder.path, 'keelson.db') })
      await expect(startServer(taken, () => {})).rejects.toMatchObject({ code: 'EADDRINUSE' })
      const second = await startServer({ ...taken, port: 0 }, () => {})
      await second.close()
    })
  })
})

describe('a line of the log', () => {
  test('is one line, without the cause', () => {
    const error = new TypeError('broken\n\u001b[31mred\u2028line', { cause: new Error('secret') })
    expect(lineOf(error, 'turn 1')).toBe('TypeError in turn 1: broken [31mred line')
    expect(lineOf('text', 'x')).toBe('Error in x: text')
    expect(lineOf(new Error('x'.repeat(1_000)), 'x')).toHaveLength(500)
  })
})
