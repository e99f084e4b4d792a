import { z } from 'zod'
import { answerEvents, type EventStream } from '../../http/sse.ts'
import type { Answer } from '../../http/surface.ts'

const frame = <const Name extends string, Data extends z.ZodType>(event: Name, data: Data) =>
  z.strictObject({ event: z.literal(event), data })

/** One event of a chat: its name, and the JSON of its `data:` line. */
export const chatEvent = z.discriminatedUnion('event', [
  frame('session', z.strictObject({ session_id: z.string(), resumed: z.literal(false) })),
  frame('system-response', z.strictObject({ content: z.string(), widget: z.literal('setup_required').optional() })),
  frame('agent', z.strictObject({ agent: z.string() })),
  frame(
    'step-progress',
    z.strictObject({ step_id: z.string(), status: z.enum(['running', 'done', 'permission_needed']) }),
  ),
  frame('session-meta', z.strictObject({ session_id: z.string(), title: z.string(), topic: z.string() })),
  frame('widget', z.strictObject({ widget: z.looseObject({ type: z.string() }) })),
  frame('text-delta', z.strictObject({ delta: z.string() })),
  frame('text', z.strictObject({ content: z.string() })),
  frame(
    'suggested-actions',
    z.strictObject({
      actions: z.array(
        z.strictObject({
          label: z.string(),
          command: z.string().optional(),
          prefill: z.boolean().optional(),
          kind: z.string().optional(),
          url: z.string().optional(),
        }),
      ),
    }),
  ),
  frame('error', z.strictObject({ message: z.string() })),
  frame('done', z.strictObject({ tokens: z.int(), model: z.string(), /** Dollars. */ cost: z.number() })),
])

export type ChatEvent = z.infer<typeof chatEvent>

/** Resolves when more may be sent. */
export type Send = (event: ChatEvent) => Promise<void> | undefined

/** The system's streams hold nothing but events: no comment keeps them open. */
const never = 2 ** 31 - 1

/** What is said of an error that is nobody's business but the host's. */
export const internal = 'An internal error occurred.'

/**
 * A chat's events as the system frames them; what `run` throws becomes the last of them. `live`: they come as they
 * happen, and nobody may hold them back.
 */
export function answerChat(run: (send: Send, signal: AbortSignal) => Promise<void>, live: boolean): Answer {
  const work = async (stream: EventStream) => {
    const send: Send = ({ event, data }) => stream.send({ event, data: JSON.stringify(data) })
    try {
      await run(send, stream.signal)
    } catch (error) {
      if (stream.signal.aborted) return
      await send({ event: 'error', data: { message: internal } })
      await send(doneForFree)
      stream.report(error)
    }
  }
  const headers = { 'cache-control': 'no-cache', ...(live ? { 'x-accel-buffering': 'no' } : {}) }
  return { ...answerEvents(work, { heartbeatMs: never }), type: 'text/event-stream; charset=utf-8', headers }
}

/** The end of what cost nothing. */
export const doneForFree: ChatEvent = { event: 'done', data: { tokens: 0, model: '', cost: 0 } }
