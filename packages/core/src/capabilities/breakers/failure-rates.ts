import type { Clock } from '../../kernel/clock.ts'
import { SlidingWindow } from '../../kernel/sliding-window.ts'
import type { BreakerPolicy } from './policy.ts'

/** Providers beyond these are not counted: a caller may make names up. */
const mostNames = 1_000

interface Counted {
  readonly calls: SlidingWindow
  readonly failures: SlidingWindow
}

/** What this instance's own calls came to within the window. Nothing is counted where the rate does not matter. */
export class FailureRates {
  readonly #policy: BreakerPolicy
  readonly #counted = new Map<string, Counted>()

  constructor(policy: BreakerPolicy) {
    this.#policy = policy
  }

  called(provider: string, clock: Clock): void {
    if (this.#policy.failureRate > 0) this.#of(provider)?.calls.add(1, clock.now())
  }

  /** Counts a failure. True when so large a share of the calls has failed that the breaker may open. */
  failed(provider: string, clock: Clock): boolean {
    const { failureRate } = this.#policy
    const counted = failureRate > 0 ? this.#of(provider) : null
    if (counted === null) return true
    const now = clock.now()
    counted.failures.add(1, now)
    return counted.failures.total(now) >= failureRate * counted.calls.total(now)
  }

  forget(provider: string): void {
    this.#counted.delete(provider)
  }

  #of(provider: string): Counted | null {
    const known = this.#counted.get(provider)
    if (known !== undefined || this.#counted.size >= mostNames) return known ?? null
    const { windowMs } = this.#policy
    const made = { calls: new SlidingWindow(windowMs), failures: new SlidingWindow(windowMs) }
    this.#counted.set(provider, made)
    return made
  }
}
