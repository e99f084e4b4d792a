import type { Clock } from '@keelson/core'

/** Lets everything run that is ready to: the embedded database answers without waiting for anything outside. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 5; round += 1) await new Promise<void>((resolve) => setImmediate(resolve))
}

interface Timer {
  readonly at: number
  readonly run: () => void
}

/** A clock that stands still until it is told to go on. Timers follow what has passed, not what the hands show. */
export class VirtualClock implements Clock {
  #passed = 0
  #shown: number
  readonly #timers = new Set<Timer>()

  constructor(now = 1_800_000_000_000) {
    this.#shown = now
  }

  now(): number {
    return this.#shown
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#passed + Math.max(0, Math.ceil(ms)), run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size
  }

  /** Puts the hands forward, or back for a negative number, without any time passing. */
  turn(ms: number): void {
    this.#shown += ms
  }

  /** Lets time pass: every timer that comes due runs at its moment, and what follows from it before the next one. */
  async advance(ms: number): Promise<void> {
    const until = this.#passed + ms
    await settle()
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((one, other) => one.at - other.at)
      if (!next) break
      this.#pass(next.at)
      this.#timers.delete(next)
      next.run()
      await settle()
    }
    this.#pass(until)
  }

  #pass(to: number): void {
    this.#shown += to - this.#passed
    this.#passed = to
  }
}
