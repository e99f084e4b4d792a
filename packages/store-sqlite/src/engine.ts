import { storeErrors } from '@keelson/core/stores'
import type { Engine, Features, Work } from '@keelson/store-kysely'
import { SqliteQueryCompiler } from 'kysely'
import { type Connection, type ConnectionOptions, openConnection } from './connection.ts'
import { storeErrorOf } from './errors.ts'
import { createLine } from './line.ts'

const features: Features = {
  createQueryCompiler: () => new SqliteQueryCompiler(),
  integer: 'integer',
  text: 'text',
  table: ' strict',
  clusteredTable: ' strict, without rowid',
  rowLocks: false,
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
  const line = createLine(options.patienceMs)
  let connection: Connection | undefined
  let opening: Promise<void> | undefined
  let closed = false

  function opened(): Connection {
    if (connection === undefined) throw storeErrors.STORE_CLOSED()
    return connection
  }

  /** Waits in the line; errors leave as the store's own. */
  async function admitted<Result>(attempt: () => Result): Promise<Result> {
    try {
      return await line.admit(attempt)
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

  const transaction: Engine['transaction'] = (mode, body) => admitted(() => attempt(mode, body))

  return {
    features,

    open() {
      if (closed) return Promise.reject(storeErrors.STORE_CLOSED())
      opening ??= openConnection(options).then(
        (made) => {
          if (!closed) {
            connection = made
            return
          }
          made.close()
          throw storeErrors.STORE_CLOSED()
        },
        (error: unknown) => {
          opening = undefined
          throw storeErrorOf(error)
        },
      )
      return opening
    },

    async close() {
      closed = true
      const open = connection
      connection = undefined
      open?.close()
    },

    query: (statement, values) => admitted(() => opened().run(statement, statement.bind(values))) as Promise<never[]>,

    transaction,

    exclusively: (body) => transaction('write', body),
  }
}

function drive<Result>(database: Connection, work: Work<Result>): Result {
  let step = work.next()
  while (!step.done) step = work.next(database.run(step.value.statement, step.value.values))
  return step.value
}
