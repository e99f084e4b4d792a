import type { Clock } from '../../kernel/clock.ts'

/** Waits so many milliseconds of the clock. Rejects with the abort reason. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const aborted = () => {
      cancel()
      reject(signal.reason)
    }
    const rested = () => {
      signal.removeEventListener('abort', aborted)
      resolve()
    }
    // A script that awaits its turn would end here, between two attempts.
    const cancel = clock.after(ms, rested, { keepAlive: true })
    signal.addEventListener('abort', aborted, { once: true })
  })
}

/** What a promise comes to, unless `signal` is aborted before: then the abort reason. */
export function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason)
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
