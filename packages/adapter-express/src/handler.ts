import { createDispatcher, type DispatchContext, type Match, type Mount, type Principal } from '@keelson/core/http'
import { type NodeRequest, type NodeResponse, nodeRequest, writeNodeResponse } from '@keelson/core/node'
import { keptBytes } from './raw-body.ts'

/** What is used of a runtime. */
export interface HostRuntime<Client> {
  as(principal: Principal | null, context?: DispatchContext): Client
  start?(): Promise<void>
  /** Told what callers only see as an internal error. */
  reportError?(error: unknown, where: string): void
}

/** What is used of Express's request; a plain `IncomingMessage` will do. */
export interface HostRequest extends NodeRequest {
  readonly url?: string | undefined
  readonly body?: unknown
}

export interface KeelsonOptions<Client> {
  readonly mounts: readonly Mount<Client>[]
  /** The host's opinion on a request: somebody, nobody (null), or none (undefined: the surface's own scheme is asked). */
  authenticate?(req: HostRequest): Principal | null | undefined | Promise<Principal | null | undefined>
  /** How long a body may take to arrive, in milliseconds; 30,000 when missing. */
  readonly bodyTimeoutMs?: number
}

export type ExpressHandler = (req: HostRequest, res: NodeResponse, next?: (error?: unknown) => void) => void

/**
 * One function for `app.use()` of Express 4 and 5, or in front of the app: `handler(req, res, () => app(req, res))`. What
 * is not below a mount goes to `next` at once and untouched; errors are answered in the surface's body and never reach
 * the host's error handler. Without `next`, what is not ours is a bare 404.
 */
export function keelson<Client>(runtime: HostRuntime<Client>, options: KeelsonOptions<Client>): ExpressHandler {
  const { mounts, authenticate, bodyTimeoutMs } = options
  const report = (error: unknown, where: string): void => {
    try {
      runtime.reportError?.(error, where)
    } catch {
      // An observer that breaks must not break the answer.
    }
  }
  const dispatcher = createDispatcher<Client>({
    mounts,
    as: (principal, context) => runtime.as(principal, context),
    authenticate: (native) => authenticate?.(native as HostRequest),
    start: async () => runtime.start?.(),
    onError: (error, { method, path, surface }) => report(error, `${method} ${path} (${surface})`),
  })
  dispatcher.ready().catch((error: unknown) => report(error, 'start'))

  const answer = async (match: Match<Client>, req: HostRequest, res: NodeResponse, path: string, query: string) => {
    const request = nodeRequest(req, res, { path, query, native: req, bodyTimeoutMs, ...bodyOf(req) })
    await writeNodeResponse(res, await dispatcher.handle(match, request), (error) => report(error, match.path))
  }

  return (req, res, next) => {
    const { path, query } = splitTarget(req.url ?? '/')
    const match = dispatcher.match(req.method ?? 'GET', path)
    if (match !== undefined) void answer(match, req, res, path, query)
    else if (next !== undefined) next()
    else endNotFound(res)
  }
}

/** What the host's parsers have left. Those of Express 4 put `{}` on requests that they have not read. */
function bodyOf(req: HostRequest): { parsedBody: unknown; rawBody: Uint8Array | undefined } {
  const body = req.readableDidRead ? req.body : undefined
  return body instanceof Uint8Array
    ? { parsedBody: undefined, rawBody: body }
    : { parsedBody: body, rawBody: keptBytes(req) }
}

/** Path and query as they came. A target in absolute form, which proxies send, loses its scheme and authority. */
function splitTarget(target: string): { path: string; query: string } {
  const url = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*/i, '')
  const mark = url.indexOf('?')
  return mark === -1 ? { path: url || '/', query: '' } : { path: url.slice(0, mark) || '/', query: url.slice(mark + 1) }
}

function endNotFound(res: NodeResponse): void {
  res.statusCode = 404
  res.end()
}
