import { statusOf, type ValidationIssue } from '../../http/errors.ts'
import type { Surface } from '../../http/surface.ts'
import { defineErrors, type KeelsonError } from '../../kernel/errors.ts'
import type { Json } from '../../kernel/json.ts'

export const roboticusErrors = defineErrors({
  VALUE_INVALID: { kind: 'bad_request', message: 'a value is not valid' },
  CONTENT_TOO_LONG: { kind: 'too_large', message: 'content is too long' },
  MESSAGE_BLOCKED: { kind: 'forbidden', message: 'the message looks like an attempt to manipulate the agent' },
  AGENT_MISSING: { kind: 'unavailable', message: 'the agent of this API is not configured' },
})

interface Failure {
  readonly status: number
  readonly body: Json
  readonly headers?: Readonly<Record<string, string>>
}

/** Longest text of an error that a caller is shown. */
const longestText = 200

/** Errors that the system's document words in its own way; all others are `{ error }` under their usual status. */
const worded: Readonly<Record<string, (error: KeelsonError) => Failure>> = {
  UNAUTHENTICATED: () => ({
    status: 401,
    body: { error: 'unauthorized', message: 'Valid API key required' },
    headers: { 'www-authenticate': 'Bearer' },
  }),
  INVALID_BODY: (error) => plain(statusOf(error), `invalid body: ${firstIssue(error)}`),
  INVALID_QUERY: (error) => plain(statusOf(error), `invalid query: ${firstIssue(error)}`),
  MESSAGE_BLOCKED: ({ message, details }) => ({
    status: 403,
    body: { error: 'message_blocked', reason: message, threat_score: Number(details?.['threatScore'] ?? 1) },
  }),
  TURN_DUPLICATE: ({ message }) => ({ status: 429, body: { error: 'duplicate_request', reason: message } }),
  TURN_QUEUE_FULL: ({ message }) => ({ status: 429, body: { error: 'rate_limit_exceeded', message } }),
  // A decided approval is as good as unknown here.
  APPROVAL_SETTLED: () => plain(404, 'no pending approval with this id'),
  APPROVAL_NOT_FOUND: () => plain(404, 'no pending approval with this id'),
  CONFIG_INVALID: ({ message }) => plain(400, message),
  MODEL_UNKNOWN: () => plain(503, 'no model provider is configured'),
  TURN_FAILED: ({ details, message, retryAfterMs }) => {
    const reason = String(details?.['reason'])
    const status = isProviderFailure(reason) ? 502 : reason === 'BUDGET_EXHAUSTED' ? 429 : 500
    const headers = retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1000)) }
    return { ...plain(status, status === 502 ? upstreamError : message), headers }
  },
  TURN_TIMEOUT: () => plain(502, upstreamError),
  TURN_CANCELLED: ({ message }) => plain(500, message),
  TURN_INTERRUPTED: ({ message }) => plain(500, message),
  LEASE_LOST: () => plain(503, 'another instance answers this message'),
}

const providerFailures: ReadonlySet<string> = new Set(['MODEL_FAILED', 'MODEL_UNAVAILABLE', 'TURN_TIMEOUT'])

/** True for the codes of turns that failed because no provider has answered, or not in time. */
export const isProviderFailure = (code: string): boolean => providerFailures.has(code)

/** What callers are told when a model provider fails. */
export const upstreamError = 'upstream provider error'

const plain = (status: number, text: string): Failure => ({ status, body: { error: firstLine(text) } })

/** One line, cut between characters. */
const firstLine = (text: string): string => [...(text.split(/[\r\n]/, 1)[0] ?? '')].slice(0, longestText).join('')

function firstIssue({ details, message }: KeelsonError): string {
  const issues = details?.['issues'] as readonly ValidationIssue[] | undefined
  const [issue] = issues ?? []
  if (issue === undefined) return message
  return issue.path === '' ? issue.message : `${issue.path}: ${issue.message}`
}

/** The system's error bodies and statuses. Texts of the database and of defects stay here. */
export const encodeError: Surface<unknown>['encodeError'] = (error) => {
  const own = worded[error.code]
  if (own) return own(error)
  if (error.kind === 'internal') return plain(500, 'internal error')
  if (error.code.startsWith('STORE_')) return plain(503, 'the storage is not available')
  return plain(statusOf(error), error.message)
}

/**
 * A text that must have 1 to `longest` bytes, not all blank, without NUL; halves of surrogate pairs are replaced.
 * Throws `VALUE_INVALID`.
 */
export function checkText(name: string, value: string, longest: number): string {
  const problem =
    value.trim() === ''
      ? 'must not be empty'
      : value.includes('\0')
        ? 'must not contain NUL'
        : Buffer.byteLength(value) > longest
          ? `must have at most ${longest} bytes`
          : null
  if (problem !== null) throw roboticusErrors.VALUE_INVALID({ message: `${name} ${problem}` })
  return value.toWellFormed()
}
