import { findRoute } from 'rou3'
import type { KeelsonError } from '../kernel/errors.ts'
import { idsOf } from './conflicts.ts'
import { httpErrors } from './errors.ts'
import type { HttpRequest } from './message.ts'
import type { MountedRoute, MountedSurface } from './mounted.ts'
import type { RouteTable, TableEntry } from './mounts.ts'
import { intersect, shapeOf } from './pattern.ts'
import type { AnyRoute, Winner } from './surface.ts'

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
  /** Set where the request decides between surfaces: gives the match that holds instead. Throws when it names none. */
  readonly decide?: (request: HttpRequest) => Match<Client>
}

interface Found<Client> {
  readonly data: MountedRoute<Client>
  readonly params?: Record<string, string>
}

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const known: ReadonlySet<string> = new Set(methods)

/**
 * Finds the route of a request. The path is the one on the wire, without the query. HEAD is answered by GET's routes.
 * Undefined means that the request is the host's.
 */
export function matchRoute<Client>(table: RouteTable<Client>, method: string, path: string): Match<Client> | undefined {
  const asked = method === 'HEAD' ? 'GET' : method
  // The longest exclusive prefix above the path: no mount with a shorter one answers below it.
  const owner = table.exclusive.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`))
  const found = path.startsWith('/') && known.has(asked) ? findRoute(table.router, asked, path) : undefined
  if (found !== undefined && isPlain(path)) {
    const { contenders } = found.data
    const match = contenders.length > 0 ? settle(table, contenders, owner, asked, path) : undefined
    if (match !== undefined) return match
    if (contenders.length === 0 && answers(found.data, owner)) return matchOf(found)
  }
  return owner && refuse(table, owner, path)
}

const answers = <Client>({ mount }: MountedRoute<Client>, owner: MountedSurface<Client> | undefined): boolean =>
  owner === undefined || mount.prefix.length >= owner.prefix.length

function matchOf<Client>({ data, params: raw }: Found<Client>): Match<Client> {
  const params = decodeParams(raw)
  const failure = params === undefined ? httpErrors.INVALID_PATH() : undefined
  return { mount: data.mount, route: data.route, path: data.path, params: params ?? {}, failure }
}

/** For a path that routes of several mounts match: asks each mount, and then who wins. */
function settle<Client>(
  { conflicts }: RouteTable<Client>,
  contenders: TableEntry<Client>['contenders'],
  owner: MountedSurface<Client> | undefined,
  method: string,
  path: string,
): Match<Client> | undefined {
  const found: Found<Client>[] = []
  for (const router of contenders) {
    const each = findRoute(router, method, path)
    if (each !== undefined && answers(each.data, owner)) found.push(each)
  }
  const [first] = found
  if (first === undefined || found.length === 1) return first && matchOf(first)
  const common = found.map(({ data }) => data.segments).reduce((a, b) => intersect(a, b) ?? a)
  const conflict = conflicts.get(shapeOf(first.data.method, common))
  if (conflict === undefined) return undefined
  if (typeof conflict.winner === 'string') return matchOf(winnerOf(found, conflict.winner, conflict.key))
  return { ...matchOf(first), decide: decideBy(found, conflict.winner, conflict.key) }
}

const decideBy =
  <Client>(found: readonly Found<Client>[], winner: Exclude<Winner, string>, key: string) =>
  (request: HttpRequest): Match<Client> =>
    matchOf(winnerOf(found, winner(request), key))

function winnerOf<Client>(found: readonly Found<Client>[], id: string, key: string): Found<Client> {
  const named = found.find(({ data }) => data.mount.surface.id === id)
  if (named !== undefined) return named
  const ids = idsOf(found.map(({ data }) => data)).join(', ')
  throw new Error(`resolve gave ${JSON.stringify(id)} as the winner of "${key}"; there is: ${ids}`)
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

function refuse<Client>(table: RouteTable<Client>, owner: MountedSurface<Client>, path: string): Match<Client> {
  const others = otherMethods(table, owner, path)
  const [other] = others
  if (other === undefined) return { mount: owner, route: undefined, path, params: {}, failure: httpErrors.NOT_FOUND() }
  const allowed: string[] = others.map(({ method }) => method)
  if (allowed.includes('GET')) allowed.push('HEAD')
  const failure = httpErrors.METHOD_NOT_ALLOWED({ details: { allow: allowed.join(', ') } })
  // Where exclusive mounts share a prefix, the one that knows the path says so.
  return { mount: other.mount.exclusive ? other.mount : owner, route: undefined, path, params: {}, failure }
}

function otherMethods<Client>(
  table: RouteTable<Client>,
  owner: MountedSurface<Client>,
  path: string,
): readonly MountedRoute<Client>[] {
  if (!path.startsWith('/') || !isPlain(path)) return []
  return methods.flatMap((method) => {
    const found = findRoute(table.router, method, path, { params: false })
    return found !== undefined && answers(found.data, owner) ? found.data : []
  })
}
