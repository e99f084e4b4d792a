import type { LookupAddress, LookupAllOptions } from 'node:dns'
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import { addressSet, isPublicAddress } from './addresses.ts'
import { defineErrors, isKeelsonError } from './errors.ts'

export const outgoingErrors = defineErrors({
  OUTGOING_ADDRESS_REFUSED: {
    kind: 'forbidden',
    message: 'the address is not on the public internet, and the host does not allow it',
  },
  OUTGOING_INVALID: {
    kind: 'bad_request',
    message: 'only http and https addresses without user and password are called',
  },
  OUTGOING_FAILED: { kind: 'upstream', message: 'the address could not be reached' },
  OUTGOING_TIMEOUT: { kind: 'timeout', message: 'the address did not answer in time' },
  OUTGOING_TOO_LARGE: { kind: 'upstream', message: 'the answer is too large' },
  OUTGOING_REDIRECTS: { kind: 'upstream', message: 'the address redirects too often, or to where it may not' },
})

export interface GuardedFetchOptions {
  /** Addresses and networks besides the public ones, e.g. `10.0.0.0/8`; `any` for addresses that the host itself has named. */
  readonly allow?: 'any' | readonly string[]
  /** Until the connection stands. @default 10_000 */
  readonly connectMs?: number
  /** Without a byte in either direction. @default 60_000 */
  readonly idleMs?: number
  /** Most bytes of an answer's body. @default 16_777_216 */
  readonly maxBytes?: number
  /** @default 5 */
  readonly maxRedirects?: number
}

export type GuardedFetch = (url: string | URL, init?: RequestInit) => Promise<Response>

interface Sent {
  readonly method: string
  readonly headers: Record<string, string>
  readonly body: string | Uint8Array | undefined
  readonly signal: AbortSignal | undefined
}

type Lookup = NonNullable<RequestOptions['lookup']>

/** What stays with a request that is sent on to another origin. */
const plainHeaders = new Set(['accept', 'accept-language', 'content-type', 'user-agent'])

/**
 * `fetch` for addresses that somebody else has named. A name's addresses are checked at the moment it is connected to,
 * so that a name cannot mean one thing when it is looked at and another when it is used; each redirect is checked alike
 * and takes no credentials to another origin. Answers are bounded in size and in silence, and are not unpacked.
 */
export function guardedFetch(options: GuardedFetchOptions = {}): GuardedFetch {
  const { allow = [], connectMs = 10_000, idleMs = 60_000, maxBytes = 16_777_216, maxRedirects = 5 } = options
  const alsoAllowed = allow === 'any' ? () => true : addressSet(allow)
  const admits = (address: string): boolean => isPublicAddress(address) || alsoAllowed(address)
  let agents:
    | Promise<{
        http: typeof import('node:http')
        https: typeof import('node:https')
        dns: Pick<typeof import('node:dns'), 'lookup'>
      }>
    | undefined

  const load = () => {
    agents ??= Promise.all([import('node:http'), import('node:https'), import('node:dns')]).then(
      ([http, https, { default: dns }]) => ({ http, https, dns }),
    )
    return agents
  }

  async function send(url: URL, sent: Sent): Promise<IncomingMessage> {
    const { dns, http, https } = await load()
    const host = url.hostname.replace(/^\[|\]$/g, '')
    // A literal address is never looked up.
    if (/^[\d.]+$|:/.test(host) && !admits(host)) throw outgoingErrors.OUTGOING_ADDRESS_REFUSED()
    const lookup: Lookup = (name, lookupOptions, callback) => {
      dns.lookup(name, { ...lookupOptions, all: true } as LookupAllOptions, (error, found: LookupAddress[]) => {
        if (error) return callback(error, '', 0)
        const [first] = found
        // One address that is refused refuses the name: others of it would be tried in an order that it chooses.
        if (!first || !found.every(({ address }) => admits(address))) {
          return callback(outgoingErrors.OUTGOING_ADDRESS_REFUSED() as NodeJS.ErrnoException, '', 0)
        }
        if (lookupOptions.all) return callback(null, found)
        callback(null, first.address, first.family)
      })
    }
    sent.signal?.throwIfAborted()
    return await new Promise((resolve, reject) => {
      const { request } = url.protocol === 'https:' ? https : http
      const { body, headers, method, signal } = sent
      // No pool: a connection that was made under another rule must not be used again under this one.
      const made: ClientRequest = request(url, { method, headers, lookup, agent: false })
      let answer: IncomingMessage | undefined
      const fail = (reason: unknown) => {
        const error = reason instanceof Error ? reason : new Error('aborted')
        // Only the answer's own error reaches whoever reads it.
        if (answer) answer.destroy(error)
        else made.destroy(error)
      }
      const connecting = setTimeout(() => fail(outgoingErrors.OUTGOING_TIMEOUT()), connectMs)
      const abort = () => fail(signal?.reason)
      const end = () => {
        clearTimeout(connecting)
        signal?.removeEventListener('abort', abort)
      }
      signal?.addEventListener('abort', abort, { once: true })
      made.once('socket', (socket) => {
        socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
      })
      made.setTimeout(idleMs, () => fail(outgoingErrors.OUTGOING_TIMEOUT()))
      made.once('error', reject)
      made.once('close', end)
      made.once('response', (received) => {
        answer = received
        resolve(received)
      })
      made.end(body)
    })
  }

  return async (input, init = {}) => {
    let url = checkedUrl(input)
    let sent = sentOf(init)
    const mode = init.redirect ?? 'follow'
    for (let redirects = 0; ; redirects += 1) {
      const answer = await send(url, sent).catch((error: unknown) => {
        throw sent.signal?.aborted ? sent.signal.reason : outgoingErrorOf(error)
      })
      const location = answer.headers.location
      const { statusCode: status = 0 } = answer
      if (mode === 'manual' || location === undefined || ![301, 302, 303, 307, 308].includes(status)) {
        return responseOf(answer, maxBytes)
      }
      answer.destroy()
      const next = URL.canParse(location, url.href) ? checkedUrl(new URL(location, url.href)) : null
      const leavesTls = url.protocol === 'https:' && next?.protocol === 'http:'
      if (mode === 'error' || !next || leavesTls || redirects >= maxRedirects) throw outgoingErrors.OUTGOING_REDIRECTS()
      sent = redirected(sent, status, next.origin === url.origin)
      url = next
    }
  }
}

function checkedUrl(input: string | URL): URL {
  const url = URL.canParse(String(input)) ? new URL(String(input)) : null
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw outgoingErrors.OUTGOING_INVALID()
  }
  return url
}

function sentOf({ body, headers, method = 'GET', signal }: RequestInit): Sent {
  if (body !== undefined && body !== null && typeof body !== 'string' && !(body instanceof Uint8Array)) {
    throw outgoingErrors.OUTGOING_INVALID({ message: 'a body is a text or bytes' })
  }
  const sent = Object.fromEntries(new Headers(headers as Headers | undefined))
  const bytes = body ?? undefined
  return {
    method: method.toUpperCase(),
    headers: {
      ...sent,
      'accept-encoding': 'identity',
      ...(bytes === undefined ? {} : { 'content-length': String(Buffer.byteLength(bytes)) }),
    },
    body: bytes,
    signal: signal ?? undefined,
  }
}

function redirected({ body, headers, method, signal }: Sent, status: number, sameOrigin: boolean): Sent {
  const kept = sameOrigin
    ? headers
    : Object.fromEntries(Object.entries(headers).filter(([name]) => plainHeaders.has(name)))
  const keepsBody = status === 307 || status === 308
  if (keepsBody || method === 'GET' || method === 'HEAD') {
    return { method, headers: { ...kept, 'accept-encoding': 'identity' }, body, signal }
  }
  const { 'content-length': _length, 'content-type': _type, ...others } = kept
  return { method: 'GET', headers: { ...others, 'accept-encoding': 'identity' }, body: undefined, signal }
}

/** The answer as the platform's own, cut off with an error when it is longer than it may be. */
function responseOf(answer: IncomingMessage, maxBytes: number): Response {
  const headers = new Headers()
  for (let index = 0; index + 1 < answer.rawHeaders.length; index += 2) {
    headers.append(answer.rawHeaders[index] ?? '', answer.rawHeaders[index + 1] ?? '')
  }
  const { statusCode: status = 502, statusMessage: statusText = '' } = answer
  if ([101, 204, 205, 304].includes(status)) {
    answer.resume()
    return new Response(null, { status, headers })
  }
  let left = maxBytes
  let cancelled = false
  // An answer that nobody reads may break all the same.
  answer.on('error', () => {})
  const chunks: AsyncIterator<Buffer> = answer[Symbol.asyncIterator]()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next()
        if (cancelled) return
        if (done) return controller.close()
        left -= value.length
        if (left < 0) throw outgoingErrors.OUTGOING_TOO_LARGE()
        controller.enqueue(new Uint8Array(value))
      } catch (error) {
        answer.destroy()
        if (!cancelled) controller.error(outgoingErrorOf(error))
      }
    },
    cancel() {
      cancelled = true
      answer.destroy()
    },
  })
  return new Response(body, { status, statusText, headers })
}

/** What went wrong, in words that name neither an address nor a path. */
function outgoingErrorOf(error: unknown): unknown {
  if (isKeelsonError(error)) return error
  const code = (error as { code?: unknown } | null)?.code
  const reasons: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'the connection was refused',
    ECONNRESET: 'the connection was reset',
    ENOTFOUND: 'the name is not known',
    EAI_AGAIN: 'the name could not be looked up',
    EHOSTUNREACH: 'there is no way to the host',
    ETIMEDOUT: 'the connection timed out',
    EPIPE: 'the connection was closed',
  }
  const reason = typeof code === 'string' ? (reasons[code] ?? `it failed with ${code}`) : 'the connection broke'
  return outgoingErrors.OUTGOING_FAILED({ message: `the address could not be reached: ${reason}`, cause: error })
}
