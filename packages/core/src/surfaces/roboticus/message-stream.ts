import { z } from 'zod'
import { loopErrors } from '../../capabilities/loop/index.ts'
import { ShownText } from '../../capabilities/realtime/index.ts'
import type { FinishReason, TurnEvent } from '../../capabilities/sessions/index.ts'
import { httpErrors } from '../../http/errors.ts'
import type { HttpRequest } from '../../http/message.ts'
import { answerEvents } from '../../http/sse.ts'
import type { Answer } from '../../http/surface.ts'
import { utf8Length } from '../../kernel/text.ts'
import { isProviderFailure, upstreamError } from './errors.ts'
import type { AcceptedMessage } from './pipeline.ts'

/** One `data:` line of the stream. */
export const streamFrame = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('stream_start'), session_id: z.uuid(), turn_id: z.uuid(), model: z.string() }),
  z.strictObject({
    type: z.literal('chunk'),
    delta: z.string(),
    model: z.string().nullable(),
    finish_reason: z.string().nullable(),
  }),
  z.strictObject({ type: z.literal('stream_blocked'), reason: z.string(), session_id: z.uuid() }),
  z.strictObject({ type: z.literal('error'), error: z.string() }),
  z.strictObject({
    type: z.literal('stream_end'),
    session_id: z.uuid(),
    turn_id: z.uuid(),
    model: z.string(),
    tokens_in: z.int(),
    tokens_out: z.int(),
    /** Bytes of the final text. */
    content_length: z.int(),
    content_blocked: z.boolean(),
  }),
])

export type StreamFrame = z.infer<typeof streamFrame>

/** What has been seen of the turn so far. */
interface Progress {
  model: string
  position: number
  tokensIn: number
  tokensOut: number
  readonly text: ShownText
}

/**
 * The turn as server-sent events. Resolves when the model shows a sign of life; what fails before that rejects, so that
 * it is answered as plain JSON. The turn runs on whether or not anybody listens.
 */
export async function streamMessage({ handle, turn }: AcceptedMessage, request: HttpRequest): Promise<Answer> {
  const progress: Progress = {
    model: turn.selection?.chosen ?? '',
    position: 0,
    tokensIn: 0,
    tokensOut: 0,
    text: new ShownText(),
  }
  // Only a repeated request goes on where its client left off: browsers send their last id with anything.
  const seen = (await handle.repeated) ? positionIn(request.header('last-event-id')) : 0
  const events = handle.events({ signal: request.signal })
  const first = await signOfLife(events, progress, request.signal)
  const ids = { session_id: turn.session, turn_id: turn.id }

  return answerEvents(async (stream) => {
    const send = (frame: StreamFrame) =>
      stream.send({ data: JSON.stringify(frame), id: String(progress.position) }) ?? Promise.resolve()
    await send({ type: 'stream_start', ...ids, model: progress.model })
    try {
      for (const frame of newFramesOf(first, progress, seen)) await send(frame)
      for await (const event of events) for (const frame of newFramesOf(event, progress, seen)) await send(frame)
    } catch {
      // The turn stays at its last commit point, and whoever runs it next goes on.
      await send({ type: 'error', error: 'the stream was interrupted' })
    }
    await send({
      type: 'stream_end',
      ...ids,
      model: progress.model,
      tokens_in: progress.tokensIn,
      tokens_out: progress.tokensOut,
      content_length: utf8Length(progress.text.said),
      content_blocked: false,
    })
  })
}

/** Where a client that comes back (under the same `Idempotency-Key`) left off; from the start for anything else. */
const positionIn = (lastEventId: string | undefined): number =>
  lastEventId !== undefined && /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : 0

/** The first event that is the model's, after which errors can only be told within the stream. */
async function signOfLife(
  events: AsyncGenerator<TurnEvent>,
  progress: Progress,
  signal: AbortSignal,
): Promise<TurnEvent> {
  for (;;) {
    const { done, value: event } = await events.next()
    if (done) throw signal.aborted ? httpErrors.CLIENT_GONE() : loopErrors.RUNTIME_STOPPED()
    switch (event.type) {
      case 'turn.failed':
        throw loopErrors.TURN_FAILED({
          details: { turn: event.turn, reason: event.error.code },
          message: `the turn failed: ${event.error.message}`,
          ...(event.error.retryAfterMs === undefined ? {} : { retryAfterMs: event.error.retryAfterMs }),
        })
      case 'turn.cancelled':
        throw loopErrors.TURN_CANCELLED()
      case 'turn.interrupted':
        throw loopErrors.TURN_INTERRUPTED()
      case 'turn.started':
      case 'turn.resumed':
      case 'step.started':
      case 'step.restarted':
        for (const _ of framesOf(event, progress));
        break
      default:
        return event
    }
  }
}

/** What a client that has seen everything up to a position is told: what it has seen is counted, but not sent. */
function* newFramesOf(event: TurnEvent, progress: Progress, seen: number): Generator<StreamFrame> {
  for (const part of splitAt(event, seen)) {
    for (const frame of framesOf(part, progress)) if (part.sequence > seen) yield frame
  }
}

/** A delta that begins before a position and ends after it, as two. */
function splitAt(event: TurnEvent, position: number): readonly TurnEvent[] {
  if (event.type !== 'text.delta' || event.sequence <= position) return [event]
  const before = position - (event.sequence - event.text.length)
  if (before <= 0) return [event]
  const { text } = event
  return [
    { ...event, sequence: position, text: text.slice(0, before) },
    { ...event, text: text.slice(before) },
  ]
}

/** What the client is told of an event. */
function* framesOf(event: TurnEvent, progress: Progress): Generator<StreamFrame> {
  progress.position = event.sequence
  switch (event.type) {
    case 'step.started':
      progress.model = event.model || progress.model
      progress.text.begin()
      break
    case 'step.restarted':
      progress.model = event.model
      progress.text.restart()
      break
    case 'text.delta': {
      const delta = progress.text.add(event.text)
      if (delta !== '') yield { type: 'chunk', delta, model: progress.model, finish_reason: null }
      break
    }
    case 'step.finished':
      progress.model = event.model
      progress.tokensIn += event.usage.input + event.usage.cacheRead + event.usage.cacheWrite
      progress.tokensOut += event.usage.output + event.usage.reasoning
      // A client may take any finish as the end of the answer; after tool calls it goes on.
      if (event.reason !== 'tool-calls') {
        yield { type: 'chunk', delta: '', model: event.model, finish_reason: finishReasons[event.reason] }
      }
      break
    case 'turn.failed':
      yield { type: 'error', error: isProviderFailure(event.error.code) ? upstreamError : event.error.message }
      break
    case 'turn.cancelled':
      yield { type: 'error', error: 'the turn was cancelled' }
      break
    case 'turn.interrupted':
      yield { type: 'error', error: 'the turn was interrupted and waits for a decision' }
      break
  }
}

const finishReasons: Readonly<Record<Exclude<FinishReason, 'tool-calls'>, string>> = {
  stop: 'stop',
  length: 'length',
  'content-filter': 'content_filter',
  other: 'other',
}
