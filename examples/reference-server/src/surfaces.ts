import type { Client } from '@keelson/core'
import type { Mount, MountRules } from '@keelson/core/http'
import { openapiSurface } from '@keelson/core/openapi'
import { mycelos } from '@keelson/core/surfaces/mycelos'
import { roboticus } from '@keelson/core/surfaces/roboticus'

interface SurfaceOptions {
  /** Each is that of all surfaces when the other is missing. */
  readonly apiKey: string | undefined
  readonly password: string | undefined
  readonly trustLoopback: boolean
  /** The address that the server listens on. */
  readonly host: string
}

/** Every surface there is, by the name of its system. */
const surfaces = {
  roboticus: ({ apiKey, password, trustLoopback }: SurfaceOptions) =>
    roboticus({ apiKey: apiKey ?? password, trustLoopback }),
  mycelos: ({ apiKey, host, password }: SurfaceOptions) =>
    mycelos({ password: password ?? apiKey, bindHost: host, agent: 'assistant' }),
}

export type SurfaceName = keyof typeof surfaces

export const surfaceNames = Object.keys(surfaces) as readonly SurfaceName[]

/** Who answers at `/` where several systems have a route; each answers all of its own below `/<system>`. */
const winners: Readonly<Record<string, readonly SurfaceName[]>> = {
  'GET /api/config': ['roboticus', 'mycelos'],
  'GET /api/health': ['roboticus', 'mycelos'],
  'GET /api/sessions': ['roboticus', 'mycelos'],
  'POST /api/sessions': ['roboticus', 'mycelos'],
  'GET /api/sessions/:id/messages': ['roboticus', 'mycelos'],
}

export interface Mounted {
  readonly mounts: readonly Mount<Client>[]
  readonly rules: MountRules
}

/** The chosen surfaces merged at `/`, and each alone at `/<system>`. Unknown paths are theirs, too. */
export function mountsOf(names: readonly SurfaceName[], options: SurfaceOptions): Mounted {
  const mounts = names.flatMap((name) => {
    const surface = surfaces[name](options)
    return [
      { prefix: '/', surface, exclusive: true },
      { prefix: `/${name}`, surface, exclusive: true },
    ]
  })
  const contested = Object.entries(winners).flatMap(([route, systems]) => {
    const [first, second] = systems.filter((name) => names.includes(name))
    return first !== undefined && second !== undefined ? [[route, first] as const] : []
  })
  return { mounts, rules: { resolve: Object.fromEntries(contested) } }
}

/** `/openapi.json` and the page `/swagger` beside what is mounted at each prefix. */
export function documentationOf({ mounts, rules }: Mounted, version: string): readonly Mount<Client>[] {
  return [...new Set(mounts.map(({ prefix }) => prefix))].map((prefix) => {
    const here = mounts.filter((mount) => mount.prefix === prefix)
    const title = `Keelson: ${here.map(({ surface }) => surface.id).join(', ')}`
    return { prefix, surface: openapiSurface(here, { title, version, ...(prefix === '/' ? rules : {}) }) }
  })
}
