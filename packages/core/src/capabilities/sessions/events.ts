import type { Json } from '../../kernel/json.ts'
import type { Usage } from './session.ts'
import type { TurnError } from './turn.ts'

/**
 * What happens in a turn, in order.
 *
 * `sequence` is a position, not a count: an event moves it by 1, a delta by the length of its text. So a delta covers
 * the positions `(sequence - text.length, sequence]`, neighbours can be merged without renumbering, and a reader that
 * knows its last position can be given exactly the rest, whether from memory or from the store. A turn that is taken
 * over goes on at positions far beyond those that may have been shown and were never stored.
 */
export type TurnEvent = { readonly turn: string; readonly sequence: number } & TurnEventBody

export type TurnEventBody =
  | { readonly type: 'turn.started'; readonly session: string; readonly agent: string; readonly at: number }
  | { readonly type: 'turn.resumed'; readonly reason: 'approval' | 'takeover' | 'decision'; readonly at: number }
  | { readonly type: 'step.started'; readonly step: number; readonly model: string; readonly at: number }
  | { readonly type: 'text.delta'; readonly step: number; readonly text: string }
  | { readonly type: 'reasoning.delta'; readonly step: number; readonly text: string }
  /** What the step had said so far does not count: it begins again, perhaps with another model. */
  | { readonly type: 'step.restarted'; readonly step: number; readonly model: string; readonly reason: string }
  | {
      readonly type: 'step.finished'
      readonly step: number
      readonly model: string
      readonly reason: FinishReason
      readonly usage: Usage
      /** Pico-dollars; null when the price is unknown. */
      readonly cost?: number | null
      readonly at: number
    }
  | {
      readonly type: 'tool.started'
      readonly step: number
      readonly call: string
      readonly tool: string
      readonly arguments: string
    }
  | {
      readonly type: 'tool.finished'
      readonly step: number
      readonly call: string
      readonly tool: string
      /** `deferred`: runs when a person approves it, in a later turn. */
      readonly status: 'succeeded' | 'failed' | 'denied' | 'unknown' | 'deferred'
      readonly output: Json
      readonly durationMs: number
    }
  | {
      readonly type: 'approval.requested'
      readonly approval: string
      readonly call: string
      readonly tool: string
      readonly arguments: string
      readonly expiresAt: number
    }
  | {
      readonly type: 'approval.decided'
      readonly approval: string
      readonly call: string
      readonly status: 'approved' | 'denied' | 'expired'
    }
  | { readonly type: 'turn.waiting'; readonly at: number }
  /** The answer is the text of the last step. */
  | {
      readonly type: 'turn.completed'
      /** Id of the assistant message. */
      readonly message: string
      readonly model: string
      readonly steps: number
      readonly usage: Usage
      readonly cost: number | null
      readonly at: number
    }
  /**
   * `message` is that of the failure reply, given as a last step, when one was asked for; else that of an answer which
   * did not fit the output of the agent.
   */
  | { readonly type: 'turn.failed'; readonly error: TurnError; readonly message: string | null; readonly at: number }
  | { readonly type: 'turn.cancelled'; readonly at: number }
  | { readonly type: 'turn.interrupted'; readonly error: TurnError; readonly at: number }

export type TurnEventType = TurnEventBody['type']

export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'content-filter' | 'other'

/** True for the events after which a turn says nothing more unless somebody decides. */
export const endsTurn = (type: TurnEventType): boolean =>
  type === 'turn.completed' || type === 'turn.failed' || type === 'turn.cancelled' || type === 'turn.interrupted'

/** True for the events after which a turn is silent: it has ended, or waits for an approval. */
export const pausesTurn = (type: TurnEventType): boolean => type === 'turn.waiting' || endsTurn(type)
