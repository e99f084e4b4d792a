import { setTimeout as sleep } from 'node:timers/promises'
import { isBusy } from './errors.ts'

const firstPauseMs = 1
const longestPauseMs = 50

/** Lets attempts wait for a locked database without blocking the process, writes in the order in which they came. */
export interface Line {
  /**
   * Runs the attempt, again and again while it meets a lock, until its patience is over. Throws what it last threw. A
   * read does not wait for the writes that wait.
   */
  admit<Result>(mode: 'read' | 'write', attempt: () => Result): Promise<Result>
}

export function createLine(patienceMs: number): Line {
  let waiting = 0
  let last: Promise<unknown> = Promise.resolve()

  async function persist<Result>(attempt: () => Result, before: Promise<unknown>, deadline: number): Promise<Result> {
    await before
    for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
      try {
        return attempt()
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw error
      }
      await sleep(pause)
    }
  }

  return {
    async admit(mode, attempt) {
      if (waiting === 0 || mode === 'read') {
        try {
          return attempt()
        } catch (error) {
          if (!isBusy(error)) throw error
        }
      }
      waiting += 1
      const result = persist(attempt, last, performance.now() + patienceMs)
      last = result.then(
        () => undefined,
        () => undefined,
      )
      try {
        return await result
      } finally {
        waiting -= 1
      }
    },
  }
}
