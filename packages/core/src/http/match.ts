import { findRoute } from 'rou3'
import type { KeelsonError } from '../kernel/errors.ts'
import { httpErrors } from './errors.ts'
import type { MountedSurface, RouteTable } from './mounts.ts'
import type { AnyRoute } from './surface.ts'

/** A request that is ours, and what is to be done with it. */
export interface Match<Client> {
  readonly mount: MountedSurface<Client>
  /** Undefined for a path or method that an exclusive mount does not know. */
  readonly route: AnyRoute<Client> | undefined
  /** The route's path with its prefix and `:name`s; the request's path where there is no route. */
  readonly path: string
  readonly params: Readonly<Record<string, string>>
  /** Answered instead of calling the route. */
  readonly failure: KeelsonError | undefined
}

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const known: ReadonlySet<string> = new Set(methods)

/**
 * Finds the route of a request. The path is the one on the wire, without the query. HEAD is answered by GET's routes.
 * Undefined means that the request is the host's.
 */
export function matchRoute<Client>(table: RouteTable<Client>, method: string, path: string): Match<Client> | undefined {
  const asked = method === 'HEAD' ? 'GET' : method
  if (path.startsWith('/')) {
    const found = known.has(asked) ? findRoute(table.router, asked, path) : undefined
    if (found !== undefined && isPlain(path)) {
      const { mount, route, path: pattern } = found.data
      const params = decodeParams(found.params)
      const failure = params === undefined ? httpErrors.INVALID_PATH() : undefined
      return { mount, route, path: pattern, params: params ?? {}, failure }
    }
  }
  return table.exclusive.length === 0 ? undefined : refuse(table, path)
}

/**
 * False for a path that something between the client and here might read as another one: empty and dot segments
 * (escaped too), backslashes, a fragment, control characters and raw bytes above ASCII. No route has such a path.
 */
const isPlain = (path: string): boolean => !/[^!-~]|[\\#]|\/\/|\/(?:\.|%2e){1,2}(?:\/|$)/i.test(path)

/** Decodes each parameter once; an escaped slash is part of its parameter. Undefined when an escape is not valid. */
function decodeParams(raw: Record<string, string> | undefined): Record<string, string> | undefined {
  const params = Object.create(null) as Record<string, string>
  if (raw === undefined) return params
  for (const name of Object.keys(raw)) {
    const value = raw[name] ?? ''
    if (!value.includes('%')) {
      params[name] = value
      continue
    }
    try {
      params[name] = decodeURIComponent(value)
    } catch {
      return undefined
    }
    if (params[name].includes('\0')) return undefined
  }
  return params
}

function refuse<Client>(table: RouteTable<Client>, path: string): Match<Client> | undefined {
  const mount = table.exclusive.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`))
  if (mount === undefined) return undefined
  const allowed = allowedMethods(table, path)
  const failure =
    allowed.length === 0
      ? httpErrors.NOT_FOUND()
      : httpErrors.METHOD_NOT_ALLOWED({ details: { allow: allowed.join(', ') } })
  return { mount, route: undefined, path, params: {}, failure }
}

function allowedMethods<Client>(table: RouteTable<Client>, path: string): readonly string[] {
  if (!path.startsWith('/') || !isPlain(path)) return []
  const allowed: string[] = methods.filter((method) => findRoute(table.router, method, path, { params: false }))
  return allowed.includes('GET') ? [...allowed, 'HEAD'] : allowed
}
