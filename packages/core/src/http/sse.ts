import { type Clock, systemClock } from '../kernel/clock.ts'
import type { HttpSink, HttpStream } from './message.ts'
import type { Answer } from './surface.ts'

export interface ServerSentEvent {
  /** May have several lines. */
  readonly data: string
  readonly id?: string
  /** The event's name; `message` for the client when missing. */
  readonly event?: string
}

export interface EventStream {
  /** `undefined` when the next event may follow at once; otherwise await it, or the events pile up in memory. */
  send(event: ServerSentEvent): Promise<void> | undefined
  /** A line that clients ignore. */
  comment(text: string): Promise<void> | undefined
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal
  /** Tells the host of an error that the client was told of by an event. One that is thrown cuts the stream off. */
  report(error: unknown): void
}

export interface EventStreamOptions {
  /** A comment is sent after this many milliseconds without an event, so that nothing on the way closes the connection. */
  readonly heartbeatMs?: number
  readonly clock?: Clock
}

/** Server-sent events as a stream. Ends when `run` does or the client is gone, whichever is first. */
export function eventStream(
  run: (stream: EventStream) => Promise<void>,
  { heartbeatMs = 15_000, clock = systemClock }: EventStreamOptions = {},
): HttpStream {
  return async (sink) => {
    if (sink.signal.aborted) return
    const { write, stop } = withHeartbeat(sink, heartbeatMs, clock)
    const stream: EventStream = {
      send: (event) => write(frameEvent(event)),
      comment: (text) => write(frameComment(text)),
      signal: sink.signal,
      report: (error) => sink.report?.(error),
    }
    try {
      await untilGone(run(stream), sink.signal)
    } finally {
      stop()
    }
  }
}

/** Server-sent events as a route's answer, with the headers that keep caches and proxies from holding them back. */
export const answerEvents = (run: (stream: EventStream) => Promise<void>, options?: EventStreamOptions): Answer => ({
  stream: eventStream(run, options),
  type: 'text/event-stream',
  headers: { 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
})

/** The wire form of one event. Line ends cannot leave their field: data is split, id and name lose them. */
export function frameEvent({ data, id, event }: ServerSentEvent): string {
  const lines = data.includes('\n') || data.includes('\r') ? data.replace(/\r\n?|\n/g, '\ndata: ') : data
  return `${id === undefined ? '' : `id: ${oneLine(id)}\n`}${event ? `event: ${oneLine(event)}\n` : ''}data: ${lines}\n\n`
}

export const frameComment = (text: string): string => `: ${text.replace(/\r\n?|\n/g, '\n: ')}\n\n`

// NUL is taken out too: clients ignore an id that has one.
const oneLine = (text: string): string => (/[\r\n\0]/.test(text) ? text.replace(/[\r\n\0]/g, '') : text)

/** One timer per stream, however many events: it asks when the last one was. */
function withHeartbeat(sink: HttpSink, heartbeatMs: number, clock: Clock) {
  let last = clock.now()
  let blocked = false
  const unblock = () => {
    blocked = false
  }
  const write = (chunk: string): Promise<void> | undefined => {
    if (sink.signal.aborted) return undefined
    last = clock.now()
    const full = sink.write(chunk)
    if (full !== undefined && !blocked) {
      blocked = true
      full.then(unblock, unblock)
    }
    return full
  }
  const beat = () => {
    const idle = clock.now() - last
    // A client that is behind has bytes on the way anyhow.
    if (idle >= heartbeatMs && !blocked) void write(':\n\n')
    cancel = clock.after(idle >= heartbeatMs ? heartbeatMs : heartbeatMs - idle, beat)
  }
  let cancel = clock.after(heartbeatMs, beat)
  return { write, stop: () => cancel() }
}

/** Settles as `work` does, or resolves when the signal is aborted; what `work` does after that concerns nobody. */
async function untilGone(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let leave: () => void = () => {}
  const gone = new Promise<void>((resolve) => {
    leave = resolve
    signal.addEventListener('abort', leave, { once: true })
  })
  try {
    await Promise.race([work, gone])
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
