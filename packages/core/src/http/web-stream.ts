import { httpErrors } from './errors.ts'
import type { HttpSink, HttpStream } from './message.ts'

/** Bytes that may wait for the reader before the writer is told to. */
const highWaterMark = 16 * 1024
/** A stream that goes on writing without waiting for its reader is cut here: nothing is buffered without a bound. */
const mostBuffered = 8 * 1024 * 1024

/**
 * A stream as a body of the fetch standard. Begins when it is first read from, so that a response nobody reads holds
 * nothing. Aborts `gone` when the reader cancels; ends early when somebody else aborts it.
 */
export function readableOf(stream: HttpStream, gone: AbortController): ReadableStream<Uint8Array<ArrayBuffer>> {
  let caughtUp: PromiseWithResolvers<void> | undefined
  const release = () => {
    caughtUp?.resolve()
    caughtUp = undefined
  }
  gone.signal.addEventListener('abort', release, { once: true })

  const run = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const encoder = new TextEncoder()
    let ended = false
    const sink: HttpSink = {
      signal: gone.signal,
      write(chunk) {
        if (gone.signal.aborted || ended) return undefined
        controller.enqueue(encoder.encode(chunk))
        const waiting = -(controller.desiredSize ?? 0)
        if (waiting < highWaterMark) return undefined
        if (waiting > mostBuffered) {
          gone.abort(httpErrors.CLIENT_GONE())
          return undefined
        }
        caughtUp ??= Promise.withResolvers<void>()
        return caughtUp.promise
      },
    }
    let broken = false
    try {
      await stream(sink)
    } catch {
      // Whoever made the stream has reported why.
      broken = true
    }
    ended = true
    if (gone.signal.aborted) controller.error(gone.signal.reason)
    else if (broken) controller.error(new Error('the answer broke off'))
    else controller.close()
  }

  let begun = false
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      // With nothing to be kept in stock, this is called when a reader waits and there is nothing for it.
      pull(controller) {
        release()
        if (begun) return
        begun = true
        void run(controller)
      },
      cancel() {
        gone.abort(httpErrors.CLIENT_GONE())
      },
    },
    { highWaterMark: 0, size: (chunk) => chunk?.byteLength ?? 0 },
  )
}
