import { type Clock, systemClock } from '../kernel/clock.ts'
import { httpErrors } from './errors.ts'
import type { HttpRequest, HttpResponse, HttpSink, HttpStream } from './message.ts'

/** What is used of Node's `IncomingMessage`, so that no framework's types are needed. */
export interface NodeRequest {
  readonly method?: string | undefined
  readonly httpVersionMajor?: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly socket?: { readonly remoteAddress?: string | undefined } | null
  readonly complete: boolean
  readonly destroyed: boolean
  readonly readableDidRead: boolean
  on(event: string, listener: (value: Uint8Array) => void): unknown
  off(event: string, listener: (value: Uint8Array) => void): unknown
  resume(): unknown
  destroy(): unknown
}

/** What is used of Node's `ServerResponse`. */
export interface NodeResponse {
  readonly req?: { readonly httpVersionMajor?: number }
  readonly headersSent: boolean
  readonly destroyed: boolean
  readonly writableEnded: boolean
  readonly writableFinished: boolean
  readonly writableLength: number
  statusCode: number
  getHeader(name: string): number | string | readonly string[] | undefined
  removeHeader(name: string): void
  writeHead(status: number, headers: Record<string, string>): unknown
  flushHeaders(): void
  write(chunk: string): boolean
  end(chunk?: string | Uint8Array): unknown
  on(event: string, listener: () => void): unknown
  destroy(): unknown
  /** Set by compressing middleware: sends what it holds back. */
  flush?: () => void
}

export interface NodeRequestOptions {
  /** As on the wire, below the framework's mount point, without the query. */
  readonly path: string
  /** Without the `?`. */
  readonly query: string
  /** What the host's `authenticate` is given. */
  readonly native: unknown
  /** What a parser of the host has made of the body, if one has run. */
  readonly parsedBody?: unknown
  /** The body's bytes, where such a parser has kept them. */
  readonly rawBody?: Uint8Array | undefined
  /** How long a body may take to arrive, in milliseconds. */
  readonly bodyTimeoutMs?: number | undefined
  readonly clock?: Clock
}

/** A request over Node's own. Its signal is aborted when the connection closes before the response is written. */
export function nodeRequest(req: NodeRequest, res: NodeResponse, options: NodeRequestOptions): HttpRequest {
  const gone = new AbortController()
  const onClose = () => {
    if (!isWritten(res)) gone.abort(httpErrors.CLIENT_GONE())
  }
  if (res.destroyed) onClose()
  else res.on('close', onClose)
  let body: Promise<Uint8Array> | undefined
  return {
    method: req.method ?? 'GET',
    path: options.path,
    query: options.query,
    header(name) {
      // HTTP/2 calls the host so.
      const value = req.headers[name] ?? (name === 'host' ? req.headers[':authority'] : undefined)
      return Array.isArray(value) ? value.join(', ') : value
    },
    signal: gone.signal,
    remoteAddress: req.socket?.remoteAddress,
    async bytes(limit) {
      body ??= takeBytes(req, limit, options)
      const bytes = await body
      if (bytes.byteLength > limit) throw httpErrors.BODY_TOO_LARGE()
      return bytes
    },
    parsedBody: options.parsedBody,
    native: options.native,
  }
}

async function takeBytes(
  req: NodeRequest,
  limit: number,
  { rawBody, bodyTimeoutMs = 30_000, clock = systemClock }: NodeRequestOptions,
): Promise<Uint8Array> {
  if (rawBody !== undefined) return rawBody
  const declared = req.headers['content-length']
  // HTTP/2 frames bodies by itself: there, no header has to say that there is one.
  const unannounced = declared === undefined && isFramed(req.httpVersionMajor)
  if (Number(declared ?? 0) === 0 && req.headers['transfer-encoding'] === undefined && !unannounced) {
    return new Uint8Array(0)
  }
  if (req.readableDidRead) throw httpErrors.RAW_BODY_CONSUMED()
  // Node discards a body that nobody has begun to read once the response is sent.
  if (Number(declared) > limit) throw httpErrors.BODY_TOO_LARGE()
  if (req.destroyed) throw httpErrors.CLIENT_GONE()
  return readStream(req, limit, bodyTimeoutMs, clock)
}

/** Over HTTP/2 a response that was cut off says that it is finished, but not that it has ended. */
const isWritten = ({ writableEnded, writableFinished }: NodeResponse): boolean => writableFinished && writableEnded

const isFramed = (httpVersionMajor = 1): boolean => httpVersionMajor > 1

/** What concerns the connection itself. HTTP/2 has no place for it, and Node breaks a response off that names it. */
const connectionHeaders: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade'])

/** The headers that may be sent over a connection of this version of HTTP. */
export function sendableHeaders(headers: HttpResponse['headers'], httpVersionMajor = 1): HttpResponse['headers'] {
  if (!isFramed(httpVersionMajor)) return headers
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !connectionHeaders.has(name)))
}

/** After a time-out the client gets this long to take the answer; then the connection, half a body deep, is closed. */
const graceMs = 1_000

function readStream(req: NodeRequest, limit: number, timeoutMs: number, clock: Clock): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let length = 0
    // Without listeners the request goes on flowing: what is refused is discarded as it comes, and the connection can be
    // used again.
    const settle = (finish: () => void) => {
      cancel()
      req.off('data', onData)
      req.off('end', onEnd)
      req.off('close', onClose)
      finish()
    }
    const fail = (error: Error) => settle(() => reject(error))
    const onData = (chunk: Uint8Array | string) => {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
      length += bytes.byteLength
      if (length <= limit) return void chunks.push(bytes)
      fail(httpErrors.BODY_TOO_LARGE())
    }
    const onEnd = () => settle(() => resolve(Buffer.concat(chunks, length)))
    const onClose = () => fail(httpErrors.CLIENT_GONE())
    const cancel = clock.after(timeoutMs, () => {
      fail(httpErrors.BODY_TIMEOUT())
      clock.after(graceMs, () => {
        if (!req.complete) req.destroy()
      })
    })
    req.on('data', onData)
    req.on('end', onEnd)
    req.on('close', onClose)
    // Stays: Node emits an abort as an error too, and `close` always follows.
    req.on('error', () => {})
    // The host may have paused it.
    req.resume()
  })
}

/**
 * Writes a response and keeps the headers that the host has set, except those it replaces. Never rejects; `onError` is
 * told what the response itself made impossible. A stream that throws after its head was sent ends the connection.
 */
export async function writeNodeResponse(
  res: NodeResponse,
  { status, headers, body }: HttpResponse,
  onError?: (error: unknown) => void,
): Promise<void> {
  if (res.headersSent || res.writableEnded || res.destroyed) return
  try {
    res.writeHead(status, withVary(res, sendableHeaders(headers, res.req?.httpVersionMajor)))
  } catch (error) {
    onError?.(error)
    return endPlainly(res, headers)
  }
  try {
    if (typeof body === 'function') await writeStream(res, body)
    else res.end(body)
  } catch {
    res.destroy()
  }
}

function withVary(res: NodeResponse, headers: HttpResponse['headers']): Record<string, string> {
  const host = res.getHeader('vary')
  const own = headers['vary']
  return host === undefined || own === undefined ? { ...headers } : { ...headers, vary: [host, own].flat().join(', ') }
}

/** Some of the headers may have been set before one was refused. */
function endPlainly(res: NodeResponse, headers: HttpResponse['headers']): void {
  try {
    if (res.headersSent) return void res.destroy()
    for (const name of Object.keys(headers)) res.removeHeader(name)
    res.statusCode = 500
    res.end()
  } catch {
    res.destroy()
  }
}

/** A stream that goes on writing without waiting for its reader is cut here: nothing is buffered without a bound. */
const mostBuffered = 8 * 1024 * 1024

async function writeStream(res: NodeResponse, stream: HttpStream): Promise<void> {
  const gone = new AbortController()
  let caughtUp: Promise<void> | undefined
  let release: (() => void) | undefined
  const onDrain = () => {
    release?.()
    caughtUp = release = undefined
  }
  const onClose = () => {
    if (!isWritten(res)) gone.abort(httpErrors.CLIENT_GONE())
    onDrain()
  }
  res.on('drain', onDrain)
  res.on('close', onClose)
  // A write that crosses the closing of the connection is reported as an error; `close` has said all there is to say.
  res.on('error', () => {})
  const sink: HttpSink = {
    signal: gone.signal,
    write(chunk) {
      if (gone.signal.aborted || res.writableEnded || res.destroyed) return undefined
      if (res.writableLength > mostBuffered) {
        res.destroy()
        return undefined
      }
      const more = res.write(chunk)
      res.flush?.()
      if (more) return undefined
      caughtUp ??= new Promise((resolve) => {
        release = resolve
      })
      return caughtUp
    },
  }
  res.flushHeaders()
  await stream(sink)
  if (!gone.signal.aborted) res.end()
}
