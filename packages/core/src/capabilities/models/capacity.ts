import type { Clock } from '../../kernel/clock.ts'
import { SlidingWindow } from '../../kernel/sliding-window.ts'
import type { Usage } from '../sessions/index.ts'
import type { Capacity, ModelFailure } from './provider.ts'

/** The window that both limits are meant for. */
const windowMs = 60_000
/** Names beyond these are not counted: a caller may make names up. */
const mostNames = 1_000
const hotUse = 0.9

/** How much of a provider's or model's capacity this instance has used in the last minute. */
export interface CapacityUse {
  /** Provider or `provider/model`. */
  readonly name: string
  readonly requests: number
  readonly tokens: number
  readonly requestsPerMinute: number | null
  readonly tokensPerMinute: number | null
  /** What is left of the scarcer of the two, 0 to 1; 1 without limits. */
  readonly headroom: number
  /** It ran hot: nine tenths were used by 3 requests or 1,024 tokens, and no answer or reset has come since. */
  readonly hot: boolean
}

const noMeters: readonly Meter[] = []

interface Meter {
  readonly name: string
  readonly limits: Capacity
  readonly requests: SlidingWindow
  readonly tokens: SlidingWindow
  hot: boolean
  /** Nobody is to call before: the provider has said so. */
  heldUntil: number
  heldSince: number
}

/** What a model counts against: itself and its provider. */
export interface Metered {
  readonly id: string
  /** The part of the id before the slash. */
  readonly prefix: string
  readonly capacity: Capacity
  readonly providerCapacity: Capacity
}

/**
 * Requests and tokens of the last minute against the limits that were registered, and what providers have asked for by
 * rate limits. Counted in this process alone: of several instances each has the limits to itself, so divide them.
 */
export class CapacityMeter {
  readonly #clock: Clock
  readonly #meters = new Map<string, Meter>()
  readonly #ofModel = new Map<string, readonly Meter[]>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A call begins. */
  called(model: Metered): void {
    const now = this.#clock.now()
    for (const meter of this.#of(model)) {
      meter.requests.add(1, now)
      meter.hot ||= isHot(meter, now)
    }
  }

  /** It has ended with an answer. */
  answered(model: Metered, usage: Usage): void {
    const now = this.#clock.now()
    const tokens = usage.input + usage.cacheRead + usage.cacheWrite + usage.output + usage.reasoning
    for (const meter of this.#of(model)) {
      meter.tokens.add(Math.max(0, tokens), now)
      meter.hot = false
    }
  }

  /** A rate limit that says for how long holds the model back until then. That of a tenant's own key is no other's. */
  failed(model: Metered, { failure, ownKey, retryAfterMs }: ModelFailure): void {
    if (failure !== 'rate-limit' || ownKey || retryAfterMs === undefined || retryAfterMs <= 0) return
    const meter = this.#meter(model.id, model.capacity)
    if (meter === null) return
    meter.heldSince = this.#clock.now()
    meter.heldUntil = meter.heldSince + retryAfterMs
  }

  /** Milliseconds until the provider no longer asks to be left alone. */
  heldFor(model: Metered): number {
    const meter = this.#meters.get(model.id)
    if (meter === undefined || meter.heldUntil === 0) return 0
    const now = this.#clock.now()
    // A clock that was set back must not make it longer.
    if (now >= meter.heldUntil || now < meter.heldSince) meter.heldUntil = 0
    return Math.max(0, meter.heldUntil - now)
  }

  /** Milliseconds until a request fits into the limits; 0 when it does now. */
  fullFor(model: Metered): number {
    if (isUnlimited(model)) return 0
    const now = this.#clock.now()
    let wait = 0
    for (const { limits, requests, tokens } of this.#of(model)) {
      if (limits.requestsPerMinute !== undefined) wait = Math.max(wait, requests.belowIn(limits.requestsPerMinute, now))
      if (limits.tokensPerMinute !== undefined) wait = Math.max(wait, tokens.belowIn(limits.tokensPerMinute, now))
    }
    return wait
  }

  /** What is left, 0 to 1, of the scarcest limit that the model counts against. */
  headroom(model: Metered): number {
    if (isUnlimited(model)) return 1
    const now = this.#clock.now()
    let least = 1
    for (const meter of this.#of(model)) least = Math.min(least, headroomOf(meter, now))
    return least
  }

  /** Of a provider, whether or not it has been called. */
  use(name: string, limits: Capacity): CapacityUse {
    const now = this.#clock.now()
    const meter = this.#meters.get(name)
    return {
      name,
      requests: meter?.requests.total(now) ?? 0,
      tokens: meter?.tokens.total(now) ?? 0,
      requestsPerMinute: limits.requestsPerMinute ?? null,
      tokensPerMinute: limits.tokensPerMinute ?? null,
      headroom: meter === undefined ? 1 : headroomOf(meter, now),
      hot: meter?.hot ?? false,
    }
  }

  /** Forgets what a provider has asked for, and that it ran hot. What was used stays used. */
  relieve(provider: string): void {
    for (const meter of this.#meters.values()) {
      if (meter.name !== provider && !meter.name.startsWith(`${provider}/`)) continue
      meter.hot = false
      meter.heldUntil = 0
    }
  }

  /** Its own meter and its provider's. Asked for with every call, so it is put together once. */
  #of(model: Metered): readonly Meter[] {
    const known = this.#ofModel.get(model.id)
    if (known) return known
    const own = this.#meter(model.id, model.capacity)
    const shared = this.#meter(model.prefix, model.providerCapacity)
    if (own === null || shared === null) return noMeters
    const both = [own, shared]
    this.#ofModel.set(model.id, both)
    return both
  }

  #meter(name: string, limits: Capacity): Meter | null {
    const known = this.#meters.get(name)
    if (known) return known
    if (this.#meters.size >= mostNames) return null
    const [requests, tokens] = [new SlidingWindow(windowMs), new SlidingWindow(windowMs)]
    const meter = { name, limits, requests, tokens, hot: false, heldUntil: 0, heldSince: 0 }
    this.#meters.set(name, meter)
    return meter
  }
}

/** Most are: nothing has to be added up for them. */
const isUnlimited = ({ capacity, providerCapacity }: Metered): boolean =>
  capacity.requestsPerMinute === undefined &&
  capacity.tokensPerMinute === undefined &&
  providerCapacity.requestsPerMinute === undefined &&
  providerCapacity.tokensPerMinute === undefined

/** The larger share of a limit that is used; 0 without limits. */
function useOf({ limits, requests, tokens }: Meter, now: number): number {
  const { requestsPerMinute, tokensPerMinute } = limits
  const ofRequests = requestsPerMinute === undefined ? 0 : requests.total(now) / requestsPerMinute
  const ofTokens = tokensPerMinute === undefined ? 0 : tokens.total(now) / tokensPerMinute
  return Math.max(ofRequests, ofTokens)
}

const headroomOf = (meter: Meter, now: number): number => Math.max(0, 1 - useOf(meter, now))

const isHot = (meter: Meter, now: number): boolean =>
  useOf(meter, now) >= hotUse && (meter.requests.total(now) >= 3 || meter.tokens.total(now) >= 1_024)
