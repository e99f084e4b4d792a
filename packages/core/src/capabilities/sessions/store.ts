import type { Owner, Reach } from '../../kernel/context.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { Window } from '../../kernel/pages.ts'
import type { Message, NewMessage, Session, SessionStatus } from './session.ts'
import type { SpokenMessage, ToolCall, Turn, TurnSelection } from './turn.ts'

export interface NewSession {
  readonly id: string
  readonly agent: string
  readonly scope: string | null
  readonly title: string | null
  readonly metadata: JsonObject | null
  readonly createdAt: number
}

/** Fields left out stay as they are. */
export interface SessionPatch {
  readonly title?: string | null
  readonly model?: string | null
  readonly metadata?: JsonObject | null
  /** Instead of `metadata`: entries to set in it; null takes one out, what is not named stays. */
  readonly metadataEntries?: JsonObject
  readonly status?: SessionStatus
}

export interface SessionFilter {
  readonly agent?: string
  readonly status?: SessionStatus
  /** `activity`: those with the newest message, turn or change first. @default 'created' */
  readonly order?: 'created' | 'activity'
}

/**
 * Sessions, their messages, and turns as they are read back. Every method looks only at rows within `reach`; a row
 * outside it does not exist.
 */
export interface SessionStore {
  /**
   * Inserts a session. Atomic: with a scope, the owner's active session of the same agent and scope is archived in the
   * same transaction, so there is one active session per scope whatever races.
   */
  create(owner: Owner, session: NewSession): Promise<Session>

  /** Inserts a session under an id that its caller chose. Atomic: null when there is one of that id, whoever has it. */
  createNamed(owner: Owner, session: NewSession & { readonly scope: null }): Promise<Session | null>

  /**
   * The owner's active session of `session.agent` and `session.scope`, inserted if there is none. Atomic: callers that
   * race get the same row.
   */
  open(owner: Owner, session: NewSession & { readonly scope: string }): Promise<Session>

  get(reach: Reach, id: string): Promise<Session | null>

  /** Newest first; ties by id. One query. */
  list(reach: Reach, window: Window, filter?: SessionFilter): Promise<Session[]>

  /** Null when there is no such session. Atomic: entries of the metadata that callers set at the same time all stay. */
  update(reach: Reach, id: string, patch: SessionPatch, at: number): Promise<Session | null>

  /** Oldest first, those with a sequence above `after`. Empty for an unknown session. */
  messages(reach: Reach, session: string, range: { readonly after: number; readonly limit: number }): Promise<Message[]>

  /** As `messages`, each with its turn. One query. */
  messagesWithTurns(
    reach: Reach,
    session: string,
    range: { readonly after: number; readonly limit: number },
  ): Promise<SpokenMessage[]>

  /** Appends one message with the next sequence and moves `updatedAt`. Atomic; null when there is no such session. */
  append(reach: Reach, session: string, message: NewMessage): Promise<Message | null>

  /** Sessions without a title, oldest first, each with its first user message or null. One query. */
  untitled(reach: Reach, limit: number): Promise<{ id: string; firstMessage: Message | null }[]>

  /** Sets titles where there is still none. Returns how many were set. One transaction. */
  setTitles(reach: Reach, titles: readonly { readonly id: string; readonly title: string }[]): Promise<number>

  turn(reach: Reach, id: string): Promise<Turn | null>

  /** In the order of acceptance. Empty for an unknown session. */
  turns(reach: Reach, session: string, window: Window): Promise<Turn[]>

  /** Newest created first; ties by id. One query, which reads no more of a message than its beginning. */
  selections(reach: Reach, window: Window): Promise<TurnSelection[]>

  /** A turn's stored events as JSON lines, merged at commit points. Null when there is no such turn. */
  turnLog(reach: Reach, id: string): Promise<string | null>

  /** By step, then in the order of the model's calls. Empty for an unknown turn. */
  toolCalls(reach: Reach, turn: string): Promise<ToolCall[]>
}
