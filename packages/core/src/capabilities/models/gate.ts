import type { BreakerState } from '../sessions/index.ts'
import type { ModelFailure } from './provider.ts'

/** Whether a provider may be called. Handed back with what came of the call. */
export type Admission =
  /** `probe`: the call is the one that tries whether an open breaker may close; null for an ordinary one. */
  | { readonly allowed: true; readonly probe: number | null }
  | {
      readonly allowed: false
      readonly reason: 'breaker-open' | 'probe-running'
      /** Null when it does not open again by itself. */
      readonly retryAfterMs: number | null
    }

/** What stands between callers and providers, by the part of a model's name before the slash. */
export interface ProviderGate {
  /** What is known here, without asking anybody. */
  stateOf(provider: string): BreakerState
  /** Asked before every call. Answers at once unless the provider's breaker is open. */
  admit(provider: string): Admission | Promise<Admission>
  /** The answer is whole. */
  succeeded(provider: string, admission: Admission): Promise<void> | undefined
  failed(provider: string, admission: Admission, failure: ModelFailure): Promise<void>
  /** The call was given up for a reason that says nothing about the provider. */
  abandoned(provider: string, admission: Admission): Promise<void> | undefined
}

/** The admission of every ordinary call: one object, since there is one per call. */
export const admitted: Admission = { allowed: true, probe: null }
