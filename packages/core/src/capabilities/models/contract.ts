import { operation } from '../../contract/operation.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Window } from '../../kernel/pages.ts'
import type { TurnSelection, Usage } from '../sessions/index.ts'
import type { CapacityUse } from './capacity.ts'

export const modelErrors = defineErrors({
  MODEL_INVALID: { kind: 'bad_request', message: 'a model is named provider/model' },
  MODEL_UNKNOWN: { kind: 'unprocessable', message: 'no provider is registered for this model' },
  MODEL_FAILED: { kind: 'upstream', message: 'the model provider failed' },
  MODEL_UNAVAILABLE: { kind: 'unavailable', message: 'no model can be called now; try again later' },
  PROVIDER_INVALID: { kind: 'bad_request', message: 'a provider is not registered correctly' },
})

/** A model as the registry knows it. */
export interface RegisteredModel {
  /** `provider/model`. */
  readonly id: string
  readonly provider: string
  readonly local: boolean
  readonly contextTokens: number
  readonly maxOutputTokens: number
  readonly tools: boolean
}

/** A provider as the registry knows it. `*` answers for every prefix that no other one has. */
export interface RegisteredProvider {
  readonly id: string
  readonly local: boolean
}

export interface Completion {
  readonly text: string
  readonly model: string
  readonly usage: Usage
}

/** What a provider says it offers. */
export interface ProviderOffer {
  readonly provider: string
  /** `skipped`: it cannot be asked, and no model of it is registered. */
  readonly status: 'ok' | 'error' | 'unreachable' | 'skipped'
  /** `provider/model`, sorted, each once. What is registered when the provider cannot be asked. */
  readonly models: readonly string[]
  /** What went wrong, in a word: the class of the failure. Null when nothing did. */
  readonly error: string | null
}

const read = { auth: 'caller', effect: 'read', errors: [] } as const

export const modelOperations = {
  list: operation<void, readonly RegisteredModel[]>(read),
  /** The providers that are registered, models or none. */
  providers: operation<void, readonly RegisteredProvider[]>(read),
  /** A model by its id, with the defaults of one that is not known further. */
  get: operation<{ id: string }, RegisteredModel>({ ...read, errors: ['MODEL_UNKNOWN'] }),
  /** Asks every provider, or the named one (in any case), all at once and for at most 8 seconds. Fails for none of them. */
  available: operation<{ provider?: string | undefined }, readonly ProviderOffer[]>(read),
  /** What chose the model of each turn within reach, newest first. */
  selections: operation<Window, readonly TurnSelection[]>(read),
  /** What was used of each provider's capacity in the last minute, on this instance. */
  capacity: operation<void, readonly CapacityUse[]>(read),
  /** One call outside any turn, e.g. to name a session. Nothing is stored. */
  complete: operation<
    { models: readonly string[]; instructions: string; prompt: string; maxOutputTokens: number },
    Completion
  >({ auth: 'caller', effect: 'write', errors: ['MODEL_UNKNOWN', 'MODEL_FAILED', 'MODEL_UNAVAILABLE'] }),
}
