import type { Dispatcher, Mount } from '@keelson/core/http'

type Methods = Set<string>

/** The URLs to register below the plugin's own prefix, each with its methods. */
export interface RoutePlan {
  /** Each route, where that matters also with a slash at its end. */
  readonly routes: ReadonlyMap<string, Methods>
  /**
   * For what Fastify's router does not find by itself: parameters longer than it allows, and all that is unknown below an
   * exclusive prefix.
   */
  readonly wildcards: ReadonlyMap<string, Methods>
}

interface HostRouter {
  /** The methods that it knows. */
  readonly methods: readonly string[]
  /** Whether a slash at the end makes another URL. */
  readonly slashes: boolean
  /** Whether the plugin is registered below a prefix of its own. */
  readonly prefixed: boolean
}

/**
 * Fastify's router decides whether a request gets to us; which route it is, our own matcher decides by the path on the
 * wire.
 */
export function planRoutes<Client>(
  dispatcher: Dispatcher<Client>,
  mounts: readonly Mount<Client>[],
  { methods: supported, slashes, prefixed }: HostRouter,
): RoutePlan {
  const routes = new Map<string, Methods>()
  const wildcards = new Map<string, Methods>()
  /** The names of parameters do not count for the router, so that two surfaces may name one of them differently. */
  const urls = new Map<string, string>()

  for (const { method, path } of dispatcher.routes) {
    const shape = path.replaceAll(/:\w+/g, ':')
    const url = urls.get(shape) ?? path
    urls.set(shape, url)
    const methods = method === 'GET' ? ['GET', 'HEAD'] : [method]
    add(routes, url, methods)
    if (slashes && url !== '/') add(routes, `${url}/`, methods)
    const parameter = path.indexOf(':')
    // At the root it would take every request of the host.
    if (parameter > 1) add(wildcards, `${path.slice(0, parameter)}*`, methods)
  }
  for (const { prefix, exclusive } of mounts) {
    if (exclusive !== true) continue
    const bare = prefix.replace(/\/$/, '')
    if (bare !== '' || prefixed) add(wildcards, bare, supported)
    // Takes the prefix with a slash at its end, too.
    add(wildcards, `${bare}/*`, supported)
  }
  return { routes, wildcards }
}

function add(plan: Map<string, Methods>, url: string, methods: Iterable<string>): void {
  const known = plan.get(url) ?? new Set()
  plan.set(url, known)
  for (const method of methods) known.add(method)
}
