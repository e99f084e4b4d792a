import { statusOf, type ValidationIssue } from '../../http/errors.ts'
import type { HttpRequest } from '../../http/message.ts'
import type { Surface } from '../../http/surface.ts'
import type { KeelsonError } from '../../kernel/errors.ts'
import type { Json } from '../../kernel/json.ts'

interface Failure {
  readonly status: number
  readonly body: Json
  readonly headers?: Readonly<Record<string, string>>
}

type Encode = (error: KeelsonError, request: HttpRequest | undefined) => Failure

/** What the framework of the original says by itself has `detail`; what its handlers say has `error`. */
const framework: Readonly<Record<string, Encode>> = {
  // To the original every path is one that only GET may ask for.
  NOT_FOUND: (_error, request) =>
    request === undefined || request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS'
      ? { status: 404, body: { detail: 'Not Found' } }
      : { status: 405, body: { detail: 'Method Not Allowed' } },
  // The original has no route for HEAD.
  METHOD_NOT_ALLOWED: (_error, request) =>
    request?.method === 'HEAD'
      ? { status: 404, body: { detail: 'Not Found' } }
      : { status: 405, body: { detail: 'Method Not Allowed' } },
  INVALID_BODY: (error) => invalid('body', issuesOf(error)),
  INVALID_QUERY: (error) => invalid('query', issuesOf(error)),
  MALFORMED_JSON: ({ message }) => invalid('body', [{ path: '', message }], 'json_invalid'),
  JSON_TOO_DEEP: ({ message }) => invalid('body', [{ path: '', message }], 'json_invalid'),
  UNSUPPORTED_MEDIA_TYPE: ({ message }) => invalid('body', [{ path: '', message }], 'model_attributes_type'),
}

const worded: Readonly<Record<string, Encode>> = {
  ...framework,
  UNAUTHENTICATED: (_error, request) =>
    request?.method === 'GET' && /\btext\/html\b/i.test(request.header('accept') ?? '')
      ? { status: 302, body: {}, headers: { location: loginOf(request.path) } }
      : {
          status: 401,
          body: { error: 'Authentication required' },
          headers: { 'www-authenticate': 'Basic realm="Mycelos"' },
        },
  ORIGIN_REFUSED: () => plain(403, 'Cross-origin request blocked (CSRF)'),
  SESSION_NOT_FOUND: () => plain(404, 'Session not found'),
  GENERATION_NOT_FOUND: ({ message }) => plain(400, message),
  CONFIG_INVALID: ({ message }) => plain(400, message),
  CONFIG_TOO_NEW: ({ message }) => plain(400, message),
  CONFIG_DAMAGED: ({ message }) => plain(400, message),
  NOTE_NOT_FOUND: ({ details }) => ({
    status: 404,
    body: { error: 'not_found', path: String(details?.['path'] ?? '') },
  }),
  AGENT_NOT_FOUND: () => plain(404, 'Agent not found'),
  AGENT_DISABLED: () => plain(404, 'Agent not found'),
}

/** Where a browser logs in: below the same mount point. */
const loginOf = (path: string): string =>
  `${/^(.*?)\/(?:api\/|healthz$)/.exec(path)?.[1] ?? ''}/login?next=${encodeURIComponent(path)}`

const plain = (status: number, error: string): Failure => ({ status, body: { error } })

const issuesOf = ({ details, message }: KeelsonError): readonly ValidationIssue[] =>
  (details?.['issues'] as readonly ValidationIssue[] | undefined) ?? [{ path: '', message }]

const invalid = (place: 'body' | 'query', issues: readonly ValidationIssue[], type = 'value_error'): Failure => ({
  status: 422,
  body: {
    detail: issues.map(({ path, message }) => ({
      type,
      loc: [place, ...(path === '' ? [] : path.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : part)))],
      msg: message,
      input: null,
    })),
  },
})

/** The system's error bodies and statuses. Texts of the database and of defects stay here. */
export const encodeError: Surface<unknown>['encodeError'] = (error, request) => {
  const own = worded[error.code]
  if (own) return own(error, request)
  if (error.kind === 'internal') return plain(500, 'An internal error occurred.')
  if (error.code.startsWith('STORE_')) return plain(503, 'the storage is not available')
  return plain(statusOf(error), error.message)
}
