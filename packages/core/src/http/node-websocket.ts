import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket as NodeSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Clock, systemClock } from '../kernel/clock.ts'
import { type HostRuntime, type MountOptions, mountRuntime } from './host.ts'
import type { Match } from './match.ts'
import type { HttpRequest } from './message.ts'
import { nodeRequest, writeNodeResponse } from './node.ts'
import { splitTarget } from './target.ts'
import { closeCodes, type OpenSocket, openSocket, type SocketSession } from './websocket.ts'

/** What is used of a WebSocket of the `ws` package. */
export interface NodeWebSocket {
  readonly bufferedAmount: number
  send(text: string, left: () => void): void
  ping(): void
  close(code: number, reason: string): void
  terminate(): void
  on(event: 'message', listener: (data: { toString(): string }, isBinary: boolean) => void): unknown
  on(event: 'ping' | 'pong' | 'close' | 'error', listener: () => void): unknown
}

/** What is used of the `WebSocketServer` of the `ws` package, made with `noServer`. */
export interface WebSocketUpgrader {
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, done: (webSocket: NodeWebSocket) => void): void
}

/** `authenticate` is given Node's own request: no middleware or hook of the host has seen it. */
export interface WebSocketOptions<Client> extends MountOptions<Client, IncomingMessage> {
  /** Where the host has mounted the handler of these mounts, e.g. `/host`. @default at the root */
  readonly base?: string
  /** Most connections at once; a further one is answered 503. @default 10_000 */
  readonly mostSockets?: number
  readonly clock?: Clock
}

export interface WebSockets {
  /** How many are open. */
  readonly size: number
  /** Takes no more of them and closes those that are open with 1001. Resolves when the last one is closed. */
  close(): Promise<void>
}

/** What was attached here, listeners and callbacks: anything else is the host's. */
const attached = new WeakSet<object>()

/**
 * Opens the WebSockets of the mounts on a server of Node: those of Express, of Fastify (`app.server`) or a bare one.
 * Upgrades to anything else stay the host's, as if nothing was attached here. `createUpgrader` makes what speaks the
 * protocol, for messages of so many bytes.
 */
export function attachWebSockets<Client>(
  server: Server,
  runtime: HostRuntime<Client>,
  options: WebSocketOptions<Client>,
  createUpgrader: (mostMessageBytes: number) => WebSocketUpgrader,
): WebSockets {
  const { base = '', clock = systemClock, mostSockets = 10_000 } = options
  const { dispatcher, report } = mountRuntime(runtime, options)
  const upgraders = new Map<number, WebSocketUpgrader>()
  const open = new Set<OpenSocket>()
  let closing: PromiseWithResolvers<void> | undefined

  const upgraderOf = (mostMessageBytes: number): WebSocketUpgrader => {
    const upgrader = upgraders.get(mostMessageBytes) ?? createUpgrader(mostMessageBytes)
    upgraders.set(mostMessageBytes, upgrader)
    return upgrader
  }

  /** The route of an upgrade, when it is one of ours. */
  const matchOf = (req: IncomingMessage): Match<Client> | undefined => {
    if (req.method !== 'GET' || !/\bwebsocket\b/i.test(req.headers.upgrade ?? '')) return undefined
    const target = closing ? undefined : targetOf(req, base)
    const match = target && dispatcher.match('GET', target.path)
    const decided = target && match?.decide ? decide(match.decide, requestOf(req, target)) : match
    return decided?.route?.socket === true ? match : undefined
  }

  const run = (session: SocketSession, webSocket: NodeWebSocket, where: string): void => {
    const socket = openSocket(session, webSocket, { clock, onError: (error) => report(error, where) })
    open.add(socket)
    webSocket.on('message', (data, isBinary) => {
      socket.heard()
      if (!isBinary) socket.text(data.toString())
    })
    webSocket.on('ping', socket.heard)
    webSocket.on('pong', socket.heard)
    // A protocol error of the client: the connection closes, and `close` follows.
    webSocket.on('error', () => {})
    webSocket.on('close', () => {
      socket.closed()
      open.delete(socket)
      if (open.size === 0) closing?.resolve()
    })
  }

  const upgrade = async (match: Match<Client>, req: IncomingMessage, socket: NodeSocket, head: Buffer) => {
    const res = responseOver(socket, req)
    const target = targetOf(req, base) ?? { path: '/', query: '' }
    const response = await dispatcher.handle(match, nodeRequest(req, res, { ...target, native: req, clock }))
    if (socket.destroyed) return
    const { socket: session } = response
    if (session === undefined) return await writeNodeResponse(res, response)
    if (closing || open.size >= mostSockets) {
      return await writeNodeResponse(res, { status: 503, headers: { 'retry-after': '5' }, body: undefined })
    }
    res.detachSocket(socket)
    upgraderOf(session.mostMessageBytes).handleUpgrade(req, socket, head, (webSocket) =>
      run(session, webSocket, `GET ${match.path}`),
    )
  }

  const onUpgrade = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const match = matchOf(req)
    if (match !== undefined) {
      upgrade(match, req, socket as NodeSocket, head).catch((error: unknown) => {
        report(error, `GET ${match.path}`)
        socket.destroy()
      })
    } else if (server.listenerCount('upgrade') === 1) {
      // A Node that cannot be told to go on with it as an ordinary request: nobody else would ever answer.
      const res = responseOver(socket as NodeSocket, req)
      void writeNodeResponse(res, { status: 404, headers: {}, body: undefined })
    }
  }

  leaveOthers(server, (req) => matchOf(req) !== undefined)
  attached.add(onUpgrade)
  server.on('upgrade', onUpgrade)

  return {
    get size() {
      return open.size
    },
    close() {
      if (closing) return closing.promise
      closing = Promise.withResolvers()
      server.off('upgrade', onUpgrade)
      for (const socket of [...open]) socket.close(closeCodes.goingAway, 'the server stops')
      if (open.size === 0) closing.resolve()
      return closing.promise
    },
  }
}

/**
 * Once anybody listens, Node hands over every upgrade, also of clients that merely offer HTTP/2: what is nobody's must go
 * on as an ordinary request. Nodes before 22.21 and 24.9 cannot be told.
 */
function leaveOthers(server: Server, isOurs: (req: IncomingMessage) => boolean): void {
  const host: Server & { shouldUpgradeCallback?: (req: IncomingMessage) => boolean } = server
  const before = host.shouldUpgradeCallback
  if (before === undefined) return
  const othersListen = () => attached.has(before) || server.listeners('upgrade').some((each) => !attached.has(each))
  host.shouldUpgradeCallback = (req) => isOurs(req) || (othersListen() && before.call(server, req))
  attached.add(host.shouldUpgradeCallback)
}

interface Target {
  readonly path: string
  readonly query: string
}

/** Path and query below the base as they came; undefined for what is not below it. */
function targetOf({ url = '/' }: IncomingMessage, base: string): Target | undefined {
  const { path, query } = splitTarget(url)
  if (base !== '' && !path.startsWith(`${base}/`)) return undefined
  return { path: path.slice(base.length), query }
}

/** The request as far as whoever decides between surfaces may look at it. */
const requestOf = (req: IncomingMessage, target: Target): HttpRequest => ({
  method: 'GET',
  ...target,
  header(name) {
    const value = req.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  },
  signal: new AbortController().signal,
  remoteAddress: req.socket.remoteAddress,
  bytes: async () => new Uint8Array(0),
  parsedBody: undefined,
  native: req,
})

function decide<Client>(by: (request: HttpRequest) => Match<Client>, request: HttpRequest): Match<Client> | undefined {
  try {
    return by(request)
  } catch {
    return undefined
  }
}

/** Answers over a connection that Node has let go of, and then ends it. */
function responseOver(socket: NodeSocket, req: IncomingMessage): ServerResponse {
  const res = new ServerResponse(req)
  res.shouldKeepAlive = false
  res.assignSocket(socket)
  res.on('finish', () => {
    res.detachSocket(socket)
    socket.destroySoon()
  })
  // Without a listener a broken connection would end the process.
  socket.on('error', () => socket.destroy())
  return res
}
