import { type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely'
import type { Database } from './schema.ts'
import type { Parameters } from './statement.ts'

export interface DeadValues {
  /** Who asks: it is alive. */
  instance: string
  staleBefore: number
}

/** What belongs to another instance that has given no sign of life since `staleBefore`, or is gone. */
export function ofDeadInstance(
  db: Kysely<Database>,
  table: 'sessions' | 'reservations',
  parameter: Parameters<DeadValues>,
): RawBuilder<SqlBool> {
  const instance = sql.ref<string>(`${table}.instance`)
  const alive = db
    .selectFrom('instances')
    .select('instances.id')
    .where('instances.id', '=', instance)
    .where('instances.heartbeat', '>=', parameter('staleBefore'))
  return sql`${instance} <> ${parameter('instance')} and not exists ${alive}`
}
