import type { Clock } from '../../kernel/clock.ts'
import type { Reach } from '../../kernel/context.ts'
import { isSettled, type SessionStore, type TurnEvent } from '../sessions/index.ts'
import { LiveTurn, replay } from './live-turn.ts'

/** How often a turn that runs on another instance is looked at. */
const pollMs = 250

/** Which turns run here, and how to read any turn's events wherever it runs. */
export interface Realtime {
  open(turn: string, sequence?: number): LiveTurn
  close(live: LiveTurn): void
  /**
   * Events of a turn after a position: from the store what has happened, then live what happens, until the turn ends
   * or waits. Ends at once for a turn that is not in reach.
   */
  follow(reach: Reach, turn: string, after: number, signal?: AbortSignal): AsyncIterable<TurnEvent>
}

export function createRealtime({ sessions, clock }: { sessions: SessionStore; clock: Clock }): Realtime {
  const live = new Map<string, LiveTurn>()
  const awaited = new Map<string, Set<() => void>>()

  /** Resolves when the turn starts here, or after a while, or when the reader is gone. */
  const changed = (turn: string, signal: AbortSignal | undefined) =>
    new Promise<void>((resolve) => {
      const waiting = awaited.get(turn) ?? new Set()
      awaited.set(turn, waiting)
      const wake = () => {
        cancel()
        signal?.removeEventListener('abort', wake)
        waiting.delete(wake)
        if (waiting.size === 0 && awaited.get(turn) === waiting) awaited.delete(turn)
        resolve()
      }
      const cancel = clock.after(pollMs, wake)
      signal?.addEventListener('abort', wake, { once: true })
      waiting.add(wake)
    })

  return {
    open(turn, sequence = 0) {
      const opened = new LiveTurn(turn, sequence)
      live.set(turn, opened)
      for (const wake of [...(awaited.get(turn) ?? [])]) wake()
      return opened
    },

    close(closed) {
      if (live.get(closed.id) === closed) live.delete(closed.id)
    },

    async *follow(reach, id, after, signal) {
      let position = after
      while (!signal?.aborted) {
        const here = live.get(id)
        if (here && position >= here.first) {
          // The row is read although the events are here: it says whether the caller may see them.
          if (!(await sessions.turn(reach, id))) return
          for await (const event of here.read(position, signal)) {
            position = event.sequence
            yield event
          }
          return
        }
        const turn = await sessions.turn(reach, id)
        if (!turn) return
        for (const event of replay(id, (await sessions.turnLog(reach, id)) ?? '', position)) {
          position = event.sequence
          yield event
        }
        if (isSettled(turn.status) || turn.status === 'waiting') return
        if (!live.has(id)) await changed(id, signal)
      }
    },
  }
}
