import { isKeelsonError, type KeelsonError, storeErrors } from '@keelson/core/stores'

type Meaning = (cause: unknown) => KeelsonError

const unreachable: Meaning = (cause) =>
  storeErrors.STORE_BUSY({ message: 'the database cannot be reached; try again soon', cause })
const noConnection: Meaning = (cause) =>
  storeErrors.STORE_BUSY({ message: 'the database has no free connection; try again soon', cause })
const refused: Meaning = (cause) =>
  storeErrors.STORE_BUSY({ message: 'the database refuses to let the server in; check its credentials', cause })
const busy: Meaning = (cause) => storeErrors.STORE_BUSY({ cause })
const full: Meaning = (cause) => storeErrors.STORE_FULL({ cause })
const readOnly: Meaning = (cause) =>
  storeErrors.STORE_READ_ONLY({ message: 'the database cannot be written: it is read-only', cause })
const notPermitted: Meaning = (cause) =>
  storeErrors.STORE_READ_ONLY({
    message: 'the database role lacks a permission; grant it, or let the owner of the schema call migrate()',
    cause,
  })
const tooLong: Meaning = (cause) => storeErrors.STORE_VALUE_TOO_LONG({ cause })
const damaged: Meaning = (cause) =>
  storeErrors.STORE_DAMAGED({ message: 'the database is damaged; restore a copy', cause })
const notMigrated: Meaning = (cause) => storeErrors.STORE_NOT_MIGRATED({ cause })

/** By SQLSTATE, or by its class of two characters. */
const meanings: Readonly<Record<string, Meaning>> = {
  '08': unreachable,
  '25006': readOnly,
  '25P03': unreachable,
  '25P04': busy,
  '28': refused,
  '3D000': refused,
  '3F000': notMigrated,
  '40': busy,
  '42501': notPermitted,
  '42703': notMigrated,
  '42P01': notMigrated,
  '53': busy,
  '53100': full,
  '53300': noConnection,
  // What an index can hold of a name, and a row of all.
  '54000': tooLong,
  '55P03': busy,
  '57014': busy,
  '57P01': unreachable,
  '57P02': unreachable,
  '57P03': unreachable,
  '57P04': unreachable,
  '57P05': unreachable,
  XX001: damaged,
  XX002: damaged,
}

/** The SQLSTATE of an error that the server reported, else undefined. */
export function stateOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error) || typeof error.code !== 'string')
    return undefined
  // What the operating system reports has a code too, like EPIPE, but no severity.
  return 'severity' in error && /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined
}

/** True when the connection on which the error came cannot be used any more, or nobody knows what state it is in. */
export function breaksConnection(error: unknown): boolean {
  const state = stateOf(error)
  return (
    state === undefined || state.startsWith('08') || state.startsWith('57P') || state === '25P03' || state === '25P04'
  )
}

/** Indexes that decide a race: whoever comes second finds what the first has made when it tries again. */
const decidingIndexes: readonly unknown[] = [
  'turns_idempotency',
  'sessions_active_scope',
  'note_owners_pkey',
  'note_owners_key',
]

/** True when the statement or transaction did nothing because of another one, so that it may be run again. */
export function isConflict(error: unknown): boolean {
  const state = stateOf(error)
  if (state === '40001' || state === '40P01') return true
  return state === '23505' && decidingIndexes.includes((error as { constraint?: unknown }).constraint)
}

/** True when the connection does not have the prepared statement it is believed to have: a pooler between deals them out. */
export const losesNames = (error: unknown): boolean => ['26000', '42P05'].includes(stateOf(error) ?? '')

/** True when a table has changed under a prepared statement. */
export const isOutdated = (error: unknown): boolean =>
  stateOf(error) === '0A000' && (error as { routine?: unknown }).routine === 'RevalidateCachedQuery'

/** An error of the driver or of the operating system instead of a mistake in a program. */
const isOutage = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)

/** What the driver says when nothing but the time for getting a connection is over, or the pool. */
const poolIsFull = 'timeout exceeded when trying to connect'
const poolHasEnded = 'Cannot use a pool after calling end on the pool'

/** The store's own error for what the server, the driver or the network reports; anything else as it is. */
export function storeErrorOf(error: unknown): unknown {
  if (isKeelsonError(error)) return error
  const state = stateOf(error)
  if (state !== undefined) return (meanings[state] ?? meanings[state.slice(0, 2)])?.(error) ?? error
  if (!isOutage(error)) return error
  const { message } = error as Error
  if (message === poolHasEnded) return storeErrors.STORE_CLOSED({ cause: error })
  return message === poolIsFull ? noConnection(error) : unreachable(error)
}
