import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'

/** One use of a prepared statement. */
export interface RecordedCall {
  readonly sql: string
  readonly method: 'all' | 'get' | 'run'
  readonly values: SQLInputValue[]
  /** Rows it gave, for `all`. */
  readonly rows: number
}

const methods = ['all', 'get', 'run'] as const

/**
 * Writes down what this process asks of the SQLite driver from now on, also through statements prepared before, and of the
 * thread on which the store reads what may take long.
 */
export function recordCalls(): { take(): RecordedCall[]; stop(): void } {
  let calls: RecordedCall[] = []
  const prototype = Object.getPrototypeOf(new DatabaseSync(':memory:').prepare('select 1')) as StatementSync
  const originals = methods.map((method) => {
    const original = prototype[method] as (...values: SQLInputValue[]) => unknown
    Object.defineProperty(prototype, method, {
      configurable: true,
      writable: true,
      value(this: StatementSync, ...values: SQLInputValue[]) {
        const result = original.apply(this, values)
        calls.push({ sql: this.sourceSQL, method, values, rows: Array.isArray(result) ? result.length : 0 })
        return result
      },
    })
    return [method, original] as const
  })
  const { postMessage } = Worker.prototype
  Worker.prototype.postMessage = function (message: { sql?: string; values?: SQLInputValue[] }, ...rest) {
    const { sql, values = [] } = message
    if (sql !== undefined) calls.push({ sql, method: 'all', values, rows: 0 })
    postMessage.call(this, message, ...rest)
  }
  return {
    take() {
      const taken = calls
      calls = []
      return taken
    },
    stop() {
      for (const [method, value] of originals)
        Object.defineProperty(prototype, method, { configurable: true, writable: true, value })
      Worker.prototype.postMessage = postMessage
    },
  }
}
