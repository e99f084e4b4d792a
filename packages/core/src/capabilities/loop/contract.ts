import { operation } from '../../contract/operation.ts'
import type { Approval } from '../approvals/index.ts'
import type { Part, Turn, TurnEvent, TurnOptions } from '../sessions/index.ts'
import type { OutcomeDecision } from './resume-turn.ts'

/** A turn that holds its session and waits for a person. */
export interface WaitingTurn {
  readonly turn: string
  /** Not decided, oldest first. */
  readonly approvals: readonly Approval[]
}

/**
 * What a message is to a turn that waits. `approve` and `deny`: the decision on its oldest approval. `cancel`: the turn is
 * given up for the message. `queue`: the message waits in order, or is refused.
 */
export type BeforeQueue = (waiting: WaitingTurn) => 'approve' | 'deny' | 'cancel' | 'queue'

export interface RunOptions {
  /** Id of the session to go on with. @default a new session */
  readonly session?: string | undefined
  /** Instead of a session: goes on in the caller's active session of this agent and scope, opened if there is none. */
  readonly scope?: string | undefined
  readonly message: string | readonly Part[]
  /** The same key again is the same turn: it is followed, not run twice. */
  readonly idempotencyKey?: string | undefined
  /** What to do while the session answers another message. @default 'wait' */
  readonly whenBusy?: 'wait' | 'refuse'
  /** What to do with a message to an archived or expired session. @default 'refuse' */
  readonly whenClosed?: 'refuse' | 'answer'
  /**
   * What to do with a message to a session that does not exist, or is not within reach: `create` begins one under the
   * given id, unless somebody else has it. @default 'refuse'
   */
  readonly whenMissing?: 'refuse' | 'create'
  /** What to do with a message that says nothing. @default 'refuse' */
  readonly whenEmpty?: 'refuse' | 'answer'
  /**
   * Asked when the session's turn waits for an approval: the message may be the decision. The handle is then that of the
   * turn which goes on, from there on.
   */
  readonly beforeQueue?: BeforeQueue
  /** Most steps with tool calls; the turn fails when the model wants more. @default as many as the agent's steps */
  readonly maxToolRounds?: number
  /**
   * Most characters that the model gets of one tool result; what is longer is cut and says so. Events and the stored call
   * have it whole. @default as many as the tool returns
   */
  readonly toolResultCharacters?: number
  /** Refuses a message that its owner already has queued or running since this many milliseconds. */
  readonly refuseDuplicateWithinMs?: number
  /** Refuses a session that was opened with another agent. @default false */
  readonly sameAgent?: boolean
  /** How far tools may go without asking. @default 'creator' for operators, else 'external' */
  readonly authority?: TurnOptions['authority']
  /** What an open approval does to the turn. @default 'suspend' */
  readonly approvals?: TurnOptions['approvals']
  /** The schedule that starts the turn, so that its budgets count. */
  readonly schedule?: string
  /** Given and stored as the answer when no model answers. */
  readonly failureReply?: string
  /** Milliseconds the turn may run at a stretch. @default the limit of all turns */
  readonly turnMs?: number
}

const write = { auth: 'caller', effect: 'write' } as const

export const runErrors = [
  'AGENT_NOT_FOUND',
  'AGENT_DISABLED',
  'MODEL_UNKNOWN',
  'SESSION_INVALID',
  'SESSION_NOT_FOUND',
  'SESSION_CLOSED',
  'SESSION_BUSY',
  'SESSION_OF_OTHER_AGENT',
  'TURN_QUEUE_FULL',
  'TURN_DUPLICATE',
  'IDEMPOTENCY_MISMATCH',
  'BUDGET_EXHAUSTED',
  'MESSAGE_INVALID',
  'MESSAGE_EMPTY',
  'MESSAGE_TOO_LONG',
  'LIMIT_INVALID',
] as const

/** Called through `client.run`, which hands out the turn before it is stored. */
export const runOperation = operation<RunOptions, Turn>({ ...write, errors: runErrors })

/** Called through `client.attach`. */
export const attachOperation = operation<{ id: string }, Turn>({
  auth: 'caller',
  effect: 'read',
  errors: ['TURN_NOT_FOUND'],
})

export const turnOperations = {
  /** Stops a turn. Asking again, or after it has ended, changes nothing. */
  cancel: operation<{ id: string }, Turn>({ ...write, errors: ['TURN_NOT_FOUND'] }),
  /** What is to be done about calls with an unknown outcome; the interrupted turn then goes on. */
  decide: operation<{ id: string; decision: OutcomeDecision }, Turn>({
    ...write,
    errors: ['TURN_NOT_FOUND', 'TURN_NOT_INTERRUPTED'],
  }),
  /** Events after a position, stored and live, until the turn ends or waits. */
  follow: operation<{ id: string; after?: number }, AsyncIterable<TurnEvent>>({
    auth: 'caller',
    effect: 'read',
    errors: ['TURN_NOT_FOUND'],
  }),
}
