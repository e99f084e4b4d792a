import type { Store } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'

export interface OpenDatabase {
  readonly store: Store
  /** Gives up what the store does not own. */
  end(): Promise<void>
}

const connectMs = 5_000

export const isPostgres = (database: string): boolean => /^postgres(?:ql)?:/i.test(database)

/** The store of a file, of memory, or of a `postgres://` database. Connects to nothing yet. */
export async function openDatabase(database: string): Promise<OpenDatabase> {
  if (!isPostgres(database)) return { store: sqliteStore(database), end: async () => {} }
  const [{ postgresStore }, { default: pg }] = await Promise.all([import('@keelson/store-postgres'), import('pg')])
  const connection = { connectionString: database, connectionTimeoutMillis: connectMs }
  const pool = new pg.Pool(connection)
  // A connection that breaks while it is idle is replaced; the next use tells if there is more to it.
  pool.on('error', () => {})
  return { store: postgresStore({ pool, listen: () => new pg.Client(connection) }), end: () => pool.end() }
}

/** For people: without user and password. */
export function nameOfDatabase(database: string): string {
  if (database === ':memory:') return 'in memory: gone when the server stops'
  if (!isPostgres(database)) return database
  const { host, pathname } = new URL(database)
  return `Postgres at ${host}${pathname}`
}
