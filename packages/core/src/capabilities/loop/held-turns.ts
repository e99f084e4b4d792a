import type { Runner } from './runner.ts'
import type { LoopStore } from './store.ts'

export interface HeldTurnsDependencies {
  readonly store: Pick<LoopStore, 'held'>
  readonly runner: Pick<Runner, 'cancel' | 'knows' | 'resume'>
  readonly instance: string
  report(error: unknown, where: string): void
}

/** What other instances, and a database whose answer got lost, have done to the turns that run here. */
export interface HeldTurns {
  /** Told that a turn was changed elsewhere. One that runs here may have been asked to stop. */
  changed(turn: string): void
  /**
   * Stops what was asked to stop, and goes on with what is leased to this instance and does not run: the answer that
   * said so never came. Called now and then, with more time in between than an answer takes to arrive.
   */
  sweep(): Promise<void>
}

export function createHeldTurns({ store, runner, instance, report }: HeldTurnsDependencies): HeldTurns {
  let missing: ReadonlySet<string> = new Set()
  let looking = false
  let lookAgain = false

  async function look() {
    const held = await store.held(instance)
    for (const { turn, cancelRequested } of held) if (cancelRequested) runner.cancel(turn)
    return held
  }

  async function lookUntilQuiet(): Promise<void> {
    looking = true
    try {
      do {
        lookAgain = false
        await look()
      } while (lookAgain)
    } finally {
      looking = false
    }
  }

  return {
    changed(turn) {
      if (!runner.knows(turn)) return
      if (looking) lookAgain = true
      else lookUntilQuiet().catch((error) => report(error, `turn ${turn}`))
    },

    async sweep() {
      const unknown = (await look()).filter(({ turn }) => !runner.knows(turn)).map(({ turn }) => turn)
      const lost = unknown.filter((turn) => missing.has(turn))
      missing = new Set(unknown)
      for (const turn of lost) await runner.resume(turn, 'takeover', null)
    },
  }
}
