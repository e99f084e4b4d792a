import { connect, type Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { answerEvents, type HttpSink } from '@keelson/core/http'
import Fastify from 'fastify'
import { describe, expect, it, vi } from 'vitest'
import { type KeelsonOptions, keelson } from '../src/index.ts'
import { listen } from './host.ts'
import { type Client, type Handle, runtime, surface } from './surface.ts'

/** For what comes as soon as the machine gets round to it. */
const soon = { timeout: 20_000 }

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate)
}

const appOf = (routes: Readonly<Record<string, Handle>>, options: Partial<KeelsonOptions<Client>> = {}) => {
  const reportError = vi.fn()
  const app = Fastify({ forceCloseConnections: true })
  app.setNotFoundHandler((_request, reply) => reply.code(404).send('host: not found'))
  app.register(
    keelson({ ...runtime, reportError }, { mounts: [{ prefix: '/ai', surface: surface(routes) }], ...options }),
  )
  return { app, reportError }
}

/** Writes what it is told over a connection of its own, and keeps what comes back. */
function raw(origin: string): { socket: Socket; received: () => string; closed: Promise<void> } {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', () => {})
  return { socket, received: () => text, closed: new Promise((resolve) => socket.on('close', () => resolve())) }
}

const send = async (origin: string, text: string): Promise<string> => {
  const { socket, received, closed } = raw(origin)
  socket.write(text)
  await closed
  return received()
}

const statusOf = (answer: string): number => Number(answer.split(' ')[1])

describe('a client that is slow or gone', () => {
  it('has its body given up after a while, however it drips', async () => {
    const { app, reportError } = appOf({ 'POST /echo': ({ body }) => ({ json: body }) }, { bodyTimeoutMs: 150 })
    const { origin, close } = await listen(app)
    const { socket, received, closed } = raw(origin)
    socket.write('POST /ai/echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"')
    const drip = setInterval(() => socket.write('a'), 20)
    await vi.waitFor(() => expect(received()).toContain('BODY_TIMEOUT'), soon)
    expect(statusOf(received())).toBe(408)
    await closed
    clearInterval(drip)
    expect(reportError).not.toHaveBeenCalled()
    await close()
  })

  it('that leaves in the middle of its body is given up, and nobody is blamed', async () => {
    const { promise: gone, resolve: aborted } = Promise.withResolvers<void>()
    const { promise: begun, resolve: reading } = Promise.withResolvers<void>()
    const rejected = vi.fn()
    const { app, reportError } = appOf({
      async 'PUT /raw'({ request }) {
        request.signal.addEventListener('abort', () => aborted())
        reading()
        await request.bytes(1_000).catch((error: { code: string }) => rejected(error.code))
        return { empty: true }
      },
    })
    const { origin, close } = await listen(app)
    const { socket } = raw(origin)
    socket.write('PUT /ai/raw HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\nhalf')
    await begun
    socket.destroy()
    await gone
    await vi.waitFor(() => expect(rejected).toHaveBeenCalledExactlyOnceWith('CLIENT_GONE'), soon)
    expect(reportError).not.toHaveBeenCalled()
    await close()
  })

  it('that leaves in the middle of a stream ends it', async () => {
    let sink: HttpSink | undefined
    const ended = vi.fn()
    const { app, reportError } = appOf({
      'GET /endless': () => ({
        type: 'text/plain',
        async stream(to) {
          sink = to
          while (!to.signal.aborted) {
            await to.write('x'.repeat(1_000))
            await turns(1)
          }
          ended()
        },
      }),
    })
    const { origin, close } = await listen(app)
    const { socket, received } = raw(origin)
    socket.write('GET /ai/endless HTTP/1.1\r\nhost: x\r\n\r\n')
    await vi.waitFor(() => expect(received().length).toBeGreaterThan(5_000), soon)
    socket.destroy()
    await vi.waitFor(() => expect(ended).toHaveBeenCalledOnce(), soon)
    expect(sink?.write('late')).toBeUndefined()
    expect(reportError).not.toHaveBeenCalled()
    await close()
  })

  it('gets the head of a stream before the first event', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const { app } = appOf({ 'GET /quiet': () => answerEvents(() => released) })
    const { origin, close } = await listen(app)
    const response = await fetch(`${origin}/ai/quiet`)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    release()
    expect(await response.text()).toBe('')
    await close()
  })
})

describe('paths and headers made to be read twice', () => {
  const { app } = appOf({
    'GET /things/:id': ({ params, query }) => ({ json: { id: params['id'], query } }),
    'GET /open': () => ({ json: 'open' }),
    'POST /echo': ({ body }) => ({ json: { body } }),
  })
  const get = async (path: string) => {
    const answer = await app.inject(path)
    return [answer.statusCode, answer.payload]
  }

  it.each([
    '/ai//open',
    '/ai/./open',
    '/ai/%2e/open',
    '/ai/x/..%2fopen',
    '/%61i/open',
    '/ai/open%2f',
    '/ai/open;x=1',
    '/ai/ope%6e',
  ])('%s is nothing of ours', async (path) => {
    const { origin, close } = await listen(appOf({ 'GET /open': () => ({ json: 'open' }) }).app)
    const answer = await send(origin, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
    expect(answer).toContain('host: not found')
    await close()
  })

  it('an encoded slash stays in its parameter', async () => {
    expect(await get('/ai/things/a%2F..%2Fb')).toEqual([200, '{"id":"a/../b","query":{}}'])
    expect(await get('/ai/things/%252e%252e')).toEqual([200, '{"id":"%2e%2e","query":{}}'])
  })

  it('a name of Object’s own is a name like any other', async () => {
    expect(await get('/ai/things/__proto__?__proto__=1&constructor=2')).toEqual([
      200,
      '{"id":"__proto__","query":{"__proto__":"1","constructor":"2"}}',
    ])
    expect(({} as Record<string, unknown>)['1']).toBeUndefined()
  })

  it('the first of two values counts', async () => {
    expect(await get('/ai/things/1?role=user&role=admin&role[]=x')).toEqual([
      200,
      '{"id":"1","query":{"role":"user","role[]":"x"}}',
    ])
  })

  it('bodies that would change prototypes are refused', async () => {
    for (const payload of [
      '{"__proto__":{"a":1}}',
      '{"x":[{"constructor":{"prototype":{"a":1}}}]}',
      '{"\\u005f_proto__":1}',
    ]) {
      const refused = await app.inject({
        method: 'POST',
        url: '/ai/echo',
        payload,
        headers: { 'content-type': 'application/json' },
      })
      expect([refused.statusCode, refused.json()]).toEqual([400, { code: 'MALFORMED_JSON' }])
    }
  })

  it('two lengths of one body reach nobody', async () => {
    const { origin, close } = await listen(appOf({ 'POST /echo': () => ({ json: 'reached' }) }).app)
    const both = 'content-length: 4\r\ntransfer-encoding: chunked\r\n'
    for (const headers of [
      both,
      'content-length: 4\r\ncontent-length: 5\r\n',
      'transfer-encoding: chunked, identity\r\n',
    ]) {
      const answer = await send(
        origin,
        `POST /ai/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n${headers}\r\n0\r\n\r\n`,
      )
      expect([statusOf(answer), answer.includes('reached')], headers).toEqual([400, false])
    }
    await close()
  })
})

describe('many clients at once', () => {
  /** Connections in memory: no kernel buffers stand between the writer and what it may buffer. */
  async function inMemory(handle: Handle) {
    const { app } = appOf({ 'GET /x': handle })
    const buffered: (() => number)[] = []
    app.addHook('onRequest', async (_request, { raw }) => void buffered.push(() => raw.writableLength))
    await app.ready()
    const connect = (): Duplex => {
      const [client, side] = duplexPair()
      app.server.emit('connection', side)
      client.write('GET /ai/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
      return client
    }
    return { connect, most: () => Math.max(...buffered.map((length) => length())), count: () => buffered.length }
  }

  it('that do not read make 200 event streams wait, and get all of them when they do', async () => {
    const events = 100
    const data = 'x'.repeat(4_096)
    let sent = 0
    const { connect, most, count } = await inMemory(() =>
      answerEvents(async ({ send }) => {
        for (let event = 0; event < events; event += 1) {
          await send({ data })
          sent += 1
        }
      }),
    )
    const clients = Array.from({ length: 200 }, connect)
    await vi.waitFor(() => expect(count()).toBe(200), soon)
    await turns(200)
    expect(most()).toBeLessThan(128 * 1024)
    // Nobody has read: each stream stands where its buffers were full.
    const stalled = sent
    expect(stalled).toBeLessThan((200 * events) / 2)
    await turns(50)
    expect(sent).toBe(stalled)

    const received = await Promise.all(
      clients.map(async (client) => {
        let frames = 0
        for await (const chunk of client) frames += String(chunk).split('data: ').length - 1
        return frames
      }),
    )
    expect(received).toEqual(received.map(() => events))
    expect(sent).toBe(200 * events)
  })

  it('are answered over 200 real connections', async () => {
    const { app } = appOf({
      'POST /echo': ({ body }) => ({ json: { body } }),
      'GET /events': () => answerEvents(async ({ send }) => void (await send({ data: 'one' }))),
    })
    const { origin, close } = await listen(app)
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const body = JSON.stringify({ n })
        const head = 'host: x\r\nconnection: close\r\n'
        const answer =
          n % 2 === 0
            ? await send(origin, `GET /ai/events HTTP/1.1\r\n${head}\r\n`)
            : await send(
                origin,
                `POST /ai/echo HTTP/1.1\r\n${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
              )
        return answer.includes(n % 2 === 0 ? 'data: one' : body)
      }),
    )
    expect(answers.filter((right) => right)).toHaveLength(200)
    await close()
  })

  it('are cut off by a route that does not wait for them, before memory runs out', async () => {
    let handed = 0
    let sink: HttpSink | undefined
    const { connect } = await inMemory(() => ({
      type: 'text/plain',
      async stream(to) {
        sink = to
        for (; handed < 1_000 && !to.signal.aborted; handed += 1) {
          void to.write('x'.repeat(64 * 1024))
          if (handed % 50 === 0) await turns(1)
        }
      },
    }))
    connect().on('error', () => {})
    await vi.waitFor(() => expect(sink?.signal.aborted).toBe(true), soon)
    expect(handed).toBeLessThan(300)
  })
})
