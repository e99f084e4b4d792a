import { readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { LLMock } from '@copilotkit/aimock'
import { describe, expect, test } from 'vitest'
import { ask, runServer, scratch, until } from './running-server.ts'

const secret = 'hunter2-secret'

describe('the start', () => {
  test('prints where it listens and what it is made of, and no secret', async () => {
    await using folder = await scratch()
    await using server = runServer(folder.path, {
      KEELSON_API_KEY: secret,
      OPENAI_API_KEY: `sk-${secret}`,
      OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    })
    const url = await server.listening()
    expect(server.stdout().replace(url, '<url>')).toBe(
      [
        'Keelson listens on <url>',
        '  mounts    roboticus at / and /roboticus, mycelos at / and /mycelos',
        '  model     openai/gpt-5-mini at 127.0.0.1:9',
        '  database  keelson.db',
        '  access    whoever has the API key (x-api-key, or Authorization: Bearer)',
        '',
      ].join('\n'),
    )
    expect(server.stdout() + server.stderr()).not.toContain(secret)
    expect((await ask(url, 'GET', '/api/sessions', { headers: { 'x-api-key': secret } })).status).toBe(200)
  })

  test('says that the demo model is none, and that a database in memory is lost', async () => {
    await using folder = await scratch()
    await using server = runServer(folder.path, { KEELSON_DB: ':memory:' })
    await server.listening()
    expect(server.stdout()).toMatch(/demo\/demo: not a real model/)
    expect(server.stdout()).toMatch(/in memory: gone when the server stops/)
    expect(server.stdout()).toMatch(/programs of this machine, without a key/)
    expect(await readdir(folder.path)).toEqual([])
  })

  test.each<[Record<string, string>, RegExp]>([
    [{ PORT: 'abc' }, /^keelson: PORT must be/],
    [{ KEELSON_FRAMEWORK: 'koa' }, /^keelson: KEELSON_FRAMEWORK must be express or fastify/],
    [{ KEELSON_DB: `postgres://u:${secret}@h:x/d` }, /^keelson: KEELSON_DB is not a valid postgres:/],
    [{ HOST: '0.0.0.0' }, /^keelson: HOST 0\.0\.0\.0 can be reached from elsewhere/],
    [{ KEELSON_AUTH: 'required' }, /^keelson: KEELSON_AUTH=required needs KEELSON_API_KEY/],
  ])('with %j ends with code 2 and one line', async (environment, line) => {
    await using folder = await scratch()
    await using server = runServer(folder.path, environment)
    expect(await server.ended).toBe(2)
    expect(server.stderr()).toMatch(line)
    expect(server.stderr().trimEnd().split('\n')).toHaveLength(1)
    expect(server.stdout() + server.stderr()).not.toContain(secret)
    expect(await readdir(folder.path)).toEqual([])
  })

  test('on a port in use ends with code 1 and one line', async () => {
    await using folder = await scratch()
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    const port = typeof address === 'object' ? address?.port : undefined
    try {
      await using server = runServer(folder.path, { PORT: String(port) })
      expect(await server.ended).toBe(1)
      expect(server.stderr()).toBe(`keelson: port ${port} of 127.0.0.1 is in use; choose another one with PORT\n`)
    } finally {
      other.close()
    }
  })

  test('on a database in use ends with code 1 and one line', async () => {
    await using folder = await scratch()
    await using first = runServer(folder.path, {})
    await first.listening()
    await using second = runServer(folder.path, {})
    expect(await second.ended).toBe(1)
    expect(second.stderr()).toBe('keelson: another runtime uses this database file; stop it or use another file\n')
  })
})

describe('the end', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('by %s is clean, and what was stored is there again', async (signal) => {
    await using folder = await scratch()
    await using first = runServer(folder.path, {})
    const sent = await ask(await first.listening(), 'POST', '/api/agent/message', { body: { content: 'Hello there' } })
    first.child.kill(signal)
    expect(await first.ended).toBe(0)
    expect(first.stderr()).toBe('')
    await using second = runServer(folder.path, {})
    const { messages } = (await ask(await second.listening(), 'GET', `/api/sessions/${sent.json.session_id}/messages`))
      .json
    expect(messages).toMatchObject([{ content: 'Hello there' }, { content: sent.json.content }])
  })

  test('in mid-stream ends the stream, and the turn goes on after the next start', async () => {
    const mock = new LLMock({ port: 0 })
    const words = 'This answer is told slowly, piece by piece, over more time than anybody has.'
    mock.on({ userMessage: 'Tell me', sequenceIndex: 0 }, { content: words }, { latency: 500, chunkSize: 5 })
    mock.on({ userMessage: 'Tell me', sequenceIndex: 1 }, { content: 'This is the whole answer.' })
    await mock.start()
    try {
      await using folder = await scratch()
      const environment = { OPENAI_BASE_URL: `${mock.url}/v1` }
      await using first = runServer(folder.path, environment)
      const response = await fetch(`${await first.listening()}/api/agent/message/stream`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ content: 'Tell me' }),
      })
      expect(response.status).toBe(200)
      first.child.kill('SIGTERM')
      const text = await response.text()
      expect(await first.ended).toBe(0)
      const frames = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? ''))
      expect(frames.map(({ type }) => type)).toEqual(
        expect.arrayContaining(['stream_start', 'chunk', 'error', 'stream_end']),
      )
      expect(frames.at(-2)).toEqual({ type: 'error', error: 'the stream was interrupted' })
      const session: string = frames[0].session_id

      await using second = runServer(folder.path, environment)
      const url = await second.listening()
      const messages = async () => (await ask(url, 'GET', `/api/sessions/${session}/messages`)).json.messages
      await until(async () => (await messages()).length === 2, 'the answer')
      expect(await messages()).toMatchObject([{ content: 'Tell me' }, { content: 'This is the whole answer.' }])
    } finally {
      await mock.stop()
    }
  })

  test('a second signal does not wait', async () => {
    await using folder = await scratch()
    await using server = runServer(folder.path, {})
    const url = await server.listening()
    // A body that never ends keeps its connection open, and a stop waits a while for it.
    const held = fetch(`${url}/api/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new ReadableStream({ pull: () => new Promise(() => {}) }),
      duplex: 'half',
    } as RequestInit).catch(() => 'gone')
    await until(async () => (await ask(url, 'GET', '/api/health')).status === 200, 'it answers')
    server.child.kill('SIGTERM')
    await new Promise((resolve) => setTimeout(resolve, 700))
    server.child.kill('SIGTERM')
    expect(await server.ended).toBe(1)
    expect(await held).toBe('gone')
  })
})
