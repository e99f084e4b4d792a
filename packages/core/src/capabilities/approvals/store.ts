import type { Reach } from '../../kernel/context.ts'
import type { Window } from '../../kernel/pages.ts'

export type ApprovalStatus = 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled'

/** A question to a human: may this tool run with exactly these arguments? */
export interface Approval {
  readonly id: string
  readonly tenant: string
  readonly subject: string
  readonly session: string
  readonly turn: string
  /** Row id of the tool call that waits. */
  readonly toolCall: string
  readonly tool: string
  readonly arguments: string
  readonly argumentsHash: string
  readonly reason: string | null
  /** The authority the call would have had. */
  readonly requestedAuthority: string
  readonly generation: number
  readonly status: ApprovalStatus
  readonly decidedBy: string | null
  readonly decidedAt: number | null
  readonly createdAt: number
  readonly expiresAt: number
  /** Of the name and schema of the tool as it was when the approval was asked for; null when it was not stored. */
  readonly toolHash: string | null
}

export interface ApprovalDecision {
  readonly status: 'approved' | 'denied'
  readonly decidedBy: string
  readonly at: number
}

/** What a call ends with that nobody approved, and what the model is told where its turn waits. */
export const refusedCalls = {
  denied: 'a person denied this call',
  expired: 'nobody approved this call in time',
} as const

export interface ApprovalFilter {
  readonly status?: ApprovalStatus
  /** Id of a turn. */
  readonly turn?: string
}

/** Approvals are made by the loop's commit; here they are read and decided. */
export interface ApprovalStore {
  get(reach: Reach, id: string): Promise<Approval | null>

  /** Oldest first; what a turn asked at one moment in the order in which it asked. */
  list(reach: Reach, window: Window, filter?: ApprovalFilter): Promise<Approval[]>

  count(reach: Reach, filter?: ApprovalFilter): Promise<number>

  /**
   * Decides a pending approval that has not expired; the call of a denied one ends as `denied`, with the text of
   * `refusedCalls`, unless its turn waits for it. Atomic: of deciders that race exactly one gets the row, the others null.
   */
  decide(reach: Reach, id: string, decision: ApprovalDecision): Promise<Approval | null>

  /**
   * Moves every pending approval whose time is over to `expired` and returns them, once each; their calls end as denied
   * ones do. Atomic.
   */
  expire(at: number, limit: number): Promise<Approval[]>

  /**
   * Approved calls of turns that did not wait (their tool call is still `waiting`, their turn has settled) and that no
   * turn with the idempotency key `approval:<id>` has taken up. Ordered as `list`.
   */
  unfollowed(limit: number): Promise<Approval[]>

  /** Turns in `waiting` none of whose approvals is pending any more, and that nobody runs. */
  resumable(limit: number): Promise<string[]>
}
