import { type FailureClass, ModelFailure } from '../capabilities/models/index.ts'
import type { KeelsonError } from '../kernel/errors.ts'
import { providerErrors } from './errors.ts'
import { type ApiKey, badKey, isKey } from './secrets.ts'

/** A longer text is no message but a page or an echo of the request. */
const longestMessage = 400

export const shorten = (text: string): string =>
  text.length > longestMessage ? `${text.slice(0, longestMessage)}…` : text

/** The class of an error of the connection itself, by the code that the system gave it. */
export function connectionClass(error: unknown): FailureClass {
  const code = codeIn(error)
  if (/TIMEOUT|TIMEDOUT/.test(code)) return 'timeout'
  return code.startsWith('HPE_') ? 'malformed' : 'network'
}

export function connectionText(error: unknown): string {
  const code = codeIn(error)
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) return `the certificate of the server is not trusted: ${code}`
  if (/^ERR_(?:SSL|TLS)|^EPROTO$/.test(code)) return `no TLS connection could be made: ${code}`
  if (code !== '') return `the connection failed: ${code}`
  return `the connection failed: ${error instanceof Error ? error.message : 'for an unknown reason'}`
}

/** The system's code of an error, which may lie a few causes deep. */
function codeIn(error: unknown): string {
  let current = error
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth++) {
    const { code, cause } = current as { code?: unknown; cause?: unknown }
    if (typeof code === 'string' && code !== '') return code
    current = cause
  }
  return ''
}

/** The class of an answer by its status; null for one that says nothing by itself. */
export function classOfStatus(status: number | undefined): FailureClass | null {
  switch (status) {
    case undefined:
      return null
    case 401:
    case 403:
      return 'auth'
    case 402:
      return 'billing'
    case 408:
    case 504:
      return 'timeout'
    case 413:
      return 'context-too-long'
    case 429:
      return 'rate-limit'
    case 503:
    case 529:
      return 'overload'
    default:
      return status >= 500 ? 'server' : null
  }
}

/** The status that some servers put into the code of an error inside a stream. */
export function statusIn(code: unknown): number | undefined {
  const number = typeof code === 'string' && /^\d{3}$/.test(code) ? Number(code) : code
  return typeof number === 'number' && number >= 400 && number < 600 ? number : undefined
}

interface EventsSent {
  readonly data: { readonly controller: AbortController }
  readonly response: { readonly headers: { get(name: string): string | null } }
}

/** Throws a `ModelFailure`, and ends the call, when a server has answered with something else than events. */
export function checkEvents({ data, response }: EventsSent): void {
  const other = otherThanEvents(response.headers.get('content-type'))
  if (other === null) return
  data.controller.abort()
  throw new ModelFailure('malformed', `the server answered with ${other} instead of an event stream`)
}

/** Of a content type, what may be shown of it; null for one that may be an event stream, which some servers do not say. */
const otherThanEvents = (contentType: string | null): string | null =>
  contentType !== null && /html|application\/json|text\/plain/i.test(contentType)
    ? contentType.replace(/[^\w/;=. +-]/g, '').slice(0, 80)
    : null

/** Makes the error of an option of this provider. */
export const refusalOf =
  (id: string) =>
  (message: string): KeelsonError =>
    providerErrors.PROVIDER_OPTIONS_INVALID({ message: `provider ${id}: ${message}` })

/** What every provider that is called over HTTP asks of its options. Throws `PROVIDER_OPTIONS_INVALID`. */
export function checkOptions(id: string, baseURL: string, apiKey: ApiKey): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(id)) {
    throw providerErrors.PROVIDER_OPTIONS_INVALID({
      message: 'the id of a provider begins with a letter or digit and goes on with letters, digits, ".", "_" and "-"',
    })
  }
  const refuse = refusalOf(id)
  const url = URL.parse(baseURL)
  if (url === null || !/^https?:$/.test(url.protocol)) throw refuse('baseURL must be an http or https URL')
  if (url.username !== '' || url.password !== '') throw refuse('baseURL must not hold credentials; use apiKey')
  if (typeof apiKey === 'string' && !isKey(apiKey)) throw refuse(badKey)
}

/** What to look at when a server answers with something else than its API. */
export const lookAt = 'is baseURL right, and is there a proxy on the way?'

/** What is said of an error that came with a page; null for any other. */
export const pageInstead = (contentType: string | null | undefined, message: string, status: unknown): string | null =>
  /html/i.test(contentType ?? '') || /^\d{3} \s*</.test(message)
    ? `the server answered ${status ?? 'the request'} with a page instead of JSON; ${lookAt}`
    : null
