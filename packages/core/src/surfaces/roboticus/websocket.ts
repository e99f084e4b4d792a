import { z } from 'zod'
import type { Listen } from '../../capabilities/realtime/index.ts'
import type { Turn } from '../../capabilities/sessions/index.ts'
import type { Health } from '../../capabilities/system/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { closeCodes, type SocketSession } from '../../http/websocket.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import { rfc3339 } from './formats.ts'
import { type PushFrame, pushFrame, TurnPush } from './push-frames.ts'

const section = 'WebSocket'
const mostMessageBytes = 4096
const ticketPrefix = 'wst_'

const ticketAnswer = z.strictObject({
  ticket: z.string().regex(/^wst_[0-9a-f]{64}$/),
  /** Seconds. */
  expires_in: z.int(),
})

/** Null when neither credentials nor a ticket prove the caller. */
async function subscribe(client: Client, given: string | undefined): Promise<Listen | null> {
  const ticket = given?.startsWith(ticketPrefix) ? given.slice(ticketPrefix.length) : undefined
  try {
    return await client.realtime.subscribe({ ticket })
  } catch (error) {
    if (isKeelsonError(error) && error.kind === 'unauthenticated') return null
    throw error
  }
}

export function websocketRoutes(): readonly AnyRoute<Client>[] {
  const pushes = new WeakMap<Turn, TurnPush>()

  const pushOf = (turn: Turn): TurnPush => {
    const known = pushes.get(turn)
    if (known) return known
    const push = new TurnPush(turn)
    pushes.set(turn, push)
    return push
  }

  const session = (listen: Listen, { version }: Health): SocketSession => ({
    mostMessageBytes,
    open(socket) {
      const send = (frame: PushFrame) => socket.send(JSON.stringify(frame))
      send({ type: 'connected', version, timestamp: rfc3339(socket.openedAt) })
      const stop = listen({
        event(event, turn) {
          for (const frame of pushOf(turn).framesOf(event)) socket.send(frame)
        },
        ended: () => socket.close(closeCodes.goingAway, 'the server stops'),
      })
      return { text: () => send({ type: 'ack' }), closed: stop }
    },
  })

  return [
    route<Client>()({
      method: 'POST',
      path: '/api/ws-ticket',
      section,
      summary: 'A ticket that opens the WebSocket once, for clients that cannot send headers with it',
      beyondDocument: true,
      response: ticketAnswer,
      async handle({ client }) {
        const { lifeMs, ticket } = await client.realtime.issueTicket()
        return { json: { ticket: ticketPrefix + ticket, expires_in: Math.floor(lifeMs / 1000) } }
      },
    }),

    route<Client>()({
      method: 'GET',
      path: '/ws',
      section,
      summary: 'Real-time event push over a WebSocket',
      // It looks at tickets too, and answers in plain text when there is neither a key nor one.
      open: true,
      security: { ticket: { type: 'apiKey', in: 'query', name: 'ticket', description: 'From POST /api/ws-ticket' } },
      socket: true,
      query: z.object({ ticket: z.string().optional() }),
      response: pushFrame,
      async handle({ client, query: { ticket } }) {
        const listen = await subscribe(client, ticket)
        if (!listen) {
          return { status: 401, text: 'Valid API key or ticket required', type: 'text/plain; charset=utf-8' }
        }
        return { socket: session(listen, await client.system.health()) }
      },
    }),
  ]
}
