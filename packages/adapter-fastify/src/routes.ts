import type { Dispatcher, Mount } from '@keelson/core/http'

type Methods = Set<string>

/** The URLs to register below the plugin's own prefix, each with its methods. */
export interface RoutePlan {
  /** Each route, with a slash at its end and without. */
  readonly routes: ReadonlyMap<string, Methods>
  /**
   * For what Fastify's router does not find by itself: parameters longer than it allows, and all that is unknown below an
   * exclusive prefix.
   */
  readonly wildcards: ReadonlyMap<string, Methods>
}

/**
 * Fastify's router decides whether a request gets to us; which route it is, our own matcher decides by the path on the
 * wire. `supported` are the methods that the host knows.
 */
export function planRoutes<Client>(
  dispatcher: Dispatcher<Client>,
  mounts: readonly Mount<Client>[],
  supported: readonly string[],
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
    if (url !== '/') add(routes, `${url}/`, methods)
    const parameter = path.indexOf(':')
    // At the root it would take every request of the host.
    if (parameter > 1) add(wildcards, `${path.slice(0, parameter)}*`, methods)
  }
  for (const { prefix, exclusive } of mounts) {
    if (exclusive !== true) continue
    const bare = prefix.replace(/\/$/, '')
    // At the root, preflight requests are the host's: its CORS plugin registers a wildcard of its own for them.
    const methods = bare === '' ? supported.filter((method) => method !== 'OPTIONS') : supported
    for (const url of bare === '' ? ['/'] : [bare, `${bare}/`]) add(wildcards, url, methods)
    add(wildcards, `${bare}/*`, methods)
  }
  return { routes, wildcards }
}

function add(plan: Map<string, Methods>, url: string, methods: Iterable<string>): void {
  const known = plan.get(url) ?? new Set()
  plan.set(url, known)
  for (const method of methods) known.add(method)
}
