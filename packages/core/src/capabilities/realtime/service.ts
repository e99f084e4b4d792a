import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { type Reach, reachOf } from '../../kernel/context.ts'
import { endsTurn, isSettled, pausesTurn, type SessionStore, type Turn, type TurnEvent } from '../sessions/index.ts'
import { Broadcast } from './broadcast.ts'
import type { realtimeOperations } from './contract.ts'
import { realtimeErrors } from './errors.ts'
import { LiveTurn } from './live-turn.ts'
import type { Tickets } from './tickets.ts'
import { lastOf, replay } from './turn-log.ts'

/** How often a turn that runs on another instance is looked at. */
const pollMs = 250
/** The same when others tell of their changes: for what is not told after all. */
const toldPollMs = 1_000

/** Which turns run here, and how to read any turn's events wherever it runs. */
export interface Realtime extends Implementation<typeof realtimeOperations> {
  /** `stored`: position of the turn's last stored event. `epoch`: of the lease, when the turn was left while it ran. */
  open(turn: Turn, stored?: number, epoch?: number): LiveTurn
  close(live: LiveTurn): void
  /** Tells readers that a turn which does not run here has changed. */
  touch(turn: string): void
  /**
   * Events of a turn after a position: from the store what has happened, then live what happens, until the turn ends
   * or waits. Ends at once for a turn that is not in reach.
   */
  follow(reach: Reach, turn: string, after: number, signal?: AbortSignal): AsyncIterable<TurnEvent>
  /** Tells listeners that no more will come, and rejects with `reason` what readers of turns that do not run here await. */
  stop(reason: unknown): void
}

export interface RealtimeDependencies {
  readonly sessions: SessionStore
  readonly tickets: Tickets
  readonly clock: Clock
  /** True when `touch` is also called for what other instances change. */
  readonly told: boolean
  report(error: unknown, where: string): void
}

export function createRealtime({ sessions, tickets, clock, told, report }: RealtimeDependencies): Realtime {
  const broadcast = new Broadcast(report)
  const awaited = new Map<string, Set<() => void>>()
  let stopped: { readonly reason: unknown } | undefined

  /** Resolves when the turn changes here, or after a while, or when the reader is gone or asks no more. */
  const watch = (turn: string, signal: AbortSignal | undefined) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiting = awaited.get(turn) ?? new Set()
    awaited.set(turn, waiting)
    const wake = () => {
      cancel()
      signal?.removeEventListener('abort', wake)
      waiting.delete(wake)
      if (waiting.size === 0 && awaited.get(turn) === waiting) awaited.delete(turn)
      resolve()
    }
    const cancel = clock.after(told ? toldPollMs : pollMs, wake)
    signal?.addEventListener('abort', wake, { once: true })
    waiting.add(wake)
    return { changed: promise, stop: wake }
  }

  const touch = (turn: string) => {
    const waiting = awaited.get(turn)
    if (waiting !== undefined) for (const wake of [...waiting]) wake()
  }

  return {
    touch,

    stop(reason) {
      stopped = { reason }
      broadcast.end()
      for (const turn of [...awaited.keys()]) touch(turn)
    },

    issueTicket: ({ principal }) => tickets.issue(principal),

    subscribe({ principal }, { ticket }) {
      const caller = principal.via !== 'none' ? principal : ticket === undefined ? null : tickets.redeem(ticket)
      if (!caller) throw realtimeErrors.TICKET_INVALID()
      return (listener) => broadcast.listen(reachOf(caller), listener)
    },

    open(turn, stored, epoch) {
      const opened = new LiveTurn(turn.id, stored, epoch)
      broadcast.add(opened, turn)
      touch(turn.id)
      return opened
    },

    close(closed) {
      broadcast.remove(closed)
      // A reader that has read the row before the end was stored, and finds nothing live after it, looks again.
      touch(closed.id)
    },

    async *follow(reach, id, after, signal) {
      let position = after
      while (!signal?.aborted) {
        // Before the row is read, so that no change after it is missed.
        const { changed, stop } = watch(id, signal)
        try {
          if (stopped) throw stopped.reason
          // The row is read although the events may be here: it says whether the caller may see them.
          const turn = await sessions.turn(reach, id)
          if (!turn) return
          const here = broadcast.find(id)
          if (here && position >= here.first) {
            for await (const event of here.read(position, signal)) {
              position = event.sequence
              yield event
              if (pausesTurn(event.type)) return
            }
            // It was left before its end: another instance goes on with it, or this one does in a while.
          } else {
            const log = (await sessions.turnLog(reach, id)) ?? ''
            for (const event of replay(id, log, position)) {
              position = event.sequence
              yield event
            }
            const last = lastOf(id, log)
            if (turn.status === 'waiting' && last?.type === 'turn.waiting') return
            if (isSettled(turn.status) && last && endsTurn(last.type)) return
            if (turn.status === 'cancelled') {
              // Nobody ran it when it was cancelled, so nobody wrote it down.
              const sequence = (last?.sequence ?? 0) + 1
              if (sequence > position) yield { turn: id, sequence, type: 'turn.cancelled', at: turn.endedAt ?? 0 }
              return
            }
            if (here) position = Math.max(position, here.first)
          }
          if (!broadcast.find(id)) await changed
        } finally {
          stop()
        }
      }
    },
  }
}
