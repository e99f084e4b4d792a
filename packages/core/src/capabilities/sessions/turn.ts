import type { Json } from '../../kernel/json.ts'
import type { Message, Part, Usage } from './session.ts'

/**
 * Where a turn is. `completed`, `failed` and `cancelled` are final; `interrupted` may be resumed by a decision.
 * What may follow what is in `turnTransitions`.
 */
export type TurnStatus = 'queued' | 'running' | 'waiting' | 'completed' | 'failed' | 'cancelled' | 'interrupted'

/** The published transition table: a store refuses any other change of status. */
export const turnTransitions: Readonly<Record<TurnStatus, readonly TurnStatus[]>> = {
  queued: ['running', 'cancelled'],
  running: ['waiting', 'completed', 'failed', 'cancelled', 'interrupted'],
  waiting: ['running', 'cancelled', 'failed'],
  interrupted: ['running', 'cancelled', 'failed'],
  completed: [],
  failed: [],
  cancelled: [],
}

/** True when nothing more will happen to the turn unless somebody decides. */
export const isSettled = (status: TurnStatus): boolean =>
  status !== 'queued' && status !== 'running' && status !== 'waiting'

/** `half-open`: the cool-down is over, and one call at a time may try whether the provider answers again. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** One model that could have been called, and what spoke for or against it. */
export interface SelectionCandidate {
  readonly model: string
  readonly usable: boolean
  /** For people. */
  readonly note: string
  /** The session's own model, the agent's first, or one of its others. */
  readonly source?: 'override' | 'primary' | 'fallback'
  /** 0 (not usable) to 1. The highest is tried first; among equals the order of the list counts. */
  readonly score?: number
  /** False when no provider is registered for it. */
  readonly registered?: boolean
  readonly breaker?: BreakerState
}

/** What was tried in a step that did not go well at once. */
export interface ModelAttempt {
  readonly step: number
  readonly model: string
  /** `skipped`: it was not called. */
  readonly outcome: 'answered' | 'failed' | 'skipped'
  /**
   * The class of the failure, or why it was not called: `breaker-open`, `probe-running`, `over-capacity`,
   * `rate-limited`. Null when it answered.
   */
  readonly reason: string | null
  readonly at: number
  readonly durationMs: number
}

/** Why the model was chosen: every candidate, and what spoke for or against it. */
export interface Selection {
  readonly chosen: string
  /** `override`, `primary`, `fallback_1`, `fallback_2` ..., or `last_resort` when none was usable. */
  readonly strategy: string
  /** The session's own model first, then the agent's in its order. */
  readonly candidates: readonly SelectionCandidate[]
  /** The session's own model. */
  readonly override?: string | null
  /** Steps whose first call did not succeed, oldest first; at most 200 entries. */
  readonly attempts?: readonly ModelAttempt[]
}

/** What went into the model's context, by source, and what did not and why. */
export interface ContextSegment {
  readonly source: 'instructions' | 'history' | 'tools' | 'message' | 'memory'
  /** Estimated as bytes / 4, rounded up. */
  readonly tokens: number
  readonly kept: boolean
  /** First and last message sequence of a piece of history. */
  readonly from?: number
  readonly to?: number
  /** Path of the note that was recalled. */
  readonly path?: string
  /** Why it was dropped, or not kept whole. */
  readonly reason?: string
}

/** What the caller asked for and whoever goes on with the turn must know, after a crash or on another instance. */
export interface TurnOptions {
  /** How far the turn's tools may go; see the policy table of the tools capability. */
  readonly authority: 'creator' | 'self-generated' | 'peer' | 'external'
  /** `suspend`: the turn waits for the decision. `defer`: the model is told, the turn goes on, the decision starts another turn. */
  readonly approvals: 'suspend' | 'defer'
  /** Stored and given as the answer when no model answers; null lets the turn fail without one. */
  readonly failureReply: string | null
  /** Most steps with tool calls; the agent's steps alone limit them when it is missing. */
  readonly maxToolRounds?: number
  /** Most characters that the model gets of one tool result; what the tool returns alone limits them when it is missing. */
  readonly toolResultCharacters?: number
  /** The approval whose decision started this turn. */
  readonly continues: string | null
  /** Milliseconds the turn may run at a stretch; the limit of all turns when left out. */
  readonly turnMs?: number
  /** The schedule that started this turn; absent when none did. */
  readonly schedule?: string
}

export interface TurnError {
  readonly code: string
  readonly message: string
  /** One by one, what an answer had wrong that failed with `OUTPUT_INVALID`. */
  readonly problems?: readonly string[]
  /** After this many milliseconds the same may work. */
  readonly retryAfterMs?: number
}

/** What chose the model of a turn, and what came of it. */
export interface TurnSelection {
  readonly turn: string
  readonly session: string
  readonly subject: string
  readonly agent: string
  readonly status: TurnStatus
  readonly selection: Selection
  /** `provider/model` that answered last; null until one has. */
  readonly model: string | null
  readonly steps: number
  /** The beginning of what the user sent, at least 500 characters of it if there are. */
  readonly excerpt: string
  readonly createdAt: number
}

/** One user message and all that is done to answer it. */
export interface Turn {
  readonly id: string
  readonly session: string
  readonly tenant: string
  readonly subject: string
  readonly agent: string
  /** 1, 2, 3 ... within the session, in the order of acceptance. */
  readonly sequence: number
  readonly status: TurnStatus
  /** Number of the config generation it runs on; 0 is the code layer alone. */
  readonly generation: number
  readonly options: TurnOptions
  readonly selection: Selection | null
  readonly context: readonly ContextSegment[] | null
  /** `provider/model` that really answered; null until one has. */
  readonly model: string | null
  readonly steps: number
  readonly usage: Usage
  /** Pico-dollars (1e-12 USD); null when a model's price is unknown. */
  readonly cost: number | null
  readonly error: TurnError | null
  readonly cancelRequested: boolean
  readonly userMessage: string
  /** What the user sent. The message row is made when the turn starts, so that history keeps the order of answers. */
  readonly input: readonly Part[]
  readonly createdAt: number
  readonly startedAt: number | null
  readonly endedAt: number | null
}

/** What was said in a session. */
export interface SpokenMessage {
  readonly message: Message
  /** Of the turn that wrote it; null for one that was appended by hand. */
  readonly turn: Pick<Turn, 'agent' | 'status' | 'model' | 'usage' | 'userMessage'> | null
}

/** A piece of what was said in a session, oldest first. */
export interface SpokenPage {
  readonly messages: readonly SpokenMessage[]
  /** Sequence after which the next piece begins; null after the last. */
  readonly next: number | null
}

export type ToolCallStatus = 'waiting' | 'started' | 'succeeded' | 'failed' | 'denied' | 'unknown'

export interface ToolCall {
  /** Row id; the key handed to the tool to make its effect idempotent. */
  readonly id: string
  readonly turn: string
  readonly session: string
  readonly step: number
  /** The model's own id of the call. */
  readonly call: string
  readonly tool: string
  /** JSON text, exactly as the model sent it. */
  readonly arguments: string
  readonly status: ToolCallStatus
  /** `allow`, `ask` or `deny`, and the rule that said so. */
  readonly policy: {
    readonly decision: 'allow' | 'ask' | 'deny'
    readonly rule: string
    readonly reason: string | null
  }
  readonly output: Json
  readonly startedAt: number
  readonly endedAt: number | null
  /** Of the name and schema of the tool that was called; null when there was no such tool, or it was not stored. */
  readonly toolHash: string | null
}
