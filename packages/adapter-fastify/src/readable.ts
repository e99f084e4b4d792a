import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { type HttpSink, type HttpStream, httpErrors } from '@keelson/core/http'

/** Bytes that may wait for the reader before the writer is told to. */
const highWaterMark = 16 * 1024
/** A stream that goes on writing without waiting for its reader is cut here: nothing is buffered without a bound. */
const mostBuffered = 8 * 1024 * 1024

/**
 * A stream as a payload that the host's hooks can take. Begins when it is first read from. The response's head is sent
 * as soon as the stream is attached to it, since the first event may be far away. A stream that throws ends the
 * connection, so that the client can tell.
 */
export function readableOf(stream: HttpStream, response: Pick<ServerResponse, 'once' | 'flushHeaders'>): Readable {
  const gone = new AbortController()
  let caughtUp: PromiseWithResolvers<void> | undefined
  let begun = false
  const release = () => {
    caughtUp?.resolve()
    caughtUp = undefined
  }
  const readable = new Readable({
    highWaterMark,
    read() {
      release()
      if (begun) return
      begun = true
      void run()
    },
    destroy(error, callback) {
      if (!readable.readableEnded) gone.abort(httpErrors.CLIENT_GONE())
      release()
      callback(error)
    },
  })
  const sink: HttpSink = {
    signal: gone.signal,
    write(chunk) {
      if (gone.signal.aborted || readable.destroyed) return undefined
      if (readable.readableLength > mostBuffered) {
        readable.destroy()
        return undefined
      }
      if (readable.push(chunk)) return undefined
      caughtUp ??= Promise.withResolvers<void>()
      return caughtUp.promise
    },
  }
  const run = async (): Promise<void> => {
    try {
      await stream(sink)
      if (!readable.destroyed) readable.push(null)
    } catch {
      // Whoever made the stream has reported why; the host's log only learns that it broke.
      readable.destroy(new Error('the answer broke off'))
    }
  }
  // What reads it also hears of this; on its own it must not end the process.
  readable.on('error', () => {})
  response.once('pipe', () => response.flushHeaders())
  // A hook of the host may have put something between us and the response that does not pass this on.
  response.once('close', () => readable.destroy())
  return readable
}
