import { addRoute, compareRoutes, createRouter, findOverlappingRoutes, type RouterContext } from 'rou3'
import { defineErrors } from '../kernel/errors.ts'
import type { AnyRoute, Method, Mount, Surface } from './surface.ts'

/** A surface at its place, with what every answer of it needs made once. */
export interface MountedSurface<Client> {
  readonly surface: Surface<Client>
  /** Without a slash at the end; empty for the root. */
  readonly prefix: string
  readonly exclusive: boolean
  /** The surface's headers with lower-case names. */
  readonly headers: Readonly<Record<string, string>>
}

export interface MountedRoute<Client> {
  readonly mount: MountedSurface<Client>
  readonly route: AnyRoute<Client>
  readonly method: Method
  /** With the prefix, parameters as `:name`. */
  readonly path: string
}

export interface RouteTable<Client> {
  readonly router: RouterContext<MountedRoute<Client>>
  readonly routes: readonly MountedRoute<Client>[]
  /** The longest prefix first. */
  readonly exclusive: readonly MountedSurface<Client>[]
}

const mountErrors = defineErrors({
  MOUNT_INVALID: { kind: 'bad_request', message: 'the mount is not valid' },
  MOUNT_CONFLICT: { kind: 'conflict', message: 'two surfaces answer the same requests' },
})

/**
 * Puts the routes of all mounts into one table. Throws `MOUNT_INVALID` for a prefix or path that is none, and
 * `MOUNT_CONFLICT` where routes of two mounts would answer one request.
 */
export function createRouteTable<Client>(mounts: readonly Mount<Client>[]): RouteTable<Client> {
  const router = createRouter<MountedRoute<Client>>()
  const routes: MountedRoute<Client>[] = []
  const mounted = mounts.map(mountSurface)
  for (const mount of mounted) {
    for (const route of mount.surface.routes) {
      const entry: MountedRoute<Client> = { mount, route, method: route.method, path: fullPath(mount, route.path) }
      refuseConflict(router, entry)
      addRoute(router, entry.method, entry.path, entry)
      routes.push(entry)
    }
  }
  const exclusive = mounted.filter((mount) => mount.exclusive).sort((a, b) => b.prefix.length - a.prefix.length)
  return { router, routes, exclusive }
}

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

function fullPath<Client>({ prefix, surface }: MountedSurface<Client>, path: string): string {
  if (!path.startsWith('/')) {
    throw mountErrors.MOUNT_INVALID({
      message: `the path ${JSON.stringify(path)} of surface "${surface.id}" does not start with a slash`,
    })
  }
  return path === '/' && prefix !== '' ? prefix : prefix + path
}

function refuseConflict<Client>(router: RouterContext<MountedRoute<Client>>, entry: MountedRoute<Client>): void {
  for (const { data: other } of findOverlappingRoutes(router, entry.method, entry.path)) {
    if (other.mount !== entry.mount) {
      throw mountErrors.MOUNT_CONFLICT({
        message: `${nameOf(other)} and ${nameOf(entry)} answer the same requests: mount one of the two surfaces at another prefix`,
      })
    }
    // In one surface a static path beside a parameter is meant: the static one wins.
    if (compareRoutes(other.path, entry.path) === 'equal') {
      throw mountErrors.MOUNT_INVALID({ message: `${nameOf(other)} and ${nameOf(entry)} are the same route` })
    }
  }
}

const nameOf = <Client>({ mount, method, path }: MountedRoute<Client>): string =>
  `"${method} ${path}" of surface "${mount.surface.id}"`
