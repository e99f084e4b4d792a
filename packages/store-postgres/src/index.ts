import { type Store, storeErrors } from '@keelson/core/stores'
import { createStore } from '@keelson/store-kysely'
import { announcing, createChanges } from './changes.ts'
import { createPostgresEngine } from './engine.ts'
import type { PostgresListenClient, PostgresPool } from './pool.ts'

export type { PostgresListenClient, PostgresPool, PostgresPoolClient, PostgresQuery } from './pool.ts'

/** A name has 63 bytes, and the channel's is made of the schema's. */
const schemaBytes = 48

export interface PostgresStoreOptions {
  /** The host's own `pg.Pool`. It stays open when the store is closed. */
  readonly pool: PostgresPool
  /** Where the tables are, and nothing else. At most 48 bytes. `keelson` by default. */
  readonly schema?: string
  /** When the schema is brought up to date: as the store opens (the default), or only by `migrate()`. */
  readonly migrate?: 'on-open' | 'manual'
  /**
   * Whether statements are prepared once per connection (the default). Not for poolers that deal out connections by
   * transaction and know no prepared statements, like pgBouncer before 1.21.
   */
  readonly prepare?: boolean
  /**
   * Makes a `pg.Client` that is not connected yet, to hear at once what other instances do. It needs a connection of
   * its own, to the server and not to a pooler. Without it the instances look again and again.
   */
  readonly listen?: () => PostgresListenClient
  /** Told when the listening connection is lost; the store goes on without it and makes a new one. */
  readonly onListenError?: (error: unknown) => void
  /** Called with the SQL of every statement before it runs, values left out. */
  readonly trace?: (sql: string) => void
}

/**
 * A store in a schema of a PostgreSQL database, for any number of instances at once. Throws `STORE_OPTIONS_INVALID`.
 */
export function postgresStore(options: PostgresStoreOptions): Store {
  const { pool, schema = 'keelson', migrate = 'on-open', prepare = true, listen, onListenError, trace } = options
  const need = (fulfilled: boolean, message: string) => {
    if (!fulfilled) throw storeErrors.STORE_OPTIONS_INVALID({ message })
  }
  need(typeof pool?.connect === 'function', 'a store needs the pool of the host, a pg.Pool')
  const bytes = typeof schema === 'string' ? Buffer.byteLength(schema) : 0
  need(bytes > 0 && bytes <= schemaBytes && !schema.includes('\0'), `a schema's name has 1 to ${schemaBytes} bytes`)
  need(migrate === 'on-open' || migrate === 'manual', "migrate must be 'on-open' or 'manual'")
  const engine = createPostgresEngine({ pool, schema, prepare, trace })
  const store = createStore(engine, { migrate })
  if (listen === undefined) return store
  const changes = createChanges({
    schema,
    connect: listen,
    notify: engine.notify,
    report(error) {
      try {
        onListenError?.(error)
      } catch {
        // An observer that breaks must not break what it observes.
      }
    },
  })
  return {
    ...store,
    ...announcing(store, changes),
    changes: changes.port,

    async open() {
      await store.open()
      await changes.start()
    },

    async close() {
      await changes.stop()
      await store.close()
    },
  }
}
