import { Worker } from 'node:worker_threads'

/** Requests for the load worker to send. Each has to be answered with status 200. */
export interface LoadOrder {
  readonly port: number
  readonly requests: readonly { readonly method: 'GET' | 'POST'; readonly path: string; readonly body?: string }[]
  /** How many are on their way at once. */
  readonly concurrency: number
}

export interface LoadResult {
  /** Answers that came whole, and how many server-sent events were in them. */
  readonly answers: number
  readonly events: number
}

/** A client on a thread of its own, so that the CPU time of the server's thread is the server's alone. */
export interface LoadGenerator {
  send(order: LoadOrder): Promise<LoadResult>
}

export function startLoadGenerator(): LoadGenerator {
  const worker = new Worker(new URL('./load-worker.ts', import.meta.url))
  worker.unref()
  return {
    send: (order) =>
      new Promise((resolve, reject) => {
        const onMessage = (result: LoadResult | { readonly error: string }) => {
          worker.off('error', reject)
          if ('error' in result) reject(new Error(result.error))
          else resolve(result)
        }
        worker.once('message', onMessage)
        worker.once('error', reject)
        worker.postMessage(order)
      }),
  }
}
