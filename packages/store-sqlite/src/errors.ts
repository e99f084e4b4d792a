import { type KeelsonError, storeErrors } from '@keelson/core/stores'

/** SQLite's primary result codes that mean something to a host. */
const busy = 5
const locked = 6
const meanings: Readonly<Record<number, (detail: { cause: unknown }) => KeelsonError>> = {
  3: storeErrors.STORE_READ_ONLY,
  [busy]: storeErrors.STORE_BUSY,
  [locked]: storeErrors.STORE_BUSY,
  8: storeErrors.STORE_READ_ONLY,
  // A quota, a network drive, a failing disk: somebody may put that right.
  10: ({ cause }) => storeErrors.STORE_BUSY({ message: 'the disk of the database reports an error; try again', cause }),
  11: storeErrors.STORE_DAMAGED,
  13: storeErrors.STORE_FULL,
  14: (detail) =>
    storeErrors.STORE_READ_ONLY({
      message: 'the database file cannot be opened; its folder must exist and be writable, and so must the file',
      ...detail,
    }),
  18: storeErrors.STORE_VALUE_TOO_LONG,
  26: storeErrors.STORE_DAMAGED,
}

/** The primary result code of an error that SQLite made, else undefined. */
function resultCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return undefined
  return typeof error.errcode === 'number' ? error.errcode & 0xff : undefined
}

/** True when another connection holds the lock, so that trying again may help. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code === busy || code === locked
}

/** The store's own error for what SQLite reports, with the original as its cause; anything else as it is. */
export function storeErrorOf(error: unknown): unknown {
  const code = resultCode(error)
  const make = code === undefined ? undefined : meanings[code]
  return make === undefined ? error : make({ cause: error })
}
