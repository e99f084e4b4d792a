import { mountErrors } from './mount-errors.ts'
import type { MountedRoute, MountedSurface } from './mounted.ts'
import { bySpecificity, covers, intersect, isBelow, type Segments, segmentsOf, shapeOf } from './pattern.ts'
import type { Method, MountRules, Winner } from './surface.ts'

/** Requests that several surfaces could answer, and who does. */
export interface Conflict<Client> {
  /** Method and path, e.g. `GET /api/models/available`. */
  readonly key: string
  /** One route of each mount. */
  readonly routes: readonly MountedRoute<Client>[]
  readonly winner: Winner
}

type Clash<Client> = Omit<Conflict<Client>, 'winner'>

type Routes<Client> = readonly MountedRoute<Client>[]

/** Of each route that others meet: the mounts, its own among them, that answer some of its requests. */
export type Rivals<Client> = ReadonlyMap<MountedRoute<Client>, ReadonlySet<MountedSurface<Client>>>

export function findRivals<Client>(routes: Routes<Client>): Rivals<Client> {
  const rivals = new Map<MountedRoute<Client>, Set<MountedSurface<Client>>>()
  for (const alike of Map.groupBy(routes, kindOf).values()) {
    for (const route of alike) {
      const meeting = alike.filter((other) => other.mount !== route.mount && intersect(other.segments, route.segments))
      if (meeting.length > 0) rivals.set(route, new Set([route, ...meeting].map(({ mount }) => mount)))
    }
  }
  return rivals
}

/** Only routes of one kind can meet. */
const kindOf = <Client>({ method, segments }: MountedRoute<Client>): string => `${method} ${segments.length}`

/**
 * The conflicts between routes of several mounts by the shape of what they share, each with its winner. Throws
 * `MOUNT_CONFLICT` with all that have none, and `MOUNT_INVALID` for a winner that is not in its conflict and for one that
 * is not needed.
 */
export function findConflicts<Client>(
  contested: Routes<Client>,
  exclusive: readonly MountedSurface<Client>[],
  resolve: NonNullable<MountRules['resolve']>,
): ReadonlyMap<string, Conflict<Client>> {
  const winners = readWinners(resolve)
  const clashes = [...Map.groupBy(contested, kindOf).values()].flatMap((alike) => clashesOf(alike, exclusive))
  const open = clashes.filter(({ key }) => !winners.has(shapeOfKey(key)))
  if (open.length > 0) throw unresolved(open)
  const conflicts = new Map<string, Conflict<Client>>()
  for (const clash of clashes) {
    const shape = shapeOfKey(clash.key) ?? ''
    conflicts.set(shape, { ...clash, winner: checkWinner(clash, winners.get(shape)?.winner ?? '') })
    winners.delete(shape)
  }
  for (const { key } of winners.values()) {
    throw mountErrors.MOUNT_INVALID({ message: `resolve names a winner of "${key}", but nothing is in conflict there` })
  }
  return conflicts
}

/**
 * A clash is what all routes in it match. To miss none, every pattern that is the meeting of some routes is looked at,
 * and only those where exactly these routes answer are told. All routes are of one kind.
 */
function clashesOf<Client>(
  contested: Routes<Client>,
  exclusive: readonly MountedSurface<Client>[],
): readonly Clash<Client>[] {
  const method = contested[0]?.method ?? 'GET'
  const patterns = new Map<string, Segments>()
  const queue: Segments[] = []
  const look = (segments: Segments) => {
    const shape = shapeOf(method, segments)
    if (patterns.has(shape)) return
    patterns.set(shape, segments)
    queue.push(segments)
  }
  for (const { segments } of contested) look(segments)
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const { segments } of contested) {
      const common = intersect(next, segments)
      if (common !== undefined) look(common)
    }
  }
  return [...patterns].flatMap(([shape, segments]) => {
    const answering = answeringOf(segments, contested, exclusive)
    if (answering.length < 2) return []
    const common = answering.map((route) => route.segments).reduce((a, b) => intersect(a, b) ?? a)
    return shapeOf(method, common) === shape ? [{ key: `${method} /${common.join('/')}`, routes: answering }] : []
  })
}

/** Of each mount the route that answers what the pattern, and nothing more particular, matches. */
function answeringOf<Client>(
  pattern: Segments,
  routes: Routes<Client>,
  exclusive: readonly MountedSurface<Client>[],
): Routes<Client> {
  const owner = exclusive.find(({ prefix }) => isBelow(pattern, segmentsOf(prefix)))
  const best = new Map<MountedSurface<Client>, MountedRoute<Client>>()
  for (const route of routes) {
    if (owner !== undefined && route.mount.prefix.length < owner.prefix.length) continue
    if (!covers(route.segments, pattern)) continue
    const other = best.get(route.mount)
    if (other === undefined || bySpecificity(route.segments, other.segments) < 0) best.set(route.mount, route)
  }
  return [...best.values()]
}

const keyPattern = /^(GET|POST|PUT|PATCH|DELETE) (\/.*)$/

const shapeOfKey = (key: string): string | undefined => {
  const [, method, path] = keyPattern.exec(key) ?? []
  return method === undefined || path === undefined ? undefined : shapeOf(method as Method, segmentsOf(path))
}

function readWinners(
  resolve: NonNullable<MountRules['resolve']>,
): Map<string | undefined, { key: string; winner: Winner }> {
  const winners = new Map<string | undefined, { key: string; winner: Winner }>()
  for (const [key, winner] of Object.entries(resolve)) {
    const shape = shapeOfKey(key)
    if (shape === undefined || winners.has(shape)) {
      const what = shape === undefined ? 'which is not a method and a path, e.g. "POST /api/chat"' : 'twice'
      throw mountErrors.MOUNT_INVALID({ message: `resolve names ${JSON.stringify(key)}, ${what}` })
    }
    winners.set(shape, { key, winner })
  }
  return winners
}

function checkWinner<Client>({ key, routes }: Clash<Client>, winner: Winner): Winner {
  const ids = idsOf(routes)
  if (new Set(ids).size < ids.length) {
    throw mountErrors.MOUNT_CONFLICT({
      message: `"${key}" is answered by two mounts of one surface, so no name can decide: mount one of them elsewhere`,
    })
  }
  if (typeof winner === 'string' && !ids.includes(winner)) {
    throw mountErrors.MOUNT_INVALID({
      message: `resolve names ${JSON.stringify(winner)} as the winner of "${key}"; there is: ${ids.join(', ')}`,
    })
  }
  return winner
}

export const idsOf = <Client>(routes: Routes<Client>): readonly string[] => routes.map(({ mount }) => mount.surface.id)

function unresolved<Client>(open: readonly Clash<Client>[]): Error {
  const each = open.map(({ key, routes }) => {
    const named = routes.map(({ mount, method, path }) => {
      const own = `${method} ${path}`
      return own === key ? `"${mount.surface.id}"` : `"${mount.surface.id}" (${own})`
    })
    return `  "${key}": ${named.join(' or ')}`
  })
  return mountErrors.MOUNT_CONFLICT({
    message: `several surfaces answer the same requests. Name the winner of each in \`resolve\`, or mount the surfaces at prefixes of their own:\n${each.join('\n')}`,
  })
}
