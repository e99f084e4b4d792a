import { addRoute, createRouter, type RouterContext } from 'rou3'
import { type Conflict, findConflicts, findRivals } from './conflicts.ts'
import { mountErrors } from './mount-errors.ts'
import type { MountedRoute, MountedSurface } from './mounted.ts'
import { isBelow, segmentsOf, shapeOf } from './pattern.ts'
import type { AnyRoute, Method, Mount, MountRules } from './surface.ts'

type Router<Client> = RouterContext<MountedRoute<Client>>

/** A route among those of all mounts. */
export interface TableEntry<Client> extends MountedRoute<Client> {
  /**
   * Where other mounts answer some of the same requests: the routes of each of these mounts alone, its own among them.
   * Empty otherwise.
   */
  readonly contenders: readonly Router<Client>[]
}

export interface RouteTable<Client> {
  readonly router: RouterContext<TableEntry<Client>>
  readonly routes: readonly MountedRoute<Client>[]
  /** By the shape of what their routes have in common. */
  readonly conflicts: ReadonlyMap<string, Conflict<Client>>
  /** The longest prefix first. */
  readonly exclusive: readonly MountedSurface<Client>[]
}

/**
 * Puts the routes of all mounts into one table. Throws `MOUNT_INVALID` for a prefix, path or winner that is none, and
 * `MOUNT_CONFLICT` where routes of several mounts would answer one request and no winner is named.
 */
export function createRouteTable<Client>(
  mounts: readonly Mount<Client>[],
  { resolve = {}, allowProcesses = false }: MountRules = {},
): RouteTable<Client> {
  const mounted = guarded(mounts.map(mountSurface))
  const exclusive = mounted.filter((mount) => mount.exclusive).sort((a, b) => b.prefix.length - a.prefix.length)
  const routes = mounted.flatMap((mount) => mountRoutes(mount, allowProcesses))
  for (const route of routes) refuseUnreachable(route, exclusive)
  const rivals = findRivals(routes)
  const conflicts = findConflicts([...rivals.keys()], exclusive, resolve)

  const alone = new Map(
    [...Map.groupBy(rivals.keys(), ({ mount }) => mount)].map(([mount, own]) => [mount, routerOf(own)]),
  )
  const router = createRouter<TableEntry<Client>>()
  for (const route of routes) {
    const meeting = rivals.get(route)
    const contenders = meeting
      ? mounted.filter((mount) => meeting.has(mount)).flatMap((mount) => alone.get(mount) ?? [])
      : []
    addRoute(router, route.method, route.path, { ...route, contenders })
  }
  return { router, routes, conflicts, exclusive }
}

export interface RouteInfo {
  readonly method: Method
  /** With the mount's prefix, parameters as `:name`. */
  readonly path: string
  /** The surface's id. */
  readonly surface: string
  readonly section: string
  readonly summary: string
  /** True when it needs no credentials. */
  readonly open: boolean
}

/** What would be mounted, in the order of the mounts; conflicts between them do not matter here. Throws `MOUNT_INVALID`. */
export const routesOf = <Client>(
  mounts: readonly Mount<Client>[],
  { allowProcesses = false }: Pick<MountRules, 'allowProcesses'> = {},
): readonly RouteInfo[] =>
  mounts
    .flatMap((mount) => mountRoutes(mountSurface(mount), allowProcesses))
    .map(({ method, path, mount, route }) => ({
      method,
      path,
      surface: mount.surface.id,
      section: route.section,
      summary: route.summary,
      open: route.open === true,
    }))

function mountSurface<Client>({ prefix, surface, exclusive = false }: Mount<Client>): MountedSurface<Client> {
  if (typeof prefix !== 'string' || !Array.isArray(surface?.routes)) {
    throw mountErrors.MOUNT_INVALID({
      message: 'a mount has a prefix and a surface, e.g. { prefix: "/ai", surface: roboticus({ apiKey }) }',
    })
  }
  const bare = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  if (bare !== '' && !/^(?:\/[\w~-][\w.~-]*)+$/.test(bare)) {
    throw mountErrors.MOUNT_INVALID({
      message: `the prefix ${JSON.stringify(prefix)} of surface "${surface.id}" is not a path of plain segments, e.g. "/ai"`,
    })
  }
  return { surface, prefix: bare, exclusive, guards: [surface], headers: lowerCaseNames(surface.headers) }
}

/** Of surfaces that share a prefix, those that ask for a secret also guard those that do not. */
function guarded<Client>(mounts: readonly MountedSurface<Client>[]): readonly MountedSurface<Client>[] {
  const strict = mounts.filter(
    ({ surface }) => surface.unprotected !== true && surface.routes.some(({ open }) => open !== true),
  )
  return mounts.map((mount) => {
    if (mount.surface.unprotected !== true) return mount
    const guards = strict.filter(({ prefix }) => prefix === mount.prefix).map(({ surface }) => surface)
    return guards.length === 0 ? mount : { ...mount, guards }
  })
}

/** Header names in lower case, as `HttpResponse` wants them. */
export function lowerCaseNames(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

function mountRoutes<Client>(mount: MountedSurface<Client>, allowProcesses: boolean): readonly MountedRoute<Client>[] {
  const known = new Map<string, MountedRoute<Client>>()
  for (const route of mount.surface.routes) {
    if (route.startsProcesses === true && !allowProcesses) continue
    const segments = segmentsOf(mount.prefix + pathOf(mount, route))
    const mounted = { mount, route, method: route.method, path: `/${segments.join('/')}`, segments }
    const shape = shapeOf(route.method, segments)
    const twin = known.get(shape)
    // In one surface a static path beside a parameter is meant: the static one wins.
    if (twin) throw mountErrors.MOUNT_INVALID({ message: `${nameOf(twin)} and ${nameOf(mounted)} are the same route` })
    known.set(shape, mounted)
  }
  return [...known.values()]
}

/** Literal text and whole-segment parameters alone: what else a router understands, another one reads differently. */
const plainPath = /^\/$|^(?:\/(?::[A-Za-z_]\w*|(?!\.{1,2}(?:\/|$))[\w.~-]+))+\/?$/

function pathOf<Client>({ surface }: MountedSurface<Client>, { path }: AnyRoute<Client>): string {
  if (plainPath.test(path)) return path
  throw mountErrors.MOUNT_INVALID({
    message: `the path ${JSON.stringify(path)} of surface "${surface.id}" is not made of plain segments and parameters, e.g. "/sessions/:id"`,
  })
}

function refuseUnreachable<Client>(route: MountedRoute<Client>, exclusive: readonly MountedSurface<Client>[]): void {
  const owner = exclusive.find(({ prefix }) => isBelow(route.segments, segmentsOf(prefix)))
  if (owner === undefined || owner.prefix.length <= route.mount.prefix.length) return
  throw mountErrors.MOUNT_CONFLICT({
    message: `${nameOf(route)} is below "${owner.prefix}", which surface "${owner.surface.id}" has to itself`,
  })
}

function routerOf<Client>(routes: readonly MountedRoute<Client>[]): Router<Client> {
  const router = createRouter<MountedRoute<Client>>()
  for (const route of routes) addRoute(router, route.method, route.path, route)
  return router
}

const nameOf = <Client>({ mount, method, path }: MountedRoute<Client>): string =>
  `"${method} ${path}" of surface "${mount.surface.id}"`
