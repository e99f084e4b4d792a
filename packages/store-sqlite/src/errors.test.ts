import { describe, expect, it } from 'vitest'
import { isBusy, storeErrorOf } from './errors.ts'

const reported = (errcode: number) =>
  Object.assign(new Error('at /home/somebody/keelson.db'), { code: 'ERR_SQLITE_ERROR', errcode })

describe('an error of SQLite', () => {
  it.each([
    [5, 'STORE_BUSY', 'unavailable'],
    [261, 'STORE_BUSY', 'unavailable'],
    [8, 'STORE_READ_ONLY', 'unavailable'],
    [778, 'STORE_BUSY', 'unavailable'],
    [11, 'STORE_DAMAGED', 'unavailable'],
    [13, 'STORE_FULL', 'unavailable'],
    [18, 'STORE_VALUE_TOO_LONG', 'bad_request'],
  ])('with the result %i is %s, and says nothing of the file', (errcode, code, kind) => {
    const cause = reported(errcode)
    const error = storeErrorOf(cause)
    expect(error).toMatchObject({ code, kind, cause })
    expect(String(error)).not.toContain('somebody')
  })

  it('is a lock that another holds, and tried again at once, only when it says so', () => {
    expect([5, 6, 261, 517].every((errcode) => isBusy(reported(errcode)))).toBe(true)
    expect([8, 10, 778, 13, 1].some((errcode) => isBusy(reported(errcode)))).toBe(false)
  })

  it('that means nothing to a host stays what it is, like a mistake in a program', () => {
    for (const error of [reported(1), reported(19), new TypeError('x'), 'text']) expect(storeErrorOf(error)).toBe(error)
  })
})
