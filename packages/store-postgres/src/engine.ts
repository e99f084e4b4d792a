import { setTimeout as sleep } from 'node:timers/promises'
import { storeErrors } from '@keelson/core/stores'
import type { Call, Engine, Features, SqlValue, Work } from '@keelson/store-kysely'
import { PostgresQueryCompiler, sql } from 'kysely'
import { type Connection, type ConnectionOptions, createConnections } from './connections.ts'
import { isConflict, isOutdated, losesNames, storeErrorOf } from './errors.ts'
import { fullText } from './full-text.ts'

/** How often a transaction is run that others get in the way of. */
const attempts = 8
const longestPauseMs = 100

const begin = {
  read: 'begin isolation level repeatable read read only',
  // Whatever the database's default is: the statements take the locks they need.
  write: 'begin isolation level read committed',
}

const featuresOf = (schema: string): Features => ({
  createQueryCompiler: () => new PostgresQueryCompiler(),
  integer: 'bigint',
  text: 'text collate "C"',
  fullText,
  table: '',
  clusteredTable: '',
  schema,
  rowLocks: true,
  nameLock: (name) => sql`pg_advisory_xact_lock(hashtextextended(${name}, 0))`,
  exclusive: false,
})

/** The connection broke where it can have done no harm: before a transaction began, or while it only read. */
class NothingDone extends Error {}

export interface EngineOptions extends ConnectionOptions {
  readonly schema: string
}

export interface PostgresEngine extends Engine {
  /** Tells everybody who listens on the channel. Fewer than 8,000 bytes. */
  notify(channel: string, payload: string): Promise<void>
}

/** An engine on the host's pool. One statement costs one round trip, a transaction two more than it has statements. */
export function createPostgresEngine(options: EngineOptions): PostgresEngine {
  const { pool, schema } = options
  const connections = createConnections(options)
  let state: 'new' | 'open' | 'closed' = 'new'

  // Without a listener an idle connection that the server closes would end the host's process.
  const ignore = () => {}

  /** Makes the attempt, and again while others get in its way. Errors leave as the store's own. */
  async function persist<Result>(attempt: (connection: Connection) => Promise<Result>): Promise<Result> {
    for (let count = 1; ; count += 1) {
      if (state !== 'open') throw storeErrors.STORE_CLOSED()
      try {
        return await connections.use(attempt)
      } catch (error) {
        const nothingDone = error instanceof NothingDone || isConflict(error) || losesNames(error) || isOutdated(error)
        if (!nothingDone || count === attempts) throw storeErrorOf(error instanceof NothingDone ? error.cause : error)
      }
      await sleep(Math.random() * Math.min(2 ** count, longestPauseMs))
    }
  }

  const alone = (call: Call): Promise<unknown[]> =>
    persist(async (connection) => {
      try {
        return await connection.run(call)
      } catch (error) {
        throw call.statement.reads && connection.broken ? new NothingDone('read again', { cause: error }) : error
      }
    })

  const transaction: Engine['transaction'] = (mode, body) =>
    persist(async (connection) => {
      try {
        await connection.control(begin[mode])
      } catch (error) {
        throw connection.broken ? new NothingDone('not begun', { cause: error }) : error
      }
      try {
        const result = await drive(connection, body())
        await connection.control('commit')
        return result
      } catch (error) {
        if (!connection.broken) await connection.control('rollback').catch(ignore)
        throw error
      }
    })

  const query: Engine['query'] = (statement, values) =>
    alone({ statement, values: statement.bind(values) }) as Promise<never[]>

  return {
    features: featuresOf(schema),

    async open() {
      if (state === 'closed') throw storeErrors.STORE_CLOSED()
      if (state === 'new') pool.on('error', ignore)
      state = 'open'
    },

    async close() {
      if (state === 'open') pool.off('error', ignore)
      state = 'closed'
    },

    query,

    queryAside: query,

    transaction,

    exclusively: (body) => transaction('write', () => withinSchema(schema, body)),

    async notify(channel, payload) {
      await alone({ statement: notification, values: [channel, payload] })
    },
  }
}

async function drive<Result>(connection: Connection, work: Work<Result>): Promise<Result> {
  let step = work.next()
  while (!step.done) step = work.next(await connection.run(step.value))
  return step.value
}

const notification = { sql: 'select pg_notify($1, $2)', reads: false }

const call = (text: string, values: SqlValue[] = []): Call => ({ statement: { sql: text, reads: false }, values })

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/**
 * Runs a migration's body, whose names are not qualified, with the schema as the only place to look, and nobody else
 * doing the same. The setting ends with the transaction.
 */
function* withinSchema<Result>(schema: string, body: () => Work<Result>): Work<Result> {
  yield call('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`keelson migration of ${schema}`])
  const found = yield call('select 1 as found from pg_catalog.pg_namespace where nspname = $1', [schema])
  // To create what exists already would ask for a right that its owner need not have.
  if (found.length === 0) yield call(`create schema ${quoted(schema)}`)
  yield call(`set local search_path to ${quoted(schema)}`)
  return yield* body()
}
