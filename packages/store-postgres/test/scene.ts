import type { Store } from '@keelson/core/stores'
import { type PostgresStoreOptions, postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { newSchema } from './postgres-server.ts'

export interface OpenedScene {
  readonly store: Store
  readonly pool: pg.Pool
  readonly schema: string
  close(): Promise<void>
}

/** An open store in a schema of its own, which goes away with it. */
export async function openStore(
  url: string,
  options: Partial<PostgresStoreOptions> & { readonly max?: number } = {},
): Promise<OpenedScene> {
  const { max = 10, schema = newSchema(), ...others } = options
  const pool = new pg.Pool({ connectionString: url, max })
  pool.on('error', () => {})
  const store = postgresStore({ pool, schema, ...others })
  await store.open()
  return {
    store,
    pool,
    schema,
    async close() {
      await store.close()
      await pool.query(`drop schema if exists "${schema}" cascade`)
      await pool.end()
    },
  }
}
