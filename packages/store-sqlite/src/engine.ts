import { storeErrors } from '@keelson/core/stores'
import type { Engine, Features, Work } from '@keelson/store-kysely'
import { SqliteQueryCompiler } from 'kysely'
import { type Connection, type ConnectionOptions, canonicalPath, openConnection } from './connection.ts'
import { storeErrorOf } from './errors.ts'
import { fullText } from './full-text.ts'
import { createLine } from './line.ts'
import { createReader, type Reader } from './reader.ts'

const features: Features = {
  createQueryCompiler: () => new SqliteQueryCompiler(),
  integer: 'integer',
  text: 'text',
  fullText,
  table: ' strict',
  clusteredTable: ' strict, without rowid',
  schema: null,
  rowLocks: false,
  nameLock: null,
  exclusive: true,
}

export interface EngineOptions extends ConnectionOptions {
  /** How long a call waits for another process that has locked the file. */
  readonly patienceMs: number
}

/**
 * An engine on one connection. A transaction runs from begin to commit without giving up the event loop, so no other
 * call of this process ever sees it half done.
 */
export function createSqliteEngine(options: EngineOptions): Engine {
  const { file, patienceMs, trace } = options
  const line = createLine(patienceMs)
  let connection: Connection | undefined
  let reader: Reader | undefined
  let opening: Promise<void> | undefined
  let closed = false

  function opened(): Connection {
    if (connection === undefined) throw storeErrors.STORE_CLOSED()
    return connection
  }

  /** Waits in the line; errors leave as the store's own. */
  async function admitted<Result>(mode: 'read' | 'write', attempt: () => Result): Promise<Result> {
    try {
      return await line.admit(mode, attempt)
    } catch (error) {
      throw storeErrorOf(error)
    }
  }

  function attempt<Result>(mode: 'read' | 'write', body: () => Work<Result>): Result {
    const database = opened()
    database.begin(mode)
    try {
      const result = drive(database, body())
      database.commit()
      return result
    } catch (error) {
      database.rollback()
      throw error
    }
  }

  async function connect(): Promise<void> {
    const sqlite = await import('node:sqlite')
    const made = await admitted('write', () => openConnection(sqlite, options))
    if (closed) {
      made.close()
      throw storeErrors.STORE_CLOSED()
    }
    connection = made
  }

  const query: Engine['query'] = (statement, values) => {
    const mode = statement.reads ? 'read' : 'write'
    return admitted(mode, () => opened().run(statement, statement.bind(values)) as never[])
  }

  const transaction: Engine['transaction'] = (mode, body) => admitted(mode, () => attempt(mode, body))

  return {
    features,

    open() {
      if (closed) return Promise.reject(storeErrors.STORE_CLOSED())
      opening ??= connect().catch((error: unknown) => {
        opening = undefined
        throw error
      })
      return opening
    },

    async close() {
      closed = true
      const open = connection
      connection = undefined
      // First, since the last connection to close is the one that empties the log.
      await reader?.close()
      open?.close()
    },

    query,

    async queryAside(statement, values) {
      opened()
      // What is in memory is there for one connection alone.
      if (file === ':memory:') return await query(statement, values)
      reader ??= createReader(canonicalPath(file), patienceMs)
      trace?.(statement.sql)
      try {
        return (await reader.read(statement.sql, statement.bind(values))) as never[]
      } catch (error) {
        throw storeErrorOf(error)
      }
    },

    transaction,

    exclusively: (body) => transaction('write', body),
  }
}

function drive<Result>(database: Connection, work: Work<Result>): Result {
  let step = work.next()
  while (!step.done) step = work.next(database.run(step.value.statement, step.value.values))
  return step.value
}
