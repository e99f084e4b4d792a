import { httpErrors } from './errors.ts'

export type QueryRecord = Readonly<Record<string, string>>

const mostPairs = 256

const empty = (): Record<string, string> => Object.create(null) as Record<string, string>

/**
 * A query string as a record without a prototype, so that `__proto__` is a key like any other. Of a repeated key the
 * first value counts: what is appended later cannot override what a proxy has checked. Throws `INVALID_QUERY` for more
 * than 256 pairs.
 */
export function parseQuery(query: string): QueryRecord {
  const record = empty()
  if (query === '') return record
  // Counted before anything is decoded.
  if (exceeds(query, mostPairs)) {
    throw httpErrors.INVALID_QUERY({ message: `the query has more than ${mostPairs} parameters` })
  }
  for (const [key, value] of new URLSearchParams(query)) record[key] ??= value
  return record
}

function exceeds(query: string, most: number): boolean {
  let pairs = 1
  for (let at = query.indexOf('&'); at !== -1; at = query.indexOf('&', at + 1)) {
    pairs += 1
    if (pairs > most) return true
  }
  return false
}
