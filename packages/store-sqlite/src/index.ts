import { type Store, storeErrors } from '@keelson/core/stores'
import { createStore } from '@keelson/store-kysely'
import { canonicalPath } from './connection.ts'
import { createSqliteEngine } from './engine.ts'

export interface SqliteStoreOptions {
  /**
   * `normal` (the default) keeps every commit when the process is killed and may lose the last ones when the machine
   * loses power; `full` keeps those too and makes each commit wait for the disk.
   */
  readonly synchronous?: 'normal' | 'full'
  /** When the schema is brought up to date: as the store opens (the default), or only by `migrate()`. */
  readonly migrate?: 'on-open' | 'manual'
  /** How long a call waits while another process has the file locked, without blocking this one. 5,000 ms by default. */
  readonly busyTimeoutMs?: number
  /** Called with the SQL of every statement before it runs, values left out. */
  readonly trace?: (sql: string) => void
}

/**
 * A store in one SQLite file, or in memory for `:memory:`. A file belongs to one open store at a time: `open()` rejects
 * with `STORE_IN_USE` while another has it, and the file `<file>.lock` beside it stands for that. The vault's key, when
 * none is given to the runtime, is in `<file>.key`: it belongs into no copy of the database that others get.
 */
export function sqliteStore(file: string, options: SqliteStoreOptions = {}): Store {
  const { synchronous = 'normal', migrate = 'on-open', busyTimeoutMs = 5_000, trace } = options
  const need = (fulfilled: boolean, message: string) => {
    if (!fulfilled) throw storeErrors.STORE_OPTIONS_INVALID({ message })
  }
  need(typeof file === 'string' && file !== '', 'a store needs the name of its file, or :memory:')
  need(synchronous === 'normal' || synchronous === 'full', "synchronous must be 'normal' or 'full'")
  need(migrate === 'on-open' || migrate === 'manual', "migrate must be 'on-open' or 'manual'")
  need(Number.isInteger(busyTimeoutMs) && busyTimeoutMs >= 0, 'busyTimeoutMs must be a whole number of milliseconds')
  const engine = createSqliteEngine({ file, synchronous, patienceMs: busyTimeoutMs, trace })
  return {
    ...createStore(engine, { migrate }),
    vaultKeyFile: () => (file === ':memory:' ? null : `${canonicalPath(file)}.key`),
  }
}
