import { type Clock, systemClock } from '../kernel/clock.ts'
import { isKeelsonError } from '../kernel/errors.ts'
import { httpErrors } from './errors.ts'
import { type HostRuntime, type MountOptions, mountRuntime } from './host.ts'
import type { Match } from './match.ts'
import type { HttpRequest, HttpResponse } from './message.ts'
import { readableOf } from './web-stream.ts'

export type { HostRuntime, MountOptions } from './host.ts'

/** What a `Request` does not say of its connection. */
export interface ConnectionInfo {
  /** The peer's address as the socket says it; never one from a header. */
  readonly remoteAddress?: string | undefined
}

/** Answers a request; gives `undefined`, at once and with nothing read, when it is not below a mount. */
export type FetchHandler = (request: Request, info?: ConnectionInfo) => Promise<Response> | undefined

export interface FetchOptions<Client> extends MountOptions<Client, Request> {
  readonly clock?: Clock
}

/**
 * One function for every server that speaks in `Request` and `Response`: Hono, Next, Bun, Deno. The promise never
 * rejects. Starts the runtime with the first request that is ours and not before, since such modules are also loaded to
 * be built; call `runtime.start()` where turns of a dead process are to go on at once.
 */
export function createFetchHandler<Client>(runtime: HostRuntime<Client>, options: FetchOptions<Client>): FetchHandler {
  const { bodyTimeoutMs = 30_000, clock = systemClock } = options
  const { dispatcher, report } = mountRuntime(runtime, options)

  const answer = async (match: Match<Client>, url: URL, request: Request, info: ConnectionInfo | undefined) => {
    const gone = goneWith(request)
    const read = (limit: number) => readBody(request, limit, gone.signal, clock, bodyTimeoutMs)
    const response = await dispatcher.handle(match, httpRequest(request, url, info, gone.signal, read))
    try {
      return responseOf(response, gone)
    } catch (error) {
      report(error, match.path)
      return new Response(null, { status: 500 })
    }
  }

  return (request, info) => {
    const url = new URL(request.url)
    const match = dispatcher.match(request.method, url.pathname)
    return match && answer(match, url, request, info)
  }
}

/** Some servers abort the request when the client leaves, some cancel the response's body. */
function goneWith({ signal }: Request): AbortController {
  const gone = new AbortController()
  const leave = () => gone.abort(httpErrors.CLIENT_GONE())
  if (signal.aborted) leave()
  else signal.addEventListener('abort', leave, { once: true })
  return gone
}

function httpRequest(
  request: Request,
  url: URL,
  info: ConnectionInfo | undefined,
  signal: AbortSignal,
  read: (limit: number) => Promise<Uint8Array>,
): HttpRequest {
  let body: Promise<Uint8Array> | undefined
  return {
    method: request.method,
    path: url.pathname,
    query: url.search.slice(1),
    header: (name) => request.headers.get(name) ?? undefined,
    signal,
    remoteAddress: info?.remoteAddress,
    async bytes(limit) {
      body ??= read(limit)
      const bytes = await body
      if (bytes.byteLength > limit) throw httpErrors.BODY_TOO_LARGE()
      return bytes
    },
    parsedBody: undefined,
    native: request,
  }
}

async function readBody(
  { body, bodyUsed, headers }: Request,
  limit: number,
  signal: AbortSignal,
  clock: Clock,
  timeoutMs: number,
): Promise<Uint8Array> {
  if (bodyUsed || body?.locked) throw httpErrors.RAW_BODY_CONSUMED()
  if (body === null) return new Uint8Array(0)
  if (Number(headers.get('content-length')) > limit) throw httpErrors.BODY_TOO_LARGE()
  if (signal.aborted) throw httpErrors.CLIENT_GONE()
  const reader = body.getReader()
  const { promise: stopped, reject: stop } = Promise.withResolvers<never>()
  stopped.catch(() => {})
  const leave = () => stop(httpErrors.CLIENT_GONE())
  signal.addEventListener('abort', leave)
  const cancelTimer = clock.after(timeoutMs, () => stop(httpErrors.BODY_TIMEOUT()))
  try {
    return await collect(reader, limit, stopped)
  } catch (error) {
    reader.cancel().catch(() => {})
    // A body that breaks is a connection that did.
    throw isKeelsonError(error) ? error : httpErrors.CLIENT_GONE()
  } finally {
    cancelTimer()
    signal.removeEventListener('abort', leave)
  }
}

async function collect(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  limit: number,
  stopped: Promise<never>,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await Promise.race([reader.read(), stopped])
    if (done) break
    length += value.byteLength
    if (length > limit) throw httpErrors.BODY_TOO_LARGE()
    chunks.push(value)
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}

/** Throws when a status or a header cannot be sent. */
function responseOf({ status, headers, body }: HttpResponse, gone: AbortController): Response {
  const init = { status, headers: { ...headers } }
  if (typeof body === 'function') return new Response(readableOf(body, gone), init)
  return new Response(typeof body === 'object' ? new Uint8Array(body) : (body ?? null), init)
}
