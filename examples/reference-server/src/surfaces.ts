import { openapiSurface } from '@keelson/core/openapi'
import { type RoboticusOptions, roboticus } from '@keelson/core/surfaces/roboticus'

type SurfaceOptions = Pick<RoboticusOptions, 'apiKey' | 'trustLoopback'>

/** Every surface there is, by the name of its system. */
const surfaces = {
  roboticus: (options: SurfaceOptions) => roboticus(options),
}

export type SurfaceName = keyof typeof surfaces

export const surfaceNames = Object.keys(surfaces) as readonly SurfaceName[]

/** The chosen surfaces merged at `/`, and each alone at `/<system>`. Unknown paths are theirs, too. */
export function mountsOf(names: readonly SurfaceName[], options: SurfaceOptions) {
  return names.flatMap((name) => {
    const surface = surfaces[name](options)
    return [
      { prefix: '/', surface, exclusive: true },
      { prefix: `/${name}`, surface, exclusive: true },
    ]
  })
}

type Mounts = ReturnType<typeof mountsOf>

/** `/openapi.json` and the page `/swagger` beside what is mounted at each prefix. */
export function documentationOf(mounts: Mounts, version: string) {
  return [...new Set(mounts.map(({ prefix }) => prefix))].map((prefix) => {
    const here = mounts.filter((mount) => mount.prefix === prefix)
    const title = `Keelson: ${here.map(({ surface }) => surface.id).join(', ')}`
    return { prefix, surface: openapiSurface(here, { title, version }) }
  })
}
