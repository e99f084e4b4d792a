import type { Method } from './surface.ts'

/** A path cut at its slashes. A segment that starts with a colon is a parameter. */
export type Segments = readonly string[]

export const segmentsOf = (path: string): Segments => path.split('/').filter((segment) => segment !== '')

const isParameter = (segment: string): boolean => segment.startsWith(':')

/** Equal for patterns that match the same requests: the names of parameters do not count. */
export const shapeOf = (method: Method, segments: Segments): string =>
  `${method} /${segments.map((segment) => (isParameter(segment) ? ':' : segment)).join('/')}`

/** What both patterns match, with the names of the first; undefined when they have no path in common. */
export function intersect(first: Segments, second: Segments): Segments | undefined {
  if (first.length !== second.length) return undefined
  const common: string[] = []
  for (const [at, one] of first.entries()) {
    const other = second[at] ?? ''
    if (isParameter(one)) common.push(isParameter(other) ? one : other)
    else if (isParameter(other) || one === other) common.push(one)
    else return undefined
  }
  return common
}

/** Whether `wide` matches every path that `narrow` does. */
export const covers = (wide: Segments, narrow: Segments): boolean =>
  wide.length === narrow.length && wide.every((segment, at) => isParameter(segment) || segment === narrow[at])

/** Whether every path that the pattern matches is below the prefix. */
export const isBelow = (segments: Segments, prefix: Segments): boolean =>
  prefix.length <= segments.length && prefix.every((segment, at) => segment === segments[at])

/** Sorts the pattern first that a router prefers: from the left, a static segment before a parameter. */
export function bySpecificity(first: Segments, second: Segments): number {
  for (const [at, one] of first.entries()) {
    const difference = Number(isParameter(one)) - Number(isParameter(second[at] ?? ''))
    if (difference !== 0) return difference
  }
  return 0
}
