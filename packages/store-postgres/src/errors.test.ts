import { isKeelsonError, storeErrors } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { breaksConnection, isConflict, storeErrorOf } from './errors.ts'

const reported = (code: string, more: object = {}) =>
  Object.assign(new Error('for user "someone" at db.internal'), { severity: 'ERROR', code, ...more })
const failed = (code: string) => Object.assign(new Error(`connect ${code} 10.0.0.7:5432`), { code, syscall: 'connect' })

describe('an error of the database', () => {
  it.each([
    ['08006', 'STORE_BUSY'],
    ['25006', 'STORE_READ_ONLY'],
    ['28P01', 'STORE_BUSY'],
    ['3D000', 'STORE_BUSY'],
    ['3F000', 'STORE_NOT_MIGRATED'],
    ['40001', 'STORE_BUSY'],
    ['40P01', 'STORE_BUSY'],
    ['42501', 'STORE_READ_ONLY'],
    ['42703', 'STORE_NOT_MIGRATED'],
    ['42P01', 'STORE_NOT_MIGRATED'],
    ['53100', 'STORE_FULL'],
    ['53200', 'STORE_BUSY'],
    ['53300', 'STORE_BUSY'],
    ['55P03', 'STORE_BUSY'],
    ['57014', 'STORE_BUSY'],
    ['57P01', 'STORE_BUSY'],
    ['57P03', 'STORE_BUSY'],
    ['XX001', 'STORE_DAMAGED'],
  ])('with the state %s is %s, and says nothing of the database', (state, code) => {
    const cause = reported(state)
    const error = storeErrorOf(cause)
    expect(error).toMatchObject({ code, kind: 'unavailable', cause })
    expect(String(error)).not.toMatch(/someone|internal/)
  })

  it.each([
    failed('ECONNREFUSED'),
    failed('ECONNRESET'),
    failed('ENOTFOUND'),
    failed('EPIPE'),
    new AggregateError([failed('ECONNREFUSED')]),
    new Error('Connection terminated unexpectedly'),
    new Error('timeout exceeded when trying to connect'),
    new Error('Query read timeout'),
  ])('of the network or the driver is STORE_BUSY: %s', (cause) => {
    expect(storeErrorOf(cause)).toMatchObject({ code: 'STORE_BUSY', cause })
    expect(String(storeErrorOf(cause))).not.toMatch(/10\.0/)
    expect(breaksConnection(cause)).toBe(true)
  })

  it('of an ended pool is STORE_CLOSED', () => {
    const cause = new Error('Cannot use a pool after calling end on the pool')
    expect(storeErrorOf(cause)).toMatchObject({ code: 'STORE_CLOSED' })
  })

  it('stays as it is when it is a defect, or an error of the store already', () => {
    for (const error of [new TypeError('x'), new RangeError('x'), reported('23505'), reported('42601'), 'text']) {
      expect(storeErrorOf(error)).toBe(error)
    }
    const own = storeErrors.STORE_FULL()
    expect(storeErrorOf(own)).toBe(own)
    expect(isKeelsonError(own)).toBe(true)
  })
})

describe('a connection', () => {
  it('is kept after an error of a statement, and given up after any other', () => {
    for (const state of ['23505', '40001', '42P01', '57014', '53100']) {
      expect(breaksConnection(reported(state))).toBe(false)
    }
    for (const state of ['08006', '57P01', '57P02', '25P03']) expect(breaksConnection(reported(state))).toBe(true)
  })
})

describe('a conflict', () => {
  it('is what another transaction causes, or an index that decides a race', () => {
    for (const state of ['40001', '40P01']) expect(isConflict(reported(state))).toBe(true)
    for (const constraint of ['turns_idempotency', 'sessions_active_scope']) {
      expect(isConflict(reported('23505', { constraint }))).toBe(true)
    }
    for (const error of [reported('23505', { constraint: 'messages_id_key' }), reported('57P01'), new Error('x')]) {
      expect(isConflict(error)).toBe(false)
    }
  })
})
