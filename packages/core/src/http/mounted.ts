import type { Segments } from './pattern.ts'
import type { AnyRoute, Method, Surface } from './surface.ts'

/** A surface at its place, with what every answer of it needs made once. */
export interface MountedSurface<Client> {
  readonly surface: Surface<Client>
  /** Without a slash at the end; empty for the root. */
  readonly prefix: string
  readonly exclusive: boolean
  /** Who is asked who calls, one after the other: the surface, or the stricter ones that share its prefix. */
  readonly guards: readonly Surface<Client>[]
  /** The surface's headers with lower-case names. */
  readonly headers: Readonly<Record<string, string>>
}

export interface MountedRoute<Client> {
  readonly mount: MountedSurface<Client>
  readonly route: AnyRoute<Client>
  readonly method: Method
  /** With the prefix, parameters as `:name`, without a slash at the end. */
  readonly path: string
  readonly segments: Segments
}
