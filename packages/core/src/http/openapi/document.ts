import type { JsonObject } from '../../kernel/json.ts'
import type { MountedRoute } from '../mounted.ts'
import { createRouteTable } from '../mounts.ts'
import type { Mount, MountRules, SecurityScheme, Surface } from '../surface.ts'
import { operationNames } from './names.ts'
import { describeRoute, type OpenApiOperation } from './operation.ts'
import { Schemas } from './schemas.ts'

export type { OpenApiOperation } from './operation.ts'

export interface OpenApiOptions extends MountRules {
  readonly title: string
  readonly version: string
  /** Markdown. */
  readonly description?: string
  /** Where the host has mounted the handler of these mounts, e.g. `/host`. @default at the root */
  readonly base?: string
}

export interface OpenApiDocument {
  readonly openapi: '3.1.0'
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly servers: readonly { readonly url: string }[]
  readonly tags: readonly { readonly name: string }[]
  /** By path, then by method in lower case. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonObject>>
    readonly securitySchemes: Readonly<Record<string, SecurityScheme>>
  }
}

/**
 * The OpenAPI document of the routes that these mounts answer, made from the routes and their schemas. Of routes that
 * several mounts could answer it has the winner's. Throws what mounting them would throw.
 */
export function openapiOf<Client>(
  mounts: readonly Mount<Client>[],
  { title, version, description, base = '', ...rules }: OpenApiOptions,
): OpenApiDocument {
  const routes = winners(createRouteTable(mounts, rules).routes, rules)
  const surfaces = [...new Set(routes.map(({ mount }) => mount.surface))]
  const schemas = new Schemas()
  for (const { route } of routes) {
    schemas.count(route.body, 'input')
    schemas.count(route.response, 'output')
  }
  // Used by every response of a failure.
  for (const { errorSchema } of surfaces) schemas.count(errorSchema, 'output', 2)

  const severalSurfaces = new Set(surfaces.map(({ id }) => id)).size > 1
  const severalMounts = new Set(routes.map(({ mount }) => mount)).size > 1
  const tagOf = ({ mount, route }: MountedRoute<Client>) =>
    severalSurfaces ? `${mount.surface.id}: ${route.section}` : route.section
  const securitySchemes: Record<string, SecurityScheme> = {}
  const security = schemeNames(securitySchemes)
  const names = operationNames(
    routes.map(({ method, mount, path }) => ({
      method,
      // With one mount the names do not change when it moves.
      path: severalMounts ? path : path.slice(mount.prefix.length) || '/',
    })),
  )

  const paths: Record<string, Record<string, OpenApiOperation>> = {}
  const templates = new Map<string, string>()
  for (const [index, entry] of routes.entries()) {
    const { method, mount, path, route } = entry
    const shape = path.replace(/:\w+/g, ':')
    const template = templates.get(shape) ?? path.replace(/:(\w+)/g, '{$1}')
    templates.set(shape, template)
    paths[template] ??= {}
    paths[template][method.toLowerCase()] = describeRoute({
      route,
      surface: mount.surface,
      template,
      name: names[index] ?? '',
      tag: tagOf(entry),
      security: requirementsOf(entry, security),
      schemas,
    })
  }
  return {
    openapi: '3.1.0',
    info: { title, version, ...(description === undefined ? {} : { description }) },
    servers: [{ url: base || '/' }],
    tags: [...new Set(routes.map(tagOf))].map((name) => ({ name })),
    paths,
    components: { schemas: schemas.components, securitySchemes },
  }
}

/** One route for each method and path: where several mounts have it, the winner, or the first where requests decide. */
function winners<Client>(
  routes: readonly MountedRoute<Client>[],
  { resolve = {} }: MountRules,
): readonly MountedRoute<Client>[] {
  const chosen = new Map<string, MountedRoute<Client>>()
  for (const route of routes) {
    const key = `${route.method} ${route.path}`
    const shape = key.replace(/:\w+/g, ':')
    if (!chosen.has(shape) || resolve[key] === route.mount.surface.id) chosen.set(shape, route)
  }
  return [...chosen.values()]
}

type NameScheme = (surface: Surface<unknown>, name: string, scheme: SecurityScheme) => string

/** Gives each scheme the name its surface uses, or one with the surface's id where another scheme has that name. */
const schemeNames =
  (known: Record<string, SecurityScheme>): NameScheme =>
  (surface, name, scheme) => {
    const same = (candidate: string) =>
      known[candidate] === undefined || JSON.stringify(known[candidate]) === JSON.stringify(scheme)
    const free = same(name) ? name : `${surface.id}-${name}`
    known[free] = scheme
    return free
  }

/** Any one of them will do. Empty for an open route. */
function requirementsOf<Client>({ mount, route }: MountedRoute<Client>, nameScheme: NameScheme) {
  if (route.open && !route.security) return []
  const schemes = { ...mount.surface.security, ...route.security }
  return Object.entries(schemes).map(([name, scheme]) => ({
    [nameScheme(mount.surface as Surface<unknown>, name, scheme)]: [],
  }))
}
