import { operation } from '../../contract/operation.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Page } from '../../kernel/pages.ts'
import type { TurnSelection, Usage } from '../sessions/index.ts'
import type { CapacityUse } from './capacity.ts'
import type {
  Embedded,
  EmbeddingRequest,
  FailureClass,
  ModelPrice,
  Transcript,
  TranscriptionRequest,
} from './provider.ts'

export const modelErrors = defineErrors({
  MODEL_INVALID: { kind: 'bad_request', message: 'a model is named provider/model' },
  MODEL_UNKNOWN: { kind: 'unprocessable', message: 'no provider is registered for this model' },
  MODEL_UNFIT: { kind: 'unprocessable', message: 'the provider of this model cannot do that' },
  MODEL_INPUT_INVALID: { kind: 'bad_request', message: 'a model cannot be given this' },
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
  readonly vision: boolean
  /** Null when it is not known. */
  readonly structuredOutput: boolean | null
  /** Null when it is not known. */
  readonly price: ModelPrice | null
  /** True for a model that is known because its provider listed it. */
  readonly discovered: boolean
}

export interface DiscoveredModels {
  /** All models that are known now, registered ones first. */
  readonly models: readonly RegisteredModel[]
  /** Who was asked, how many models it has, and why it did not answer. */
  readonly providers: readonly {
    readonly provider: string
    readonly models: number
    readonly failure: FailureClass | null
  }[]
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
  /** Registered models, then those that providers have listed when they were asked. */
  list: operation<void, readonly RegisteredModel[]>(read),
  /** The providers that are registered, models or none. */
  providers: operation<void, readonly RegisteredProvider[]>(read),
  /**
   * Asks the providers which models they have; asked again within a minute, the answer is the same. What was registered
   * counts more than what is found. A provider that fails does not stop the others.
   */
  discover: operation<void, DiscoveredModels>({ auth: 'operator', effect: 'write', errors: [] }),
  /** Vectors of texts, in their order. `model` is `provider/model`. Stored in the ledger alone; budgets limit it. */
  embed: operation<{ model: string } & EmbeddingRequest, Embedded>({
    auth: 'caller',
    effect: 'write',
    errors: [
      'MODEL_UNKNOWN',
      'MODEL_UNFIT',
      'MODEL_INPUT_INVALID',
      'MODEL_FAILED',
      'BUDGET_EXHAUSTED',
      'BUDGET_PRICE_UNKNOWN',
    ],
  }),
  /** The text of speech. `model` is `provider/model`. Nothing is stored. */
  transcribe: operation<{ model: string } & TranscriptionRequest, Transcript>({
    auth: 'caller',
    effect: 'write',
    errors: ['MODEL_UNKNOWN', 'MODEL_UNFIT', 'MODEL_INPUT_INVALID', 'MODEL_FAILED'],
  }),
  /** A model by its id, with the defaults of one that is not known further. */
  get: operation<{ id: string }, RegisteredModel>({ ...read, errors: ['MODEL_UNKNOWN'] }),
  /** Asks every provider, or the named one (in any case), all at once and for at most 8 seconds. Fails for none of them. */
  available: operation<{ provider?: string | undefined } | undefined, readonly ProviderOffer[]>(read),
  /** What chose the model of each turn within reach, newest first. */
  selections: operation<Page | undefined, readonly TurnSelection[]>(read),
  /** What was used of each provider's capacity in the last minute, on this instance. */
  capacity: operation<void, readonly CapacityUse[]>(read),
  /** One call outside any turn, e.g. to name a session. Stored in the ledger alone; budgets limit it. */
  complete: operation<
    { models: readonly string[]; instructions: string; prompt: string; maxOutputTokens: number },
    Completion
  >({
    auth: 'caller',
    effect: 'write',
    errors: ['MODEL_UNKNOWN', 'MODEL_FAILED', 'MODEL_UNAVAILABLE', 'BUDGET_EXHAUSTED', 'BUDGET_PRICE_UNKNOWN'],
  }),
}
