import { Worker } from 'node:worker_threads'
import { storeErrors } from '@keelson/core/stores'
import type { SqlValue } from '@keelson/store-kysely'

/** A second connection to a database file, on a thread of its own. */
export interface Reader {
  /** Runs a statement that only reads. Sees all that was committed before. Throws SQLite's own errors. */
  read(sql: string, values: readonly SqlValue[]): Promise<unknown[]>
  /** What is still being read is refused. */
  close(): Promise<void>
}

type Answer = { readonly id: number } & (
  | { readonly rows: unknown[] }
  /** An error loses what SQLite has added to it on its way between threads. */
  | { readonly message: string; readonly details: Readonly<Record<string, unknown>> }
)

interface Pending {
  resolve(rows: unknown[]): void
  reject(error: unknown): void
}

/** Text, so that it is what runs on the thread whatever a host's bundler makes of the module around it. */
const program = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { DatabaseSync } = require('node:sqlite')
  const database = new DatabaseSync(workerData.file, { readOnly: true })
  database.exec('pragma busy_timeout = ' + workerData.busyTimeoutMs)
  const prepared = new Map()
  parentPort.on('message', ({ id, sql, values }) => {
    try {
      if (!prepared.has(sql)) prepared.set(sql, database.prepare(sql))
      parentPort.postMessage({ id, rows: prepared.get(sql).all(...values) })
    } catch (error) {
      parentPort.postMessage({ id, message: error.message, details: { ...error } })
    }
  })
`

/** The thread starts with the first read, and keeps no process alive that has nothing else to do. */
export function createReader(file: string, busyTimeoutMs: number): Reader {
  const pending = new Map<number, Pending>()
  let last = 0
  let worker: Worker | undefined

  function started(): Worker {
    const made = new Worker(program, {
      eval: true,
      workerData: { file, busyTimeoutMs },
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    made.on('message', (answer: Answer) => {
      const { id } = answer
      if ('rows' in answer) settle(id)?.resolve(answer.rows)
      else settle(id)?.reject(Object.assign(new Error(answer.message), answer.details))
    })
    made.on('error', (error) => end(made, error))
    made.on('exit', () => end(made, storeErrors.STORE_CLOSED()))
    return made
  }

  function settle(id: number): Pending | undefined {
    const found = pending.get(id)
    pending.delete(id)
    if (pending.size === 0) worker?.unref()
    return found
  }

  /** The next read starts another thread. */
  function end(ended: Worker, error: unknown): void {
    if (worker !== ended) return
    worker = undefined
    for (const id of [...pending.keys()]) settle(id)?.reject(error)
  }

  return {
    read(sql, values) {
      worker ??= started()
      worker.ref()
      last += 1
      const id = last
      worker.postMessage({ id, sql, values })
      return new Promise((resolve, reject) => pending.set(id, { resolve, reject }))
    },

    async close() {
      const open = worker
      if (open === undefined) return
      end(open, storeErrors.STORE_CLOSED())
      await open.terminate()
    },
  }
}
