import { operation } from '../../contract/operation.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Usage } from '../sessions/index.ts'

export const modelErrors = defineErrors({
  MODEL_INVALID: { kind: 'bad_request', message: 'a model is named provider/model' },
  MODEL_UNKNOWN: { kind: 'unprocessable', message: 'no provider is registered for this model' },
  MODEL_FAILED: { kind: 'upstream', message: 'the model provider failed' },
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

export interface Completion {
  readonly text: string
  readonly model: string
  readonly usage: Usage
}

export const modelOperations = {
  list: operation<void, readonly RegisteredModel[]>({ auth: 'caller', effect: 'read', errors: [] }),
  /** One call outside any turn, e.g. to name a session. Stored in the ledger alone; budgets limit it. */
  complete: operation<
    { models: readonly string[]; instructions: string; prompt: string; maxOutputTokens: number },
    Completion
  >({
    auth: 'caller',
    effect: 'write',
    errors: ['MODEL_UNKNOWN', 'MODEL_FAILED', 'BUDGET_EXHAUSTED', 'BUDGET_PRICE_UNKNOWN'],
  }),
}
