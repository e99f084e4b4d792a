import type { KeelsonError } from '../kernel/errors.ts'
import { statusOf } from './errors.ts'
import type { HttpRequest, HttpResponse, HttpStream } from './message.ts'
import type { MountedSurface } from './mounted.ts'
import { lowerCaseNames } from './mounts.ts'
import type { Answer } from './surface.ts'

const jsonType = 'application/json'
const upgradeRequired = 'this address speaks WebSocket'

interface Encoding {
  /** For HEAD: everything but the body. */
  readonly bodyless: boolean
  /** Told what broke a stream after its head was sent. */
  readonly onStreamError: (error: unknown) => void
}

/** A route's answer as a response, with the surface's headers. Throws what `JSON.stringify` throws. */
export function encodeAnswer<Client>(
  { headers: common }: MountedSurface<Client>,
  answer: Answer,
  { bodyless, onStreamError }: Encoding,
): HttpResponse {
  const status = answer.status ?? ('empty' in answer ? 204 : 200)
  const headers: Record<string, string> = { ...common }
  if ('json' in answer) {
    return complete(status, headers, jsonType, JSON.stringify(answer.json) ?? 'null', answer.headers, bodyless)
  }
  if ('text' in answer) return complete(status, headers, answer.type, answer.text, answer.headers, bodyless)
  if ('socket' in answer) {
    const upgrade = { connection: 'Upgrade', upgrade: 'websocket', ...answer.headers }
    const response = complete(426, headers, 'text/plain; charset=utf-8', upgradeRequired, upgrade, bodyless)
    return { ...response, socket: answer.socket }
  }
  if (answer.headers !== undefined) Object.assign(headers, lowerCaseNames(answer.headers))
  if ('stream' in answer) {
    headers['content-type'] = answer.type
    return { status, headers, body: bodyless ? undefined : reporting(answer.stream, onStreamError) }
  }
  if (status !== 204 && status !== 304) headers['content-length'] = '0'
  return { status, headers, body: undefined }
}

/** An error in the surface's own body. Never throws: what the surface cannot say is said plainly. */
export function encodeFailure<Client>(
  { surface, headers: common }: MountedSurface<Client>,
  error: KeelsonError,
  request: HttpRequest,
): HttpResponse {
  const bodyless = request.method === 'HEAD'
  const headers: Record<string, string> = { ...common }
  const allow = error.kind === 'method_not_allowed' ? error.details?.['allow'] : undefined
  if (typeof allow === 'string') headers['allow'] = allow
  const { retryAfterMs } = error
  if (retryAfterMs !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)))
  try {
    const { status, body, headers: own } = surface.encodeError(error, request)
    return complete(status, headers, jsonType, JSON.stringify(body), own, bodyless)
  } catch {
    const text = JSON.stringify({ error: error.kind === 'internal' ? 'internal error' : error.message })
    return complete(statusOf(error), headers, jsonType, text, undefined, bodyless)
  }
}

function complete(
  status: number,
  headers: Record<string, string>,
  type: string,
  text: string,
  own: Readonly<Record<string, string>> | undefined,
  bodyless: boolean,
): HttpResponse {
  headers['content-type'] = type
  headers['content-length'] = String(Buffer.byteLength(text))
  if (own !== undefined) Object.assign(headers, lowerCaseNames(own))
  return { status, headers, body: bodyless ? undefined : text }
}

const reporting =
  (stream: HttpStream, onError: (error: unknown) => void): HttpStream =>
  async (sink) => {
    try {
      await stream({ write: (chunk) => sink.write(chunk), signal: sink.signal, report: onError })
    } catch (error) {
      if (sink.signal.aborted) return
      onError(error)
      throw error
    }
  }
