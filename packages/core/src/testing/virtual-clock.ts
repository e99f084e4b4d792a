import type { Clock } from '../kernel/clock.ts'

/** A clock that stands still until it is told to go on. */
export interface VirtualClock extends Clock {
  /** Timers that are set. */
  readonly pending: number
  /**
   * Lets so many milliseconds pass: every timer that comes due runs at its moment, in order, and what follows from it
   * before the next one. Throws a `RangeError` for time that would go back.
   */
  advance(ms: number): Promise<void>
  /** Lets time pass until the hands show this moment. */
  advanceTo(moment: number | Date): Promise<void>
  /** Puts the hands forward, or back for a negative number, without any time passing: no timer comes nearer. */
  shift(ms: number): void
}

interface Timer {
  readonly at: number
  readonly run: () => void
}

const brand = Symbol.for('keelson.virtual-clock')

/** Makes a clock for a test. Timers follow the time that has passed, not what the hands show. @default 2027-01-15T08:00:00Z */
export function virtualClock(start: number | Date = 1_800_000_000_000): VirtualClock {
  const timers = new Set<Timer>()
  let passed = 0
  let shown = momentOf(start)

  const pass = (to: number): void => {
    shown += to - passed
    passed = to
  }

  const nextUntil = (until: number): Timer | undefined => {
    let next: Timer | undefined
    for (const timer of timers) if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer
    return next
  }

  async function advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`time only goes on: cannot advance by ${ms} ms; shift() puts the hands back`)
    const until = passed + ms
    await settle()
    for (let next = nextUntil(until); next; next = nextUntil(until)) {
      pass(Math.max(passed, next.at))
      timers.delete(next)
      next.run()
      await settle()
    }
    pass(Math.max(passed, until))
  }

  const clock: VirtualClock = {
    now: () => shown,
    after(ms, run) {
      const timer = { at: passed + (ms > 0 ? Math.ceil(ms) : 0), run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    get pending() {
      return timers.size
    },
    advance,
    advanceTo: (moment) => advance(momentOf(moment) - shown),
    shift(ms) {
      shown += ms
    },
  }
  return Object.defineProperty(clock, brand, { value: true })
}

export const isVirtualClock = (clock: Clock | undefined): clock is VirtualClock => clock !== undefined && brand in clock

/**
 * Lets everything run that is ready to. The embedded database answers without waiting for anything outside; what waits
 * for a network or another process is not waited for.
 */
export async function settle(): Promise<void> {
  for (let round = 0; round < 5; round += 1) await new Promise<void>((resolve) => setImmediate(resolve))
}

function momentOf(moment: number | Date): number {
  const at = typeof moment === 'number' ? moment : moment.getTime()
  if (!Number.isFinite(at)) throw new RangeError('a moment is a Date, or milliseconds since the epoch')
  return at
}
