import type { StandardSchemaV1 } from '@standard-schema/spec'
import { defineErrors, type ErrorKind, type KeelsonError } from '../kernel/errors.ts'

export const httpErrors = defineErrors({
  UNAUTHENTICATED: { kind: 'unauthenticated', message: 'valid credentials are required' },
  NOT_FOUND: { kind: 'not_found', message: 'not found' },
  METHOD_NOT_ALLOWED: { kind: 'method_not_allowed', message: 'method not allowed' },
  INVALID_PATH: { kind: 'bad_request', message: 'the path has an escape that is not valid' },
  INVALID_QUERY: { kind: 'bad_request', message: 'the query is not valid' },
  INVALID_BODY: { kind: 'unprocessable', message: 'the body is not valid' },
  MALFORMED_JSON: { kind: 'bad_request', message: 'the body is not valid JSON' },
  JSON_TOO_DEEP: { kind: 'bad_request', message: 'the body is nested too deeply' },
  UNSUPPORTED_MEDIA_TYPE: {
    kind: 'unsupported_media_type',
    message: 'the body must be JSON in UTF-8, sent as application/json without an encoding',
  },
  BODY_TOO_LARGE: { kind: 'too_large', message: 'the body is too large' },
  BODY_TIMEOUT: { kind: 'timeout', message: 'the body did not arrive in time' },
  RAW_BODY_CONSUMED: {
    kind: 'internal',
    message:
      'the raw body is gone: a body parser of the host has read it. Mount keelson before the parser, or give the parser the `verify` of the adapter',
  },
  CLIENT_GONE: { kind: 'cancelled', message: 'the client closed the connection' },
})

const statuses: Readonly<Record<ErrorKind, number>> = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  gone: 410,
  too_large: 413,
  unsupported_media_type: 415,
  unprocessable: 422,
  rate_limited: 429,
  cancelled: 499,
  internal: 500,
  upstream: 502,
  unavailable: 503,
  timeout: 504,
}

/** The usual status of an error or of its kind. Give the error itself where there is one: some codes have their own. */
export function statusOf(error: ErrorKind | Pick<KeelsonError, 'code' | 'kind'>): number {
  if (typeof error === 'string') return statuses[error]
  // The kind says time-out of something the server asked; this one is the client's.
  return error.code === 'BODY_TIMEOUT' ? 408 : statuses[error.kind]
}

/** One thing that is wrong with an input. `path` is dotted, e.g. `items.0.name`; empty for the input as a whole. */
export interface ValidationIssue {
  readonly path: string
  readonly message: string
}

const mostIssues = 20

/** The first 20 issues of a Standard Schema as plain data, safe to show to the caller. */
export function validationIssues(issues: readonly StandardSchemaV1.Issue[]): readonly ValidationIssue[] {
  return issues.slice(0, mostIssues).map(({ path, message }) => ({
    path: (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
    message,
  }))
}
