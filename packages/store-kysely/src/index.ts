import { isKeelsonError, type Store, storeErrors } from '@keelson/core/stores'
import { DummyDriver, Kysely, SqliteAdapter } from 'kysely'
import { createApprovalStore } from './approvals.ts'
import { createBreakerStore } from './breakers.ts'
import { createConfigStore } from './config.ts'
import { createConnectorStore } from './connectors.ts'
import { createCostStore } from './costs.ts'
import type { Engine } from './engine.ts'
import { createLoopStore } from './loop.ts'
import { createMemoryStore } from './memory.ts'
import { createMigrator } from './migrate.ts'
import type { Database } from './schema.ts'
import { createSessionStore } from './sessions.ts'
import { createVaultStore } from './vault.ts'

export type { Call, Engine, Features, FullText, FullTextQuery, SqlValue, Statement, Work } from './engine.ts'

export interface StoreOptions {
  /** When the schema is brought up to date: as the store opens, or only by `migrate()`. */
  readonly migrate: 'on-open' | 'manual'
}

/** Every capability's store on one engine. With `manual`, `open()` rejects with `STORE_NOT_MIGRATED` until `migrate()` has run. */
export function createStore(engine: Engine, options: StoreOptions): Store {
  const db = compilerOf(engine)
  const migrator = createMigrator(db, engine)
  let opened: Promise<void> | undefined
  let current = false
  let closed = false

  /** Opens the engine once; a failed try is forgotten, so that the next call tries again. */
  const connect = (): Promise<void> => {
    if (closed) return Promise.reject(storeErrors.STORE_CLOSED())
    opened ??= engine.open().catch((error: unknown) => {
      opened = undefined
      throw error
    })
    return opened
  }

  /** False also when the version cannot be read, as in a new file: the migration then tells what is wrong, if anything is. */
  const isCurrent = async (): Promise<boolean> => {
    try {
      return await migrator.isCurrent()
    } catch (error) {
      if (isKeelsonError(error) && error.code !== 'STORE_NOT_MIGRATED') throw error
      return false
    }
  }

  const migrate = async (): Promise<void> => {
    await connect()
    if (!current && !(await isCurrent())) await migrator.migrate()
    current = true
  }

  return {
    approvals: createApprovalStore(db, engine),
    breakers: createBreakerStore(db, engine),
    config: createConfigStore(db, engine),
    connectors: createConnectorStore(db, engine),
    costs: createCostStore(db, engine),
    loop: createLoopStore(db, engine),
    memory: createMemoryStore(db, engine),
    sessions: createSessionStore(db, engine),
    vault: createVaultStore(db, engine),
    exclusive: engine.features.exclusive,

    migrate,

    async open() {
      if (options.migrate === 'on-open') return migrate()
      await connect()
      current ||= await isCurrent()
      if (!current) throw storeErrors.STORE_NOT_MIGRATED()
    },

    async close() {
      closed = true
      await engine.close()
    },
  }
}

/** Kysely writes the SQL and nothing else: it never gets a connection. */
function compilerOf({ features }: Engine): Kysely<Database> {
  const db = new Kysely<Database>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: () => {
        throw new Error('there is nothing to look into')
      },
      createQueryCompiler: () => features.createQueryCompiler(),
    },
  })
  // No statement depends on the session's search path.
  return features.schema === null ? db : db.withSchema(features.schema)
}
