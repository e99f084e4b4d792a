import { statusOf } from '../../src/http/errors.ts'
import type { HttpRequest, HttpResponse, HttpSink } from '../../src/http/message.ts'
import type { AnyRoute, Surface } from '../../src/http/surface.ts'
import type { Principal } from '../../src/kernel/context.ts'

export const ann: Principal = { tenant: 't', subject: 'ann', roles: [], via: 'test', ambient: false }

export type RouteInput = Partial<AnyRoute<unknown>> & Pick<AnyRoute<unknown>, 'method' | 'path'>

const anything: AnyRoute<unknown>['response'] = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
}

/** A route that answers its own path pattern, unless told otherwise. */
export const testRoute = (input: RouteInput): AnyRoute<unknown> => ({
  section: 'test',
  summary: 'test',
  response: anything,
  handle: () => ({ json: { route: `${input.method} ${input.path}` } }),
  ...input,
})

export const testSurface = (
  id: string,
  routes: readonly RouteInput[],
  more: Partial<Surface<unknown>> = {},
): Surface<unknown> => ({
  id,
  routes: routes.map(testRoute),
  bodyLimit: 1_000,
  headers: { 'X-Surface': id },
  authenticate: () => ann,
  encodeError: (error) => ({
    status: statusOf(error),
    body: {
      surface: id,
      code: error.code,
      message: error.message,
      details: JSON.parse(JSON.stringify(error.details ?? null)),
    },
  }),
  ...more,
})

interface RequestInput {
  method?: string
  path?: string
  query?: string
  headers?: Readonly<Record<string, string>>
  body?: string | Uint8Array
  parsedBody?: unknown
  signal?: AbortSignal
  bytes?: HttpRequest['bytes']
}

export const testRequest = (input: RequestInput = {}): HttpRequest => ({
  method: input.method ?? 'GET',
  path: input.path ?? '/',
  query: input.query ?? '',
  header: (name) => input.headers?.[name],
  signal: input.signal ?? new AbortController().signal,
  remoteAddress: undefined,
  bytes:
    input.bytes ??
    (async () =>
      typeof input.body === 'string' ? new TextEncoder().encode(input.body) : (input.body ?? new Uint8Array(0))),
  parsedBody: input.parsedBody,
  native: { marker: 'native' },
})

export const jsonOf = (response: HttpResponse): unknown =>
  response.headers['content-type'] === 'application/json' && typeof response.body === 'string'
    ? JSON.parse(response.body)
    : response.body

/** A sink that keeps what it is given and can be made to push back. */
export function testSink() {
  const gone = new AbortController()
  const chunks: string[] = []
  let full: { promise: Promise<void>; release: () => void } | undefined
  const sink: HttpSink = {
    signal: gone.signal,
    write(chunk) {
      chunks.push(chunk)
      return full?.promise
    },
  }
  return {
    sink,
    chunks,
    leave: () => gone.abort(),
    block() {
      const { promise, resolve: release } = Promise.withResolvers<void>()
      full = { promise, release }
    },
    release() {
      full?.release()
      full = undefined
    },
  }
}
