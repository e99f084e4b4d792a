import { webSockets } from '@keelson/adapter-express/websocket'
import type { Clock } from '@keelson/core'
import { expect } from 'vitest'
import { WebSocket } from 'ws'
import { apiKey, roboticusServer, type ServerOptions, type TestServer, until } from '../surfaces/roboticus-server.ts'

export type Frame = Readonly<Record<string, unknown>> & { readonly type: string }

export interface Connecting {
  /** Null sends none. */
  readonly key?: string | null
  readonly ticket?: string
  readonly user?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Refusal {
  readonly status: number
  readonly type: string | undefined
  readonly text: string
}

export interface Push {
  readonly socket: WebSocket
  /** Everything that came, each as the route says that frames are. */
  readonly frames: readonly Frame[]
  /** Resolves with a frame of the type, the first that has come or comes. */
  first(type: string): Promise<Frame>
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
}

export interface PushServer extends TestServer {
  readonly sockets: ReturnType<typeof webSockets>
  /** Resolves when the connection is open and greeted; rejects with a `Refused` when it is not let in. */
  connect(how?: Connecting): Promise<Push>
  refusal(how?: Connecting): Promise<Refusal>
  say(content: string): Promise<{ readonly session_id: string; readonly content: string }>
}

class Refused extends Error {
  readonly refusal: Refusal
  constructor(refusal: Refusal) {
    super(`refused with ${refusal.status} ${refusal.text}`)
    this.refusal = refusal
  }
}

/** A roboticus server with its WebSocket. `socketClock` is that of the connections alone. */
export async function pushServer({
  socketClock,
  ...options
}: ServerOptions & { readonly socketClock?: Clock }): Promise<PushServer> {
  const server = await roboticusServer(options)
  const { users } = options
  const sockets = webSockets(server.server, server.runtime, {
    mounts: [{ prefix: '/', surface: server.surface, exclusive: true }],
    ...(socketClock === undefined ? {} : { clock: socketClock }),
    ...(users === undefined ? {} : { authenticate: ({ headers }) => users[String(headers['x-test-user'])] ?? null }),
  })
  const schema = server.surface.routes.find(({ path }) => path === '/ws')?.response
  const check = (frame: Frame) => {
    const result = schema?.['~standard'].validate(frame) as { issues?: unknown }
    expect(result.issues, `${frame.type} is as the route says`).toBeUndefined()
    return frame
  }

  const connect = ({ key = apiKey, ticket, user, headers }: Connecting = {}) => {
    const query = ticket === undefined ? '' : `?ticket=${ticket}`
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws${query}`, {
      headers: {
        ...(key === null || ticket !== undefined ? {} : { 'x-api-key': key }),
        ...(user === undefined ? {} : { 'x-test-user': user }),
        ...headers,
      },
    })
    return greeted(socket, check)
  }

  return {
    ...server,
    sockets,
    connect,
    async refusal(how) {
      const error = await connect(how).then(
        () => new Error('was let in'),
        (refused: unknown) => refused,
      )
      if (error instanceof Refused) return error.refusal
      throw error
    },
    async say(content) {
      return (await server.ask('POST', '/api/agent/message', { body: { content } })).json
    },
    async [Symbol.asyncDispose]() {
      await sockets.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

function greeted(socket: WebSocket, check: (frame: Frame) => Frame): Promise<Push> {
  const frames: Frame[] = []
  let wrong: unknown
  socket.on('message', (data) => {
    try {
      frames.push(check(JSON.parse(data.toString()) as Frame))
    } catch (error) {
      wrong ??= error
    }
  })
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  )
  const first = async (type: string): Promise<Frame> => {
    let found: Frame | undefined
    await until(() => {
      if (wrong !== undefined) throw wrong
      found = frames.find((frame) => frame.type === type)
      return found !== undefined
    }, `a ${type} frame`)
    return found as Frame
  }
  return new Promise((resolve, reject) => {
    socket.on('unexpected-response', (_request, response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => {
        text += piece
      })
      response.on('end', () => {
        reject(new Refused({ status: response.statusCode ?? 0, type: response.headers['content-type'], text }))
      })
    })
    socket.on('error', reject)
    socket.on('open', () => first('connected').then(() => resolve({ socket, frames, first, closed }), reject))
  })
}
