import type { Owner, Reach } from '../../kernel/context.ts'
import type { Json } from '../../kernel/json.ts'
import type { BudgetCrossing, BudgetWindow, Charges, LedgerEntry, Reservation, Settlement } from '../costs/index.ts'
import type {
  ContextSegment,
  NewMessage,
  NewSession,
  Part,
  Selection,
  ToolCall,
  Turn,
  TurnError,
  TurnOptions,
  TurnStatus,
  Usage,
} from '../sessions/index.ts'

/** The right to write to a session's running turn. Every write names its epoch; a newer lease makes older ones void. */
export interface Lease {
  readonly session: string
  readonly turn: string
  readonly instance: string
  readonly epoch: number
}

/** A turn that is now running under `lease`. */
export interface StartedTurn {
  readonly turn: Turn
  readonly lease: Lease
  /** Sequence of the session's newest message: that of the turn's user message when it has just started. */
  readonly lastSequence: number
  /** Money that is set aside for its first step already. */
  readonly reservation?: Reservation
}

export interface NewTurn {
  readonly id: string
  readonly session: string
  readonly agent: string
  readonly generation: number
  /** Stored as JSON and given back unchanged. */
  readonly options: TurnOptions
  readonly selection: Selection
  readonly userMessage: string
  readonly input: readonly Part[]
  readonly createdAt: number
}

export interface AcceptTurn {
  readonly turn: NewTurn
  /** Inserted first when the turn begins a new session; not when the turn is a repeated or refused one. */
  readonly newSession: (NewSession & { readonly scope: null }) | null
  readonly instance: string
  /** What to do when the session already has a turn: wait in order, or refuse. */
  readonly whenBusy: 'wait' | 'refuse'
  /** Whether an archived or expired session still takes the turn. */
  readonly whenClosed: 'refuse' | 'answer'
  /** Most turns that may wait in one session. */
  readonly maxQueued: number
  /** Hash of the input. When `refuseDuplicateSince` is given, the same hash of the same owner, queued or running and created at or after it, refuses. */
  readonly inputHash: string
  readonly refuseDuplicateSince: number | null
  /** Unique per owner. The same key with the same hash is the same turn; with another hash it is an error. */
  readonly idempotency: { readonly key: string; readonly hash: string } | null
  /** Budgets of which one that is used up refuses the turn. */
  readonly budgets?: readonly BudgetWindow[]
  /** Set aside when the turn starts at once and every budget has room. */
  readonly reservation?: Reservation
}

export type Accepted =
  | { readonly outcome: 'started'; readonly started: StartedTurn }
  | { readonly outcome: 'queued'; readonly turn: Turn }
  /** The idempotency key was seen before, with the same hash. */
  | { readonly outcome: 'repeated'; readonly turn: Turn }
  | { readonly outcome: 'key-mismatch' | 'busy' | 'queue-full' | 'duplicate' | 'no-session' | 'session-closed' }
  | { readonly outcome: 'budget-exhausted'; readonly budget: BudgetWindow }

export interface NewToolCall {
  readonly id: string
  readonly step: number
  readonly call: string
  readonly tool: string
  readonly arguments: string
  readonly status: 'waiting' | 'started' | 'denied' | 'failed'
  readonly policy: ToolCall['policy']
  readonly output: Json
  readonly startedAt: number
  readonly endedAt: number | null
  readonly toolHash: string | null
}

export interface ToolCallEnd {
  readonly id: string
  readonly status: 'started' | 'succeeded' | 'failed' | 'denied' | 'unknown'
  readonly output: Json
  readonly endedAt: number | null
}

export interface NewApproval {
  readonly id: string
  readonly toolCall: string
  readonly tool: string
  readonly arguments: string
  /** SHA-256 of tool name and arguments, hex. What is approved is exactly this and nothing else. */
  readonly argumentsHash: string
  readonly reason: string | null
  readonly requestedAuthority: string
  readonly createdAt: number
  readonly expiresAt: number
  readonly toolHash: string | null
}

/** One commit point of a turn. Everything given is written in one transaction or not at all. */
export interface TurnCommit {
  readonly at: number
  /** Appended to the session in this order. */
  readonly messages?: readonly NewMessage[] | undefined
  /** Event lines to append to the turn's log, each ending in a newline. */
  readonly log?: string | undefined
  readonly toolCalls?: readonly NewToolCall[] | undefined
  /** Of this turn, or of an earlier one of the same session whose call this turn carries out. */
  readonly toolCallEnds?: readonly ToolCallEnd[] | undefined
  readonly approvals?: readonly NewApproval[] | undefined
  /**
   * New status. A settled one, or `waiting`, gives up the lease; a settled one also starts the session's next turn, and
   * `failed` and `cancelled` cancel the turn's pending approvals.
   */
  readonly status?: Exclude<TurnStatus, 'queued'> | undefined
  readonly selection?: Selection | undefined
  readonly context?: readonly ContextSegment[] | undefined
  readonly model?: string | undefined
  readonly steps?: number | undefined
  readonly usage?: Usage | undefined
  readonly cost?: number | null | undefined
  readonly error?: TurnError | null | undefined
  /** Model calls that have ended: written to the ledger and its roll-ups. */
  readonly ledger?: readonly LedgerEntry[] | undefined
  readonly settlements?: readonly Settlement[] | undefined
  /** For the step that comes next. Set aside after the settlements, when every budget has room. */
  readonly reservation?: Reservation | undefined
}

export interface Committed {
  readonly lastSequence: number
  /** The session's next queued turn, now running under a lease of the same instance. */
  readonly next: StartedTurn | null
  /** Somebody asked for this turn to be cancelled. */
  readonly cancelRequested: boolean
  /** Present when reservations were settled or asked for. */
  readonly money?: {
    /** The reservation that was asked for is made. */
    readonly reserved: boolean
    /** Thresholds of budgets that what was settled has reached. */
    readonly crossings: readonly BudgetCrossing[]
  }
}

/** What becomes of a step's wish for money. */
export interface Reserved {
  /** The budget that has no room; nothing was written then. */
  readonly refused: BudgetWindow | null
  readonly crossings: readonly BudgetCrossing[]
}

/** What a turn's log tells of the model call it ends in. */
export interface LostCall {
  /** Null when it does not say. */
  readonly model: string | null
  readonly saidBytes: number
}

/** A turn that somebody else began, with what it had done by its last commit point. */
export interface ResumedTurn extends StartedTurn {
  /** The model call that a running turn may have been making; null when what was set aside for it has paid for it. */
  readonly lostCall: LostCall | null
  readonly toolCalls: readonly ToolCall[]
  /** Position of the last stored event. */
  readonly logSequence: number
  /** Thresholds of budgets that the settling of its reservations has reached. */
  readonly crossings?: readonly BudgetCrossing[]
}

/**
 * The commit points of turns. A write under a lease whose epoch is no longer the session's changes nothing and rejects
 * with `LEASE_LOST`: a paused instance that wakes can do no harm.
 */
export interface LoopStore {
  /**
   * C1. Stores the turn and, when the session is free, its user message, and leases the session. Atomic: of callers
   * that race for a free session exactly one gets `started`. Queued turns start in the order of acceptance.
   */
  accept(owner: Owner, accept: AcceptTurn): Promise<Accepted>

  /** C2 to Cn. Atomic and fenced. */
  commit(lease: Lease, change: TurnCommit): Promise<Committed>

  /**
   * Writes what earlier attempts of the step have cost, settles their reservations, and sets money aside for the next
   * one: all of it, or nothing when a budget has no room. Atomic and fenced; however many ask at once, no budget is
   * given away twice.
   */
  reserve(lease: Lease, reservation: Reservation, charges: Charges): Promise<Reserved>

  /** Appends to the log between commit points. Fenced. */
  flush(lease: Lease, log: string): Promise<void>

  /**
   * Marks a turn to be cancelled. A queued or waiting one is cancelled at once and, if it held the session, the next one
   * starts; a running one is only marked. Null when there is no such turn or it has settled.
   */
  cancel(
    reach: Reach,
    turn: string,
    instance: string,
    at: number,
  ): Promise<{ turn: Turn; next: StartedTurn | null } | null>

  /** The turn that holds a session while it waits for approvals, and the position of its last stored event; or null. */
  waiting(reach: Reach, session: string): Promise<{ readonly turn: string; readonly logSequence: number } | null>

  /**
   * Leases a `waiting` or `interrupted` turn that nobody runs, or anew a running one that this instance already holds.
   * Null when it is in another state, held by another instance, or its session answers another turn. Reservations that
   * the turn still has are settled at their amount: whether their calls were made nobody knows.
   */
  resume(turn: string, instance: string, at: number): Promise<ResumedTurn | null>

  /**
   * Leases up to `limit` turns that are running under an instance whose heartbeat is older than `staleBefore`, and
   * starts queued turns of sessions that nobody holds. Reservations are settled as by `resume`.
   */
  takeOver(instance: string, staleBefore: number, at: number, limit: number): Promise<ResumedTurn[]>

  /** The turns that are running under a lease of this instance, and whether somebody asked to cancel them. */
  held(instance: string): Promise<{ readonly turn: string; readonly cancelRequested: boolean }[]>

  /** Tells the other instances that this one lives. */
  heartbeat(instance: string, at: number): Promise<void>

  /**
   * Forgets every instance whose heartbeat is older than `before` and that holds no session: nothing tells of it any
   * more, and one that wakes makes itself known anew. Returns how many. One statement.
   */
  prune(before: number): Promise<number>

  /** Forgets the instance: what it still holds can be taken over at once. */
  retire(instance: string): Promise<void>
}
