/** What sort of failure it is. HTTP surfaces derive the status from it; code callers branch on `code`. */
export type ErrorKind =
  | 'bad_request'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'method_not_allowed'
  | 'conflict'
  | 'gone'
  | 'too_large'
  | 'unsupported_media_type'
  | 'unprocessable'
  | 'rate_limited'
  | 'cancelled'
  | 'internal'
  | 'upstream'
  | 'unavailable'
  | 'timeout'

export interface ErrorDetail {
  /** Replaces the catalogue's message. Safe to show to the caller: never a secret, a path or a stack. */
  message?: string
  /** Facts a program can use, safe to show to the caller. */
  details?: Readonly<Record<string, unknown>>
  /** How long the caller should wait before trying again, in milliseconds. */
  retryAfterMs?: number
  /** What really happened. For logs only, never sent. */
  cause?: unknown
}

const brand = Symbol.for('keelson.error')

/** The one error class of the runtime. Everything else that is thrown is a defect and is shown as `INTERNAL`. */
export class KeelsonError extends Error {
  readonly code: string
  readonly kind: ErrorKind
  readonly details: Readonly<Record<string, unknown>> | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: string, kind: ErrorKind, message: string, detail: ErrorDetail = {}) {
    super(detail.message ?? message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.name = 'KeelsonError'
    this.code = code
    this.kind = kind
    this.details = detail.details
    this.retryAfterMs = detail.retryAfterMs
    Object.defineProperty(this, brand, { value: true })
  }
}

/** True for a `KeelsonError` of any copy of this package: a host may have installed it twice. */
export function isKeelsonError(value: unknown): value is KeelsonError {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true
}

export interface ErrorEntry {
  kind: ErrorKind
  message: string
}

/** Turns a catalogue `{ CODE: { kind, message } }` into functions that make the errors: `throw errors.CODE()`. */
export function defineErrors<const Catalogue extends Record<string, ErrorEntry>>(catalogue: Catalogue) {
  const made: Record<string, (detail?: ErrorDetail) => KeelsonError> = {}
  for (const [code, { kind, message }] of Object.entries(catalogue)) {
    made[code] = (detail) => new KeelsonError(code, kind, message, detail)
  }
  return made as { readonly [Code in keyof Catalogue]: (detail?: ErrorDetail) => KeelsonError }
}

const internal = defineErrors({ INTERNAL: { kind: 'internal', message: 'internal error' } })

/** The error a caller may see: a `KeelsonError` as it is, anything else as `INTERNAL` with the original as its cause. */
export function toKeelsonError(value: unknown): KeelsonError {
  return isKeelsonError(value) ? value : internal.INTERNAL({ cause: value })
}
