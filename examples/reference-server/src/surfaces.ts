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
