import { operation } from '../../contract/operation.ts'
import type { BreakerState } from '../sessions/index.ts'
import type { BreakerPolicy } from './policy.ts'

/** A provider's breaker as it stands. */
export interface BreakerStatus {
  readonly provider: string
  readonly state: BreakerState
  /** What opened it; null while it is closed. */
  readonly cause: 'failures' | 'billing' | 'operator' | null
  /** Failures that count within the window. */
  readonly failures: number
  /** Class of the newest failure since it was last reset. */
  readonly lastFailure: string | null
  readonly openedAt: number | null
  /** When a call may try the provider again; null when it is closed, or only a reset closes it. */
  readonly retryAt: number | null
  /** A call is trying it just now. */
  readonly probing: boolean
}

/** What happened to a breaker, on whatever instance. */
export type BreakerEvent = { readonly provider: string; readonly at: number } & (
  | {
      readonly type: 'breaker.opened'
      readonly cause: 'failures' | 'billing' | 'operator'
      /** Class of the failure that did it; null when an operator did. */
      readonly failure: string | null
      readonly retryAt: number | null
    }
  /** A call tries the provider. */
  | { readonly type: 'breaker.half-opened' }
  /** It answers again. */
  | { readonly type: 'breaker.closed' }
  /** Somebody has cleared it. */
  | { readonly type: 'breaker.reset' }
)

/** Told of every change as it becomes known here. Must be quick; what it throws is reported. */
export type BreakerListener = (event: BreakerEvent) => void

const read = { auth: 'caller', effect: 'read', errors: [] } as const
const change = { auth: 'operator', effect: 'write', errors: ['PROVIDER_UNKNOWN', 'BREAKER_CONTENDED'] } as const

export const breakerOperations = {
  /** Every configured provider, by name, untouched ones as closed; and the numbers that hold for all. */
  status: operation<void, { readonly policy: BreakerPolicy; readonly breakers: readonly BreakerStatus[] }>(read),
  /** Closes it and forgets its failures, whatever has opened it. */
  reset: operation<{ provider: string }, BreakerStatus>(change),
  /** Opens it until it is reset. */
  forceOpen: operation<{ provider: string }, BreakerStatus>(change),
  /** Begins to tell a listener of changes; returns what ends it. */
  watch: operation<{ listener: BreakerListener }, () => void>(read),
}
