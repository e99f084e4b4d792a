import { operation } from '../../contract/operation.ts'
import type { ContextSegment, FinishReason, ModelAttempt, Selection, ToolCall, Turn, Usage } from '../sessions/index.ts'

/** One model call of a turn, as it went in the end. */
export interface TurnStep {
  /** 1, 2, 3 ... */
  readonly step: number
  /** `provider/model` that answered, or is asked. */
  readonly model: string
  readonly startedAt: number
  /** Null while it runs, and when it never came to its end. */
  readonly finishedAt: number | null
  /** From its start, failed attempts included, in milliseconds. */
  readonly durationMs: number | null
  readonly reason: FinishReason | null
  readonly usage: Usage | null
  /** Pico-dollars; null when the price is unknown. */
  readonly cost: number | null
  /** How often it began again. */
  readonly restarts: number
  /** What the model thought, as far as it is told. */
  readonly reasoning: string
}

/** Everything that is kept of how a turn was answered. */
export interface TurnReport {
  readonly turn: Turn
  readonly steps: readonly TurnStep[]
  /** By step, in the order of the model's calls. */
  readonly toolCalls: readonly ToolCall[]
  readonly context: readonly ContextSegment[]
  readonly selection: Selection | null
  readonly attempts: readonly ModelAttempt[]
}

/** How a turn's context fills the window of its model. Tokens are estimated as bytes / 4. */
export interface TurnContext {
  readonly turn: string
  /** `provider/model` that answered, else the one that was chosen. */
  readonly model: string | null
  /** What the model's window has beside its answer; 0 when the model is no longer registered. */
  readonly budget: number
  /** Kept segments by source. */
  readonly tokens: Readonly<Record<ContextSegment['source'], number>>
  readonly dropped: number
  readonly segments: readonly ContextSegment[]
  /** Messages of the session that the model was given. */
  readonly messages: number
}

const read = { auth: 'caller', effect: 'read', errors: ['TURN_NOT_FOUND'] } as const

export const observatoryOperations = {
  /** A turn's steps, tool calls, context, selection and attempts. */
  turn: operation<{ id: string }, TurnReport>(read),
  /** How its context fills the model's window. */
  context: operation<{ id: string }, TurnContext>(read),
}
