import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Principal, RequestOrigin } from '../kernel/context.ts'
import { type ErrorDetail, isKeelsonError, type KeelsonError, toKeelsonError } from '../kernel/errors.ts'
import { readJson } from './body.ts'
import { encodeAnswer, encodeFailure } from './encode.ts'
import { httpErrors, validationIssues } from './errors.ts'
import { type Match, matchRoute } from './match.ts'
import type { HttpRequest, HttpResponse } from './message.ts'
import { createRouteTable } from './mounts.ts'
import { parseQuery } from './query.ts'
import type { AnyRoute, Method, Mount, MountRules, Surface } from './surface.ts'

export interface DispatchContext {
  readonly signal: AbortSignal
  readonly requestOrigin: RequestOrigin
}

/** Which route an error came from. `path` is the route's, with `:name`s. */
export interface ErrorPlace {
  readonly method: string
  readonly path: string
  readonly surface: string
}

export interface DispatcherOptions<Client> extends MountRules {
  readonly mounts: readonly Mount<Client>[]
  /** The runtime acting as the caller; as nobody for null. */
  as(principal: Principal | null, context: DispatchContext): Client
  /** The host's opinion on a request: somebody, nobody (null), or none (undefined: the surface's own scheme is asked). */
  authenticate?(native: unknown): Principal | null | undefined | Promise<Principal | null | undefined>
  /** Made to happen by `ready`: once, and again when it has failed. */
  start?(): Promise<void>
  /** Told what callers only see as an internal error. What it throws is ignored. */
  onError?(error: unknown, place: ErrorPlace): void
}

export interface MountedRouteInfo<Client> {
  readonly method: Method
  /** With the mount's prefix. */
  readonly path: string
  readonly surface: Surface<Client>
  readonly route: AnyRoute<Client>
}

export interface Dispatcher<Client> {
  /** The route of a request, by its method and its path as it came over the wire; undefined when it is the host's. */
  match(method: string, path: string): Match<Client> | undefined
  /** Answers a matched request. Never rejects. */
  handle(match: Match<Client>, request: HttpRequest): Promise<HttpResponse>
  /** Starts what is behind the routes. Every request waits for it; adapters call it when they are mounted. */
  ready(): Promise<void>
  readonly routes: readonly MountedRouteInfo<Client>[]
}

/** The HTTP machine: all mounts behind two functions that every adapter uses. Throws when mounts are in conflict. */
export function createDispatcher<Client>(options: DispatcherOptions<Client>): Dispatcher<Client> {
  const table = createRouteTable(options.mounts, options)
  let started = options.start === undefined
  let starting: Promise<void> | undefined

  const start = async (): Promise<void> => {
    try {
      await options.start?.()
      started = true
    } finally {
      starting = undefined
    }
  }
  const ready = async (): Promise<void> => {
    if (started) return
    starting ??= start()
    await starting
  }

  const report = (error: unknown, match: Match<Client>, request: HttpRequest): void => {
    try {
      options.onError?.(error, { method: request.method, path: match.path, surface: match.mount.surface.id })
    } catch {
      // An observer that breaks must not break the answer.
    }
  }

  /** Nobody is let in without proof, except on open routes, where a failing proof makes the caller nobody. */
  const identify = async (match: Match<Client>, route: AnyRoute<Client>, request: HttpRequest) => {
    let principal: Principal | null | undefined
    try {
      principal = await options.authenticate?.(request.native)
      if (principal === undefined) {
        for (const guard of match.mount.guards) principal ??= await guard.authenticate(request)
      }
    } catch (error) {
      if (!route.open) throw error
      if (isDefect(error)) report(error, match, request)
    }
    if (!principal && !route.open) throw httpErrors.UNAUTHENTICATED()
    return principal ?? null
  }

  const call = async (match: Match<Client>, request: HttpRequest): Promise<HttpResponse> => {
    if (!started) await ready()
    const { route, mount, params, failure } = match
    await mount.surface.admit?.(request)
    if (route === undefined) throw failure ?? httpErrors.NOT_FOUND()
    const principal = await identify(match, route, request)
    if (failure !== undefined) throw failure
    const query = await validate(route.query, parseQuery(request.query), httpErrors.INVALID_QUERY)
    const body =
      route.body &&
      (await validate(
        route.body,
        await readJson(request, mount.surface.bodyLimit, route.bodyOptional === true),
        httpErrors.INVALID_BODY,
      ))
    const client = options.as(principal, { signal: request.signal, requestOrigin: originOf(mount.surface, request) })
    const answer = await route.handle({ client, principal, params, query, body, request })
    return encodeAnswer(mount, answer, {
      bodyless: request.method === 'HEAD',
      onStreamError: (error) => report(error, match, request),
    })
  }

  return {
    match: (method, path) => matchRoute(table, method, path),
    async handle(first, request) {
      let match = first
      try {
        if (first.decide !== undefined) match = first.decide(request)
        return await call(match, request)
      } catch (thrown) {
        const error = clientGone(thrown, request) ? httpErrors.CLIENT_GONE() : thrown
        if (isDefect(error)) report(error, match, request)
        return encodeFailure(match.mount, toKeelsonError(error), request)
      }
    },
    ready,
    routes: table.routes.map(({ method, path, mount, route }) => ({ method, path, surface: mount.surface, route })),
  }
}

const isDefect = (error: unknown): boolean => !isKeelsonError(error) || error.kind === 'internal'

/** What the signal made somebody throw is no defect. */
const clientGone = (error: unknown, { signal }: HttpRequest): boolean =>
  signal.aborted && (error === signal.reason || (error instanceof Error && error.name === 'AbortError'))

function originOf<Client>(surface: Surface<Client>, request: HttpRequest): RequestOrigin {
  const [origin, host] = [request.header('origin'), request.header('host')]
  return { origin: origin !== undefined && surface.trustsOrigin?.(origin, host) ? undefined : origin, host }
}

async function validate(
  schema: StandardSchemaV1 | undefined,
  value: unknown,
  refuse: (detail: ErrorDetail) => KeelsonError,
): Promise<unknown> {
  if (schema === undefined) return value
  let result = schema['~standard'].validate(value)
  if (result instanceof Promise) result = await result
  if (result.issues !== undefined) throw refuse({ details: { issues: validationIssues(result.issues) } })
  return result.value
}
