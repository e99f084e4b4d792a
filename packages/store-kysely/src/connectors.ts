import type { ConnectorHealth, ConnectorStore } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import { atLeastZero } from './columns.ts'
import type { Engine } from './engine.ts'
import type { ConnectorHealthTable, Database } from './schema.ts'
import { columnsOf, type Parameters, statement } from './statement.ts'

const columns = ['tenant', 'name', 'registered_at', 'last_success_at', 'last_error', 'last_error_at'] as const

const healthOf = (row: Omit<ConnectorHealthTable, 'tenant'>): ConnectorHealth => ({
  name: row.name,
  registeredAt: row.registered_at,
  lastSuccessAt: row.last_success_at,
  lastError: row.last_error,
  lastErrorAt: row.last_error_at,
})

export function createConnectorStore(db: Kysely<Database>, engine: Engine): ConnectorStore {
  const register = statement((parameter: Parameters<ConnectorHealthTable>) =>
    db
      .insertInto('connector_health')
      .values(columnsOf(parameter, columns))
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'name']).doUpdateSet((row) => ({
          registered_at: row.ref('excluded.registered_at'),
          last_success_at: null,
          last_error: null,
          last_error_at: null,
        })),
      ),
  )

  const note = statement((parameter: Parameters<ConnectorHealthTable>) =>
    db
      .insertInto('connector_health')
      .values(columnsOf(parameter, columns))
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'name']).doUpdateSet((row) => {
          const later = (column: 'last_success_at' | 'last_error_at') => {
            const [given, kept] = [`excluded.${column}` as const, `connector_health.${column}` as const]
            return row.or([row(row.ref(kept), 'is', null), row(row.ref(given), '>=', row.ref(kept))])
          }
          const newest = (column: 'last_success_at' | 'last_error' | 'last_error_at') => {
            const dated = column === 'last_success_at' ? column : 'last_error_at'
            return row
              .case()
              .when(row.and([row(row.ref(`excluded.${dated}`), 'is not', null), later(dated)]))
              .then(row.ref(`excluded.${column}`))
              .else(row.ref(`connector_health.${column}`))
              .end()
          }
          return {
            last_success_at: newest('last_success_at') as never,
            last_error: newest('last_error') as never,
            last_error_at: newest('last_error_at') as never,
          }
        }),
      ),
  )

  const list = statement((parameter: Parameters<{ tenant: string; limit: number }>) =>
    db
      .selectFrom('connector_health')
      .select(columns)
      .where('tenant', '=', parameter('tenant'))
      .orderBy('name')
      .limit(parameter('limit')),
  )

  const remove = statement((parameter: Parameters<{ tenant: string; name: string }>) =>
    db
      .deleteFrom('connector_health')
      .where('tenant', '=', parameter('tenant'))
      .where('name', '=', parameter('name'))
      .returning(sql<number>`1`.as('removed')),
  )

  return {
    async register(tenant, name, at) {
      const nothing = { last_success_at: null, last_error: null, last_error_at: null }
      await engine.query(register, { tenant, name, registered_at: at, ...nothing })
    },

    async note(tenant, name, { lastError, lastErrorAt, lastSuccessAt }) {
      const noted = { last_success_at: lastSuccessAt, last_error: lastError, last_error_at: lastErrorAt }
      await engine.query(note, { tenant, name, registered_at: null, ...noted })
    },

    async list(tenant, limit) {
      return (await engine.query(list, { tenant, limit: atLeastZero(limit) })).map(healthOf)
    },

    async remove(tenant, name) {
      return (await engine.query(remove, { tenant, name })).length > 0
    },
  }
}
