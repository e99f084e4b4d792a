import { addRoute, createRouter, type RouterContext } from 'rou3'
import { type Conflict, findConflicts, hasRival } from './conflicts.ts'
import { mountErrors } from './mount-errors.ts'
import type { MountedRoute, MountedSurface } from './mounted.ts'
import { isBelow, segmentsOf, shapeOf } from './pattern.ts'
import type { AnyRoute, Method, Mount, MountRules } from './surface.ts'

/** A route among those of all mounts. */
export interface RoutedEntry<Client> extends MountedRoute<Client> {
  /** True when another mount answers some of the same requests. */
  readonly contested: boolean
}

export interface RouteTable<Client> {
  readonly router: RouterContext<RoutedEntry<Client>>
  /** The routes of each mount alone, for requests that several could answer. */
  readonly mounts: ReadonlyMap<MountedSurface<Client>, RouterContext<MountedRoute<Client>>>
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
  const mounted = mounts.map(mountSurface)
  const exclusive = mounted.filter((mount) => mount.exclusive).sort((a, b) => b.prefix.length - a.prefix.length)
  const lists = new Map(mounted.map((mount) => [mount, mountRoutes(mount, allowProcesses)]))
  const routes = [...lists.values()].flat()
  for (const route of routes) refuseUnreachable(route, exclusive)
  const conflicts = findConflicts(routes, exclusive, resolve)

  const router = createRouter<RoutedEntry<Client>>()
  for (const route of routes)
    addRoute(router, route.method, route.path, { ...route, contested: hasRival(route, routes) })
  return {
    router,
    routes,
    conflicts,
    exclusive,
    mounts: new Map([...lists].map(([mount, list]) => [mount, routerOf(list)])),
  }
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
  const bare = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  if (bare !== '' && !/^(?:\/[\w~-][\w.~-]*)+$/.test(bare)) {
    throw mountErrors.MOUNT_INVALID({
      message: `the prefix ${JSON.stringify(prefix)} of surface "${surface.id}" is not a path of plain segments, e.g. "/ai"`,
    })
  }
  return { surface, prefix: bare, exclusive, headers: lowerCaseNames(surface.headers) }
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
const plainPath = /^\/$|^(?:\/(?::[A-Za-z_]\w*|[\w.~-]+))+\/?$/

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

function routerOf<Client>(routes: readonly MountedRoute<Client>[]): RouterContext<MountedRoute<Client>> {
  const router = createRouter<MountedRoute<Client>>()
  for (const route of routes) addRoute(router, route.method, route.path, route)
  return router
}

const nameOf = <Client>({ mount, method, path }: MountedRoute<Client>): string =>
  `"${method} ${path}" of surface "${mount.surface.id}"`
