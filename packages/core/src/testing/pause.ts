import type { Clock } from '../kernel/clock.ts'

/** Resolves after `ms`, never for null; rejects with the signal's reason as soon as it is aborted. */
export function pause(clock: Clock, ms: number | null, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      cancel?.()
      reject(signal.reason)
    }
    const cancel =
      ms === null
        ? undefined
        : clock.after(ms, () => {
            signal.removeEventListener('abort', abort)
            resolve()
          })
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
