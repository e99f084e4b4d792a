import type { Store } from '@keelson/core/stores'
import { type PostgresStoreOptions, postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { dropSchemas, newSchema, type PostgresServer, startPostgres } from './postgres-server.ts'

/** The server of a test file, started before its first test and stopped after its last. */
export function usePostgres(): () => PostgresServer {
  let server: PostgresServer | undefined
  beforeAll(async () => {
    server = await startPostgres()
  }, 60_000)
  afterAll(async () => {
    if (server?.power === null) await dropSchemas(server.url)
    await server?.stop()
  })
  return () => {
    if (!server) throw new Error('there is a server only within a test')
    return server
  }
}

/** A pool that takes it in silence when the server ends a connection which nobody uses. */
export function newPool(url: string, config: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, ...config })
  pool.on('error', () => {})
  return pool
}

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
  const pool = newPool(url, { max })
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
