import type { BreakerProbe, BreakerRecord, BreakerStore } from '@keelson/core/stores'
import type { Kysely } from 'kysely'
import { atLeastZero, jsonText } from './columns.ts'
import type { Engine } from './engine.ts'
import type { BreakerTable, Database } from './schema.ts'
import { columnsOf, type Parameters, statement } from './statement.ts'

const columns = [
  'provider',
  'version',
  'state',
  'cause',
  'failures',
  'last_failure',
  'cooldown_ms',
  'opened_at',
  'retry_at',
  'probe',
  'changed_at',
] as const

const changing = columns.filter((column) => column !== 'provider')

const recordOf = (row: BreakerTable): BreakerRecord => ({
  provider: row.provider,
  version: row.version,
  state: row.state,
  cause: row.cause,
  failures: JSON.parse(row.failures) as number[],
  lastFailure: row.last_failure,
  cooldownMs: row.cooldown_ms,
  openedAt: row.opened_at,
  retryAt: row.retry_at,
  probe: row.probe === null ? null : (JSON.parse(row.probe) as BreakerProbe),
  changedAt: row.changed_at,
})

const rowOf = (record: BreakerRecord): BreakerTable => ({
  provider: record.provider,
  version: record.version,
  state: record.state,
  cause: record.cause,
  failures: JSON.stringify(record.failures),
  last_failure: record.lastFailure,
  cooldown_ms: record.cooldownMs,
  opened_at: record.openedAt,
  retry_at: record.retryAt,
  probe: jsonText(record.probe),
  changed_at: record.changedAt,
})

export function createBreakerStore(db: Kysely<Database>, engine: Engine): BreakerStore {
  const list = statement((parameter: Parameters<{ after: string; limit: number }>) =>
    db
      .selectFrom('breakers')
      .select(columns)
      .where('provider', '>', parameter('after'))
      .orderBy('provider')
      .limit(parameter('limit')),
  )

  const insert = statement((parameter: Parameters<BreakerTable>) =>
    db
      .insertInto('breakers')
      .values(columnsOf(parameter, columns))
      .onConflict((conflict) => conflict.column('provider').doNothing())
      .returning('version'),
  )

  const update = statement((parameter: Parameters<BreakerTable & { before: number }>) =>
    db
      .updateTable('breakers')
      .set(columnsOf(parameter, changing))
      .where('provider', '=', parameter('provider'))
      .where('version', '=', parameter('before'))
      .returning('version'),
  )

  return {
    async list(after, limit) {
      return (await engine.query(list, { after, limit: atLeastZero(limit) })).map(recordOf)
    },

    async swap(record) {
      const row = rowOf(record)
      const before = record.version - 1
      const written = before === 0 ? await engine.query(insert, row) : await engine.query(update, { ...row, before })
      return written.length > 0
    },
  }
}
