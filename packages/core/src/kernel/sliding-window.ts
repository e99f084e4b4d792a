const slots = 60

/**
 * A sum over the last so many milliseconds, kept in 60 slots: what falls out of the window falls out a slot at a time,
 * so up to a sixtieth of its length early. A clock that is set back neither empties nor prolongs it, unless it goes back further than the window is long.
 */
export class SlidingWindow {
  readonly lengthMs: number
  readonly #slotMs: number
  readonly #sums = new Float64Array(slots)
  #newest = 0
  #total = 0

  constructor(lengthMs: number) {
    this.lengthMs = lengthMs
    this.#slotMs = lengthMs / slots
  }

  add(amount: number, now: number): void {
    this.#moveTo(now)
    const at = this.#newest % slots
    this.#sums[at] = (this.#sums[at] ?? 0) + amount
    this.#total += amount
  }

  total(now: number): number {
    this.#moveTo(now)
    return this.#total
  }

  /** Milliseconds until the sum is below `limit` if nothing is added; 0 when it is. */
  belowIn(limit: number, now: number): number {
    if (this.total(now) < limit) return 0
    let left = this.#total
    for (let age = slots - 1; age >= 0; age -= 1) {
      left -= this.#sums[(this.#newest - age + slots) % slots] ?? 0
      const leavesAt = (this.#newest - age + slots) * this.#slotMs
      if (left < limit) return Math.min(this.lengthMs, Math.max(1, Math.ceil(leavesAt - now)))
    }
    return this.lengthMs
  }

  clear(): void {
    this.#sums.fill(0)
    this.#total = 0
  }

  #moveTo(now: number): void {
    const slot = Math.floor(now / this.#slotMs)
    const steps = slot - this.#newest
    if (steps === 0 || (steps < 0 && steps > -slots)) return
    if (steps >= slots || steps <= -slots) this.clear()
    else {
      for (let step = 1; step <= steps; step += 1) {
        const at = (this.#newest + step) % slots
        this.#total -= this.#sums[at] ?? 0
        this.#sums[at] = 0
      }
    }
    this.#newest = slot
  }
}
