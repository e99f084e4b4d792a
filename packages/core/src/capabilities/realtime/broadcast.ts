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

interface Running {
  readonly live: LiveTurn
  readonly turn: Turn
}

/**
 * The turns that run here. Tells listeners of every one within their reach; while nobody listens, a live turn does not
 * know of it.
 */
export class Broadcast {
  readonly #running = new Map<string, Running>()
  readonly #listening = new Set<Listening>()
  readonly #report: (error: unknown, where: string) => void
  #ended = false

  constructor(report: (error: unknown, where: string) => void) {
    this.#report = report
  }

  /** In the place of an earlier run of the same turn, which is about to be removed. */
  add(live: LiveTurn, turn: Turn): void {
    const running = { live, turn }
    this.#running.set(live.id, running)
    if (this.#listening.size > 0) this.#observe(running)
  }

  remove(live: LiveTurn): void {
    live.observer = null
    if (this.#running.get(live.id)?.live === live) this.#running.delete(live.id)
  }

  find(turn: string): LiveTurn | undefined {
    return this.#running.get(turn)?.live
  }

  /** Returns what ends it. */
  listen(reach: Reach, listener: TurnListener): () => void {
    const listening = { reach, listener }
    if (this.#ended) {
      this.#guard(() => listener.ended())
      return () => {}
    }
    this.#listening.add(listening)
    if (this.#listening.size === 1) for (const running of this.#running.values()) this.#observe(running)
    return () => {
      if (!this.#listening.delete(listening) || this.#listening.size > 0) return
      for (const { live } of this.#running.values()) live.observer = null
    }
  }

  end(): void {
    this.#ended = true
    const listening = [...this.#listening]
    this.#listening.clear()
    for (const { live } of this.#running.values()) live.observer = null
    for (const { listener } of listening) this.#guard(() => listener.ended())
  }

  #observe({ live, turn }: Running): void {
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
