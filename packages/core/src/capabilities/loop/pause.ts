import type { Clock } from '../../kernel/clock.ts'

export { unlessAborted } from '../../kernel/unless-aborted.ts'

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
