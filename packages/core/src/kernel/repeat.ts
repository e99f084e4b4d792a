import type { Clock } from './clock.ts'

/** Does work again and again, each time so many milliseconds after the last has ended. Returns what stops it. */
export function repeat(
  clock: Clock,
  everyMs: number,
  work: () => Promise<void>,
  failed: (error: unknown) => void,
): () => void {
  let ended = false
  let cancel = clock.after(everyMs, again)
  function again(): void {
    work()
      .catch((error) => {
        if (!ended) failed(error)
      })
      .finally(() => {
        if (!ended) cancel = clock.after(everyMs, again)
      })
  }
  return () => {
    ended = true
    cancel()
  }
}
