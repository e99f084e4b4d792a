import type { Reach } from '../../kernel/context.ts'
import type { Turn, TurnEvent } from '../sessions/index.ts'
import type { LiveTurn } from './live-turn.ts'

/** Told of turns while they run on this instance. */
export interface TurnListener {
  /**
   * Called in the middle of the turn, in order: it must be quick and wait for nothing. `turn` is as it was when this
   * instance began to run it, and the same object with all events until the turn ends or waits. What this throws is
   * reported.
   */
  event(event: TurnEvent, turn: Turn): void
  /** Nothing more will come: the runtime has stopped. */
  ended(): void
}

interface Listening {
  readonly reach: Reach
  readonly listener: TurnListener
}

/** Tells listeners of every live turn within their reach. While nobody listens, a live turn does not know of it. */
export class Broadcast {
  readonly #running = new Map<LiveTurn, Turn>()
  readonly #listening = new Set<Listening>()
  readonly #report: (error: unknown, where: string) => void
  #ended = false

  constructor(report: (error: unknown, where: string) => void) {
    this.#report = report
  }

  add(live: LiveTurn, turn: Turn): void {
    this.#running.set(live, turn)
    if (this.#listening.size > 0) this.#observe(live, turn)
  }

  remove(live: LiveTurn): void {
    live.observer = null
    this.#running.delete(live)
  }

  /** Returns what ends it. */
  listen(reach: Reach, listener: TurnListener): () => void {
    const listening = { reach, listener }
    if (this.#ended) {
      this.#guard(() => listener.ended())
      return () => {}
    }
    this.#listening.add(listening)
    if (this.#listening.size === 1) for (const [live, turn] of this.#running) this.#observe(live, turn)
    return () => {
      if (!this.#listening.delete(listening) || this.#listening.size > 0) return
      for (const live of this.#running.keys()) live.observer = null
    }
  }

  end(): void {
    this.#ended = true
    const listening = [...this.#listening]
    this.#listening.clear()
    for (const live of this.#running.keys()) live.observer = null
    for (const { listener } of listening) this.#guard(() => listener.ended())
  }

  #observe(live: LiveTurn, turn: Turn): void {
    live.observer = (event) => {
      for (const { reach, listener } of this.#listening) {
        if (!reaches(reach, turn)) continue
        this.#guard(() => listener.event(event, turn))
      }
    }
  }

  /** A listener that breaks must not break the turn it listens to. */
  #guard(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      this.#report(error, 'listener')
    }
  }
}

const reaches = ({ tenant, subject }: Reach, turn: Turn): boolean =>
  tenant === turn.tenant && (subject === null || subject === turn.subject)
