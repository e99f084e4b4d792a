import type { TurnEvent, TurnEventBody } from '../sessions/index.ts'
import { type Delta, isDelta, line, restOf } from './turn-log.ts'

/** Past this many events the older ones are merged: memory follows the text, not the number of chunks. */
const mergeAbove = 1024
const keepUnmerged = 256

/** Positions of one lease: more than can be shown under it. */
const positionsPerLease = 2 ** 28

/** How far somebody has read. */
interface Reader {
  position: number
  /** Where to look for the next event, as long as there were so many merges. */
  index: number
  merges: number
  readonly signal: AbortSignal | undefined
  /** Listens to the signal, once the reader has had to wait. */
  wake: (() => void) | undefined
  left: boolean
}

function leave(reader: Reader): void {
  reader.left = true
  if (reader.wake) reader.signal?.removeEventListener('abort', reader.wake)
}

/**
 * The events of a turn while it runs here. One writer, any number of readers; a reader that falls behind costs nothing
 * but its position, and is then given several deltas as one.
 */
export class LiveTurn {
  readonly id: string
  /** Told of each event when readers are; null while nobody listens to all turns. */
  observer: ((event: TurnEvent) => void) | null = null
  #sequence: number
  readonly #first: number
  #events: TurnEvent[] = []
  #staged: TurnEvent[] = []
  /** What the store does not have yet: whole lines, then a delta that may still grow. */
  #lines = ''
  #open: { -readonly [Key in keyof Delta]: Delta[Key] } | null = null
  #merges = 0
  #mergeAt = mergeAbove
  #ended = false
  #failure: unknown
  /** Readers with nothing to read; each returns true once it has been answered. */
  readonly #waiting: (() => boolean)[] = []

  /**
   * `stored`: position of the last stored event, 0 for a new turn. `epoch`: that of the lease under which the turn was
   * taken over, else 0. Readers may have been shown more than was stored then, so what comes now gets positions that
   * none of it can have had.
   */
  constructor(id: string, stored = 0, epoch = 0) {
    this.id = id
    this.#sequence = Math.max(stored, epoch * positionsPerLease)
    this.#first = stored
  }

  /** Events at or before this position are in the store only. */
  get first(): number {
    return this.#first
  }

  /** Events held in memory. */
  get size(): number {
    return this.#events.length
  }

  /** Shows a piece of text at once. It reaches the store with the next commit or flush. */
  delta(type: Delta['type'], step: number, text: string): void {
    if (text === '' || this.#ended) return
    this.#sequence += text.length
    const event: Delta = { turn: this.id, sequence: this.#sequence, type, step, text }
    const open = this.#open
    if (open && open.type === type && open.step === step) {
      open.sequence = event.sequence
      open.text += text
    } else {
      this.#close()
      this.#open = { ...event }
    }
    this.#append(event)
  }

  /**
   * Makes an event of `body`, which is not to be used again, and adds it to the log. It is shown only after `publish`:
   * what readers see is stored.
   */
  stage(body: TurnEventBody): void {
    this.#close()
    this.#sequence += 1
    const event = body as { -readonly [Key in keyof TurnEvent]: TurnEvent[Key] } & TurnEventBody
    event.sequence = this.#sequence
    this.#lines += line(event)
    event.turn = this.id
    this.#staged.push(event)
  }

  /** The lines the store does not have yet. Taken once. */
  takeLog(): string {
    this.#close()
    const lines = this.#lines
    this.#lines = ''
    return lines
  }

  /** Gives back lines that were taken and could not be stored. */
  putBack(lines: string): void {
    this.#lines = lines + this.#lines
  }

  get hasUnstored(): boolean {
    return this.#lines !== '' || this.#open !== null
  }

  publish(): void {
    const staged = this.#staged
    this.#staged = []
    for (const event of staged) this.#append(event)
  }

  /** Nothing more will come from here. Readers end after what there is, which need not be the end of the turn. */
  end(): void {
    this.#ended = true
    this.#wake()
  }

  /** Nobody goes on with the turn for now; readers reject. */
  fail(error: unknown): void {
    this.#failure = error
    this.end()
  }

  /** Events after position `after`, until the turn ends or waits, or `signal` is aborted. */
  read(after: number, signal?: AbortSignal): AsyncIterableIterator<TurnEvent> {
    const reader = this.#reader(after, signal)
    const iterator: AsyncIterableIterator<TurnEvent> = {
      [Symbol.asyncIterator]: () => iterator,
      // An event that is here already costs one promise: a stream has thousands of them.
      next: () => {
        const event = this.#take(reader)
        return event ? Promise.resolve({ done: false, value: event }) : this.#next(reader)
      },
      return: () => {
        leave(reader)
        this.#wake()
        return Promise.resolve({ done: true, value: undefined })
      },
    }
    return iterator
  }

  /**
   * Hands every event after position `after` to `visit`, which must not throw. Resolves at the end. Costs one promise for
   * the whole turn, where `read` costs one per event.
   */
  each(after: number, visit: (event: TurnEvent) => void): Promise<void> {
    const reader = this.#reader(after, undefined)
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        for (let event = this.#take(reader); event; event = this.#take(reader)) visit(event)
        if (!this.#ended) return false
        if (this.#failure === undefined) resolve()
        else reject(this.#failure)
        return true
      }
      if (!settle()) this.#waiting.push(settle)
    })
  }

  #reader(position: number, signal: AbortSignal | undefined): Reader {
    return { position, index: 0, merges: this.#merges, signal, wake: undefined, left: false }
  }

  #take(reader: Reader): TurnEvent | undefined {
    if (reader.left || reader.signal?.aborted) return undefined
    if (reader.merges !== this.#merges) {
      reader.merges = this.#merges
      reader.index = 0
    }
    for (;;) {
      const event = this.#events[reader.index]
      if (event === undefined) return undefined
      reader.index += 1
      if (event.sequence <= reader.position) continue
      const from = reader.position
      reader.position = event.sequence
      return restOf(event, from)
    }
  }

  /** Answers as soon as it is known what comes next: an event, the end, or the failure. */
  #next(reader: Reader): Promise<IteratorResult<TurnEvent, undefined>> {
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        const event = this.#take(reader)
        const gone = reader.left || reader.signal?.aborted === true
        if (event) {
          resolve({ done: false, value: event })
        } else if (gone || this.#ended) {
          leave(reader)
          if (gone || this.#failure === undefined) resolve({ done: true, value: undefined })
          else reject(this.#failure)
        } else {
          return false
        }
        return true
      }
      if (settle()) return
      if (reader.signal && !reader.wake) {
        reader.wake = () => this.#wake()
        reader.signal.addEventListener('abort', reader.wake, { once: true })
      }
      this.#waiting.push(settle)
    })
  }

  #append(event: TurnEvent): void {
    this.#events.push(event)
    if (this.#events.length > this.#mergeAt) this.#merge()
    if (this.#waiting.length > 0) this.#wake()
    this.observer?.(event)
  }

  #wake(): void {
    const waiting = this.#waiting
    let left = 0
    for (const settle of waiting) if (!settle()) waiting[left++] = settle
    while (waiting.length > left) waiting.pop()
  }

  #close(): void {
    if (!this.#open) return
    const { sequence, type, step, text } = this.#open
    this.#lines += line({ sequence, type, step, text })
    this.#open = null
  }

  #merge(): void {
    const cut = this.#events.length - keepUnmerged
    const merged: TurnEvent[] = []
    for (let index = 0; index < cut; ) {
      const first = this.#events[index]
      if (!first) break
      index += 1
      if (!isDelta(first)) {
        merged.push(first)
        continue
      }
      let { sequence } = first
      const texts = [first.text]
      for (; index < cut; index += 1) {
        const event = this.#events[index]
        if (!event || !isDelta(event) || event.type !== first.type || event.step !== first.step) break
        texts.push(event.text)
        sequence = event.sequence
      }
      // Joined: a text put together piece by piece would keep every piece in memory.
      merged.push(texts.length === 1 ? first : { ...first, sequence, text: texts.join('') })
    }
    this.#events = [...merged, ...this.#events.slice(cut)]
    this.#merges += 1
    // Events that cannot be merged would otherwise be gone through again with every new one.
    this.#mergeAt = Math.max(mergeAbove, this.#events.length * 2)
  }
}
