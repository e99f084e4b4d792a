import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { storeErrors } from '@keelson/core/stores'
import type { Call, SqlValue } from '@keelson/store-kysely'
import { isBusy } from './errors.ts'

/** Keeps the write-ahead log from staying as large as the largest burst made it. */
const walSizeLimitBytes = 64 * 1024 * 1024

export interface ConnectionOptions {
  readonly file: string
  readonly synchronous: 'normal' | 'full'
  readonly trace: ((sql: string) => void) | undefined
}

/** An open database file with its prepared statements. Everything is synchronous and throws SQLite's own errors. */
export interface Connection {
  run(statement: Call['statement'], values: readonly SqlValue[]): unknown[]
  begin(mode: 'read' | 'write'): void
  commit(): void
  /** Does nothing when SQLite has rolled back by itself. */
  rollback(): void
  close(): void
}

/** Opens the file. Throws `STORE_IN_USE` when another store has it open, in this process or another. */
export function openConnection(
  { DatabaseSync }: typeof import('node:sqlite'),
  { file, synchronous, trace }: ConnectionOptions,
): Connection {
  const path = file === ':memory:' ? file : canonicalPath(file)
  const lock = file === ':memory:' ? undefined : takeLock(new DatabaseSync(`${path}.lock`))
  try {
    const database = new DatabaseSync(path)
    try {
      database.exec(`
        -- Waiting in here would block the event loop; it is done outside.
        pragma busy_timeout = 0;
        pragma journal_mode = wal;
        pragma synchronous = ${synchronous === 'full' ? 'full' : 'normal'};
        pragma foreign_keys = on;
        pragma journal_size_limit = ${walSizeLimitBytes};
      `)
      return connectionOf(database, lock, trace)
    } catch (error) {
      database.close()
      throw error
    }
  } catch (error) {
    lock?.close()
    throw error
  }
}

/** One name per file, however it is reached: the lock's name is made of it. */
export function canonicalPath(file: string): string {
  const path = resolve(file)
  try {
    return realpathSync(path)
  } catch {
    // A new file: its folder may still be reached through a link.
  }
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch {
    return path
  }
}

/** The operating system gives this lock up with the process, however that ends. */
function takeLock(lock: DatabaseSync): DatabaseSync {
  try {
    lock.exec('begin immediate')
    return lock
  } catch (error) {
    lock.close()
    throw isBusy(error) ? storeErrors.STORE_IN_USE({ cause: error }) : error
  }
}

function connectionOf(
  database: DatabaseSync,
  lock: DatabaseSync | undefined,
  trace: ((sql: string) => void) | undefined,
): Connection {
  const prepared = new Map<Call['statement'], Prepared>()
  const beginRead = database.prepare('begin')
  const beginWrite = database.prepare('begin immediate')
  const commit = database.prepare('commit')
  const control = (statement: StatementSync, sql: string): void => {
    trace?.(sql)
    statement.run()
  }
  return {
    run(statement, values) {
      let ready = prepared.get(statement)
      if (ready === undefined) {
        ready = prepare(database, statement.sql)
        prepared.set(statement, ready)
      }
      trace?.(statement.sql)
      return ready(values)
    },
    begin: (mode) => (mode === 'read' ? control(beginRead, 'begin') : control(beginWrite, 'begin immediate')),
    commit: () => control(commit, 'commit'),
    rollback() {
      if (database.isTransaction) database.exec('rollback')
    },
    close() {
      try {
        database.close()
      } finally {
        lock?.close()
      }
    },
  }
}

type Prepared = (values: readonly SqlValue[]) => unknown[]

/**
 * The driver's own row objects are dictionaries, slow to make and to read. From arrays, rows are made that all have the
 * shape of one blank row.
 */
function prepare(database: DatabaseSync, sql: string): Prepared {
  const statement = database.prepare(sql)
  const names = statement.columns().map(({ name }) => name)
  const blank: Readonly<Record<string, unknown>> = Object.fromEntries(names.map((name) => [name, null]))
  statement.setReturnArrays(true)
  return (values) => {
    const rows: unknown[] = statement.all(...values)
    for (let index = 0; index < rows.length; index += 1) {
      const columns = rows[index] as readonly unknown[]
      const row: Record<string, unknown> = { ...blank }
      for (let column = 0; column < names.length; column += 1) row[names[column] as string] = columns[column]
      rows[index] = row
    }
    return rows
  }
}
