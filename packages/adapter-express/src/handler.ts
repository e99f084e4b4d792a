import { type HostRuntime, type Match, type MountOptions, mountRuntime, splitTarget } from '@keelson/core/http'
import { type NodeRequest, type NodeResponse, nodeRequest, writeNodeResponse } from '@keelson/core/node'
import { keptBytes } from './raw-body.ts'

/** What is used of Express's request; a plain `IncomingMessage` will do. */
export interface HostRequest extends NodeRequest {
  readonly url?: string | undefined
  readonly body?: unknown
}

export type KeelsonOptions<Client> = MountOptions<Client, HostRequest>

export type ExpressHandler = (req: HostRequest, res: NodeResponse, next?: (error?: unknown) => void) => void

/**
 * One function for `app.use()` of Express 4 and 5, or in front of the app: `handler(req, res, () => app(req, res))`. What
 * is not below a mount goes to `next` at once and untouched; errors are answered in the surface's body and never reach
 * the host's error handler. Without `next`, what is not ours is a bare 404.
 */
export function keelson<Client>(runtime: HostRuntime<Client>, options: KeelsonOptions<Client>): ExpressHandler {
  const { bodyTimeoutMs } = options
  const { dispatcher, report } = mountRuntime(runtime, options)
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

function endNotFound(res: NodeResponse): void {
  res.statusCode = 404
  res.end()
}
