import type { PostgresPool, PostgresPoolClient, PostgresQuery } from '@keelson/store-postgres'
import type pg from 'pg'

/** What a test does in place of a query: it may run it, and must give what comes of it. */
export type Intercept = (
  query: PostgresQuery,
  run: () => Promise<{ rows: unknown[] }>,
  client: pg.PoolClient,
) => Promise<{ rows: unknown[] }>

/** A pool whose queries go through a test. */
export function interceptedPool(pool: pg.Pool, intercept: Intercept): PostgresPool {
  const lent = new WeakMap<pg.PoolClient, PostgresPoolClient>()
  const wrapped = (client: pg.PoolClient): PostgresPoolClient => ({
    query: (query) => intercept(query, () => client.query(query as pg.QueryConfig), client),
    on: (event, listener) => client.on(event, listener),
    release: (error) => client.release(error),
  })
  return {
    async connect() {
      const client = await pool.connect()
      const known = lent.get(client) ?? wrapped(client)
      lent.set(client, known)
      return known
    },
    on: (event, listener) => pool.on(event, listener),
    off: (event, listener) => pool.off(event, listener),
  }
}

/** What `pg` knows of its connection's prepared statements. */
interface Prepared {
  readonly connection: { readonly parsedStatements: Record<string, string | undefined> }
}

/**
 * A pool behind a pooler that hands every statement, or every transaction, to another connection, and knows nothing of
 * prepared statements: the client believes that what it has prepared once is there.
 */
export function transactionPooler(backends: readonly pg.Client[]): PostgresPool {
  const free = [...backends]
  const waiting: ((client: pg.Client) => void)[] = []
  const take = (): Promise<pg.Client> => {
    const client = free.shift()
    return client ? Promise.resolve(client) : new Promise((resolve) => waiting.push(resolve))
  }
  // To the end of the line, so that the next statement gets another one.
  const give = (client: pg.Client) => {
    const next = waiting.shift()
    if (next) next(client)
    else free.push(client)
  }

  function connection(): PostgresPoolClient {
    const prepared = new Set<string>()
    let transaction: pg.Client | undefined
    return {
      async query(query) {
        const backend = transaction ?? (await take())
        const { name, text } = query
        if (text.startsWith('begin')) transaction = backend
        if (name !== undefined) {
          const { parsedStatements } = (backend as pg.Client & Prepared).connection
          if (prepared.has(name)) parsedStatements[name] = text
          else delete parsedStatements[name]
          prepared.add(name)
        }
        try {
          return await backend.query(query as pg.QueryConfig)
        } finally {
          if (text === 'commit' || text === 'rollback') transaction = undefined
          if (!transaction) give(backend)
        }
      },
      on: () => undefined,
      release() {
        // A pooler ends the transaction of a client that has gone.
        const left = transaction
        transaction = undefined
        if (left)
          left
            .query('rollback')
            .finally(() => give(left))
            .catch(() => {})
      },
    }
  }

  // One client's connection is used by many callers, one after the other, as in any pool.
  const idle: PostgresPoolClient[] = []
  return {
    async connect() {
      const client = idle.shift() ?? connection()
      return {
        ...client,
        release(error) {
          client.release(error)
          if (!error) idle.push(client)
        },
      }
    },
    on: () => undefined,
    off: () => undefined,
  }
}
