import type { Model } from '../models/index.ts'
import type { FinishReason, Part, Usage } from '../sessions/index.ts'

export interface StepCall {
  readonly call: string
  readonly tool: string
  readonly arguments: string
}

export type Thought = Extract<Part, { type: 'reasoning' }>

/** What one call of a model came to. */
export interface StepResult {
  readonly model: Model
  readonly text: string
  readonly thoughts: readonly Thought[]
  readonly calls: readonly StepCall[]
  readonly reason: FinishReason
  readonly usage: Usage
}
