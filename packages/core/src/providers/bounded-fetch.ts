import { ModelFailure } from '../capabilities/models/index.ts'

/** Bytes of one event of a stream: the longest that vendors send is an answer once more as a whole. */
const longestEvent = 8 * 2 ** 20
/** Bytes of a refusal. What is longer is cut off: the status says enough. */
const longestRefusal = 256 * 2 ** 10
/** Bytes of an answer that is no stream. */
const longestBody = 64 * 2 ** 20

const newline = 10
const carriageReturn = 13

/**
 * The fetch that is given to a vendor's SDK, which would read on and on: no event of a stream, no refusal and no other
 * answer grows without bound. What is too long ends in a `ModelFailure` of class `malformed`, and the server is left.
 */
export function boundedFetch(given: typeof globalThis.fetch | undefined): typeof globalThis.fetch {
  return async (input, init) => {
    const response = await (given ?? globalThis.fetch)(input, init)
    const { body, headers, ok, status, statusText } = response
    if (body === null) return response
    const streamed = ok && /event-stream/i.test(headers.get('content-type') ?? '')
    const bounded = watched(body, streamed ? eventBound() : ok ? bodyBound() : refusalBound())
    return new Response(bounded, { headers, status, statusText })
  }
}

/** Looks at a chunk. Throws when there is too much; false when the rest is not wanted. */
type Bound = (chunk: Uint8Array) => boolean

function watched(body: ReadableStream<Uint8Array>, bound: Bound): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  const leave = (reason: unknown) => reader.cancel(reason).catch(() => {})
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read()
        if (done) {
          controller.close()
          return
        }
        try {
          const more = bound(value)
          controller.enqueue(value)
          if (more) return
          controller.close()
          leave('the rest is not wanted')
        } catch (error) {
          controller.error(error)
          leave(error)
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  )
}

function eventBound(): Bound {
  let length = 0
  let lineEnded = false
  return (chunk) => {
    const end = endOfEvent(chunk, lineEnded)
    length = end < 0 ? length + chunk.length : chunk.length - end
    lineEnded = chunk.at(-1) === newline || chunk.at(-1) === carriageReturn
    if (length > longestEvent) throw tooLong('an event of the stream', longestEvent)
    return true
  }
}

/** Where in the chunk the last event ends, which is behind an empty line; -1 when none does. */
function endOfEvent(chunk: Uint8Array, lineEnded: boolean): number {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  const last = Math.max(bytes.lastIndexOf('\n\n'), bytes.lastIndexOf('\n\r\n'), bytes.lastIndexOf('\r\r'))
  if (last >= 0) return last + 2
  const first = chunk[0]
  return lineEnded && (first === newline || first === carriageReturn) ? 1 : -1
}

function bodyBound(): Bound {
  let length = 0
  return (chunk) => {
    length += chunk.length
    if (length > longestBody) throw tooLong('the answer', longestBody)
    return true
  }
}

function refusalBound(): Bound {
  let length = 0
  return (chunk) => {
    length += chunk.length
    return length < longestRefusal
  }
}

const tooLong = (what: string, bytes: number): ModelFailure =>
  new ModelFailure('malformed', `${what} is longer than ${bytes} bytes`)
