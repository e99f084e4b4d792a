import { operation } from '../../contract/operation.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { Page } from '../../kernel/pages.ts'
import type { Message, Part, Role, Session } from './session.ts'
import type { SessionFilter, SessionPatch } from './store.ts'
import type { SpokenPage, ToolCall, Turn } from './turn.ts'

export const sessionErrors = defineErrors({
  SESSION_NOT_FOUND: { kind: 'not_found', message: 'no such session' },
  TURN_NOT_FOUND: { kind: 'not_found', message: 'no such turn' },
  SESSION_EXISTS: { kind: 'conflict', message: 'somebody else has a session of this id' },
  SESSION_CLOSED: { kind: 'conflict', message: 'the session is archived or expired and takes no more messages' },
  SESSION_INVALID: { kind: 'bad_request', message: 'the session cannot be stored like this' },
})

export interface CreateSession {
  /** A name of the caller's, without a scope: the session that has it already is given back when it is within reach. */
  readonly id?: string
  readonly agent: string
  /** With a scope the owner's active session of that scope is archived first. */
  readonly scope?: string | null
  readonly title?: string | null
  readonly metadata?: JsonObject | null
}

export interface ListSessions extends Page, SessionFilter {}

const read = { auth: 'caller', effect: 'read', errors: [] } as const
const write = { auth: 'caller', effect: 'write', errors: ['SESSION_NOT_FOUND'] } as const

export const sessionOperations = {
  /** Begins a session without a message. `run` without a session does the same by itself. */
  create: operation<CreateSession, Session>({ ...write, errors: ['SESSION_INVALID', 'SESSION_EXISTS'] }),
  /** The active session of an agent and scope, made if there is none. */
  open: operation<{ agent: string; scope: string }, Session>({ ...write, errors: ['SESSION_INVALID'] }),
  /** One session within reach. */
  get: operation<{ id: string }, Session>({ ...read, errors: ['SESSION_NOT_FOUND'] }),
  /** Sessions within reach, newest first. */
  list: operation<ListSessions | undefined, Session[]>(read),
  /** Fields left out stay as they are. */
  update: operation<{ id: string } & SessionPatch, Session>({
    ...write,
    errors: ['SESSION_NOT_FOUND', 'SESSION_INVALID'],
  }),
  /** Oldest first, after a sequence; at most `limit`, 50 by default. Empty for an unknown session. */
  messages: operation<{ session: string; after?: number; limit?: number }, Message[]>(read),
  /**
   * What was said, without what the agent did for it and what it was told meanwhile. `limit` counts those too: a piece may
   * be short, or empty, before the last. 50 by default. Empty for an unknown session.
   */
  spoken: operation<{ session: string; after?: number; limit?: number }, SpokenPage>(read),
  /** Stores a message without asking a model. */
  append: operation<{ session: string; role: Role; parts: readonly Part[] }, Message>(write),
  /** Sets the title unless there is one. False when there was, or when there is no such session. */
  nameUntitled: operation<{ id: string; title: string }, boolean>({ ...write, errors: ['SESSION_INVALID'] }),
  /** Gives every session without a title the one that `titleOf` makes of its first user message. Returns how many. */
  backfillTitles: operation<{ titleOf: (firstMessage: string | null) => string | Promise<string> }, number>({
    ...write,
    errors: [],
  }),
  /** One turn within reach, as it is stored now. */
  turn: operation<{ id: string }, Turn>({ ...read, errors: ['TURN_NOT_FOUND'] }),
  /** The turns of a session. Empty for an unknown one. */
  turns: operation<{ session: string } & Page, Turn[]>(read),
  /** By step, in the order of the model's calls. Empty for an unknown turn. */
  toolCalls: operation<{ turn: string }, ToolCall[]>(read),
}
