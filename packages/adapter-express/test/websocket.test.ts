import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { type AnyRoute, type Principal, type Socket, type Surface, statusOf } from '@keelson/core/http'
import express from 'express'
import { describe, expect, it, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { keelson } from '../src/index.ts'
import { type WebSocketOptions, webSockets } from '../src/websocket.ts'

type Client = Principal | null
type Handle = AnyRoute<Client>['handle']

const ann: Principal = { tenant: 't', subject: 'ann', roles: [], via: 'test', ambient: false }
const anything: AnyRoute<Client>['response'] = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
}

/** Says who it is and what it hears. */
const echo: Handle = ({ client, params, query }) => ({
  socket: {
    mostMessageBytes: 100,
    open(socket: Socket) {
      socket.send(JSON.stringify({ client: client?.subject, params, query }))
      return { text: (text) => socket.send(text) }
    },
  },
})

const surface = (handle: Handle, more: Partial<Surface<Client>> = {}, id = 'test'): Surface<Client> => ({
  id,
  bodyLimit: 1_000,
  headers: { 'x-surface': id },
  authenticate: () => ann,
  encodeError: (error) => ({ status: statusOf(error), body: { code: error.code } }),
  routes: [
    { method: 'GET', path: '/rooms/:room', section: 's', summary: 's', socket: true, response: anything, handle },
    {
      method: 'GET',
      path: '/plain',
      section: 's',
      summary: 's',
      response: anything,
      handle: () => ({ json: 'plain' }),
    },
  ],
  ...more,
})

const runtime = { as: (principal: Principal | null): Client => principal, reportError: vi.fn() }

async function serve(
  options: Partial<WebSocketOptions<Client>> & { readonly handle?: Handle } = {},
  prepare: (server: Server) => void = () => {},
) {
  const { handle = echo, ...rest } = options
  const mounts = rest.mounts ?? [{ prefix: '/ai', surface: surface(handle) }]
  const app = express()
  app.use(keelson(runtime, { mounts, ...(rest.resolve ? { resolve: rest.resolve } : {}) }))
  app.get('/host', (_req, res) => void res.send('host'))
  const server = createServer(app)
  prepare(server)
  const sockets = webSockets(server, runtime, { mounts, ...rest })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    server,
    sockets,
    port,
    async [Symbol.asyncDispose]() {
      await sockets.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The first message, or the status that the upgrade was refused with. */
function first(port: number, path: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
  return new Promise<{
    socket: WebSocket
    message?: unknown
    status?: number
    text?: string
    response?: IncomingMessage
  }>((resolve, reject) => {
    socket.on('message', (data) => resolve({ socket, message: JSON.parse(data.toString()) }))
    socket.on('unexpected-response', (_request, response) => {
      let text = ''
      response.on('data', (piece) => {
        text += piece
      })
      response.on('end', () => resolve({ socket, status: response.statusCode ?? 0, text, response }))
    })
    socket.on('error', reject)
  })
}

const closed = (socket: WebSocket) => new Promise<number>((resolve) => socket.on('close', resolve))

describe('a WebSocket route', () => {
  it('opens with the parameters and query of its request, and its caller', async () => {
    await using host = await serve()
    const { message } = await first(host.port, '/ai/rooms/a%20b?x=1&x=2')
    expect(message).toEqual({ client: 'ann', params: { room: 'a b' }, query: { x: '1' } })
    expect(host.sockets.size).toBe(1)
  })

  it('takes what the client sends before it knows that it was let in', async () => {
    await using host = await serve({
      handle: async (call) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return echo(call)
      },
    })
    const raw = connectTcp(host.port, '127.0.0.1')
    const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])
    raw.write(
      'GET /ai/rooms/1 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    )
    raw.write(frame)
    let got = ''
    raw.on('data', (piece) => {
      got += piece.toString('latin1')
    })
    const answered = Buffer.from([0x81, 2, 0x68, 0x69]).toString('latin1')
    await vi.waitFor(() => expect(got.endsWith(answered)).toBe(true))
    raw.destroy()
    await vi.waitFor(() => expect(host.sockets.size).toBe(0))
  })

  it.each([
    ['the host knows nobody', { authenticate: () => null }, 401, '{"code":"UNAUTHENTICATED"}'],
    ['the route answers otherwise', { handle: () => ({ status: 403, text: 'no', type: 'text/plain' }) }, 403, 'no'],
  ] as const)(
    'is refused before the upgrade in the surface’s own words when %s',
    async (_when, options, status, text) => {
      await using host = await serve(options)
      const refused = await first(host.port, '/ai/rooms/1')
      expect([refused.status, refused.text]).toEqual([status, text])
      expect(refused.response?.headers).toMatchObject({ 'x-surface': 'test', connection: 'close' })
    },
  )

  it('asks the host first, with the request as Node has it', async () => {
    const zoe = { ...ann, subject: 'zoe' }
    await using host = await serve({ authenticate: ({ headers }) => (headers['x-user'] === 'zoe' ? zoe : undefined) })
    expect((await first(host.port, '/ai/rooms/1', { 'x-user': 'zoe' })).message).toMatchObject({ client: 'zoe' })
    expect((await first(host.port, '/ai/rooms/1')).message).toMatchObject({ client: 'ann' })
  })

  it('that throws is a 500 without a word of it, and reported', async () => {
    runtime.reportError.mockClear()
    const handle = () => {
      throw new Error('secret')
    }
    await using host = await serve({ handle })
    const refused = await first(host.port, '/ai/rooms/1')
    expect([refused.status, refused.text]).toEqual([500, '{"code":"INTERNAL"}'])
    expect(runtime.reportError).toHaveBeenCalledExactlyOnceWith(new Error('secret'), 'GET /ai/rooms/:room (test)')
  })

  it('closes connections whose messages are longer than it takes', async () => {
    await using host = await serve()
    const { socket } = await first(host.port, '/ai/rooms/1')
    socket.send('x'.repeat(101))
    expect(await closed(socket)).toBe(1009)
  })

  it('is found where the host has mounted the handler', async () => {
    await using host = await serve({ base: '/host' })
    expect((await first(host.port, '/host/ai/rooms/1')).message).toMatchObject({ params: { room: '1' } })
    expect((await first(host.port, '/ai/rooms/1')).status).toBe(426)
  })

  it('answers for the surface that was named where several could', async () => {
    const one = surface(echo, {}, 'one')
    const two = surface(() => ({ status: 410, empty: true }), {}, 'two')
    const resolve = {
      'GET /rooms/:room': ({ query }: { readonly query: string }) => (query === 'two' ? 'two' : 'one'),
      'GET /plain': 'one',
    }
    const mounts = [
      { prefix: '/', surface: one },
      { prefix: '/', surface: two },
    ]
    await using host = await serve({ mounts, resolve })
    expect((await first(host.port, '/rooms/1?one')).message).toMatchObject({ client: 'ann' })
    expect((await first(host.port, '/rooms/1?two')).status).toBe(410)
  })

  it('survives clients that break off at any moment', async () => {
    const { promise: entered, resolve: reached } = Promise.withResolvers<void>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    await using host = await serve({
      handle: async (call) => {
        reached()
        await released
        return echo(call)
      },
    })
    const raw = connectTcp(host.port, '127.0.0.1')
    raw.write('GET /ai/rooms/1 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
    await entered
    raw.resetAndDestroy()
    await new Promise((resolve) => raw.once('close', resolve))
    release()
    expect((await first(host.port, '/ai/rooms/1')).message).toBeDefined()
    expect(host.sockets.size).toBe(1)
  })

  it('answers a handshake that is none with 400', async () => {
    await using host = await serve()
    const raw = connectTcp(host.port, '127.0.0.1')
    raw.write('GET /ai/rooms/1 HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
    let got = ''
    for await (const piece of raw) got += piece
    expect(got).toMatch(/^HTTP\/1\.1 400 /)
  })
})

describe('more connections than are allowed', () => {
  it('are answered 503 until one of the others ends', async () => {
    await using host = await serve({ mostSockets: 2 })
    const [one] = await Promise.all([first(host.port, '/ai/rooms/1'), first(host.port, '/ai/rooms/2')])
    expect((await first(host.port, '/ai/rooms/3')).status).toBe(503)
    expect(host.sockets.size).toBe(2)
    const ended = closed(one.socket)
    one.socket.close()
    await ended
    await vi.waitFor(() => expect(host.sockets.size).toBe(1))
    expect((await first(host.port, '/ai/rooms/3')).message).toBeDefined()
  })
})

describe('upgrades of others', () => {
  it.each(['attached before', 'attached after'])('are left to the host’s own WebSockets (%s)', async (order) => {
    const own = new WebSocketServer({ noServer: true })
    own.on('connection', (socket) => socket.send('"own"'))
    const attach = (server: Server) =>
      server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
        if (req.url === '/own') own.handleUpgrade(req, socket, head, (opened) => own.emit('connection', opened, req))
      })
    await using host = await serve({}, order === 'attached before' ? attach : undefined)
    if (order === 'attached after') attach(host.server)
    expect((await first(host.port, '/own')).message).toBe('own')
    expect((await first(host.port, '/ai/rooms/1')).message).toBeDefined()
    for (const socket of own.clients) socket.terminate()
  })

  it.each([
    ['an ordinary route of ours', '/ai/plain', '"plain"'],
    ['a route of the host', '/host', 'host'],
  ])('that nobody takes are ordinary requests to %s, as without us', async (_what, path, text) => {
    await using host = await serve()
    for (const upgrade of ['h2c', 'websocket']) {
      const answer = await new Promise<[number | undefined, string]>((resolve, reject) => {
        const headers = { connection: 'Upgrade', upgrade }
        request({ port: host.port, path, headers }, (response) => {
          let body = ''
          response.on('data', (piece) => {
            body += piece
          })
          response.on('end', () => resolve([response.statusCode, body]))
        })
          .on('error', reject)
          .end()
      })
      expect(answer, upgrade).toEqual([200, text])
    }
  })

  it('of two runtimes on one server each come to their own', async () => {
    await using host = await serve()
    const mounts = [{ prefix: '/more', surface: surface(echo) }]
    const more = webSockets(host.server, { as: () => ({ ...ann, subject: 'more' }) }, { mounts })
    expect((await first(host.port, '/ai/rooms/1')).message).toMatchObject({ client: 'ann' })
    expect((await first(host.port, '/more/rooms/1')).message).toMatchObject({ client: 'more' })
    expect((await first(host.port, '/host')).status).toBe(200)
    await host.sockets.close()
    expect((await first(host.port, '/more/rooms/1')).message).toMatchObject({ client: 'more' })
    expect((await first(host.port, '/ai/rooms/1')).status).toBe(426)
    await more.close()
  })
})

describe('closing', () => {
  it('closes what is open with 1001, and the server can then stop', async () => {
    const host = await serve()
    const clients = await Promise.all([1, 2, 3].map((room) => first(host.port, `/ai/rooms/${room}`)))
    const codes = Promise.all(clients.map(({ socket }) => closed(socket)))
    const stopped = new Promise((resolve) => host.server.close(resolve))
    await host.sockets.close()
    expect(await codes).toEqual([1001, 1001, 1001])
    host.server.closeAllConnections()
    await stopped
    await host.sockets.close()
  })

  it('refuses who is just about to come in', async () => {
    const { promise: entered, resolve: reached } = Promise.withResolvers<void>()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    await using host = await serve({
      handle: async (call) => {
        reached()
        await released
        return echo(call)
      },
    })
    const coming = first(host.port, '/ai/rooms/1')
    await entered
    await host.sockets.close()
    release()
    expect((await coming).status).toBe(503)
  })
})
