/** Where the runtime takes time from, so that a test can hold it still. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /**
   * Calls `run` once after `ms` milliseconds and returns what cancels it. Keeps the process alive only with `keepAlive`:
   * for what somebody waits for who has nothing else to do.
   */
  after(ms: number, run: () => void, options?: { readonly keepAlive?: boolean }): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run, { keepAlive = false } = {}) {
    const timer = setTimeout(run, ms)
    if (!keepAlive) timer.unref?.()
    return () => clearTimeout(timer)
  },
}
