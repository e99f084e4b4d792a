import type { ApprovalStore } from './capabilities/approvals/index.ts'
import type { BreakerStore } from './capabilities/breakers/index.ts'
import type { ConfigHead, ConfigStore } from './capabilities/config/index.ts'
import type { ConnectorStore } from './capabilities/connectors/index.ts'
import type { CostStore } from './capabilities/costs/index.ts'
import type { LoopStore } from './capabilities/loop/index.ts'
import type { MemoryStore } from './capabilities/memory/index.ts'
import type { SessionStore } from './capabilities/sessions/index.ts'
import type { VaultStore } from './capabilities/vault/index.ts'
import { defineErrors } from './kernel/errors.ts'

export type { Approval, ApprovalDecision, ApprovalStatus, ApprovalStore } from './capabilities/approvals/index.ts'
export { refusedCalls } from './capabilities/approvals/index.ts'
export type { BreakerProbe, BreakerRecord, BreakerStore } from './capabilities/breakers/index.ts'
export type {
  ActivatedGeneration,
  AddedGeneration,
  AddGeneration,
  CodeLayer,
  ConfigHead,
  ConfigStore,
  Generation,
  NewGeneration,
  PutSecrets,
  Retention,
  SecretsPut,
  StoredContent,
} from './capabilities/config/index.ts'
export type { ConnectorHealth, ConnectorNote, ConnectorStore } from './capabilities/connectors/index.ts'
export type {
  BudgetCrossing,
  BudgetRow,
  BudgetWindow,
  ChargeOutcome,
  Charges,
  CostReportRow,
  CostStore,
  EntryFilter,
  Grouping,
  LedgerEntry,
  ReportQuery,
  Reservation,
  Settlement,
} from './capabilities/costs/index.ts'
export type {
  Accepted,
  AcceptTurn,
  Committed,
  Lease,
  LoopStore,
  LostCall,
  NewApproval,
  NewToolCall,
  NewTurn,
  Reserved,
  ResumedTurn,
  StartedTurn,
  ToolCallEnd,
  TurnCommit,
} from './capabilities/loop/index.ts'
export { loopErrors } from './capabilities/loop/index.ts'
export type {
  MemoryStore,
  NewNote,
  Note,
  NoteFilter,
  NotePatch,
  NoteSummary,
  RecalledNote,
  SearchTerm,
  Topic,
} from './capabilities/memory/index.ts'
export type {
  ContextSegment,
  Message,
  NewMessage,
  NewSession,
  Part,
  Selection,
  Session,
  SessionFilter,
  SessionPatch,
  SessionStatus,
  SessionStore,
  SpokenMessage,
  ToolCall,
  Turn,
  TurnError,
  TurnEvent,
  TurnOptions,
  TurnSelection,
  TurnStatus,
  Usage,
} from './capabilities/sessions/index.ts'
export { isSettled, isSpoken, turnTransitions } from './capabilities/sessions/index.ts'
export type {
  Resealed,
  SealedEntry,
  VaultEntry,
  VaultPosition,
  VaultStore,
  VaultWrite,
} from './capabilities/vault/index.ts'
export type { Owner, Reach } from './kernel/context.ts'
export { isKeelsonError, KeelsonError } from './kernel/errors.ts'
export type { Json, JsonObject } from './kernel/json.ts'
export type { Window } from './kernel/pages.ts'
export { foldText, searchWords } from './kernel/search-words.ts'

/**
 * What another instance has written to: a turn, by its id, a breaker, by its provider, a secret, by its name, or where a
 * pointer is now.
 */
export type StoreChange =
  | { readonly turn: string }
  | { readonly breaker: string }
  | { readonly config: ConfigHead }
  | { readonly secret: { readonly tenant: string; readonly name: string } }

/** Hints that other instances have changed something. Some may be missed, so whoever waits also looks now and then. */
export interface StoreChanges {
  /** Tells of everything that another instance has written to, after it was stored. Returns what ends it. */
  subscribe(listener: (change: StoreChange) => void): () => void
}

/** What a database must be able to do: one narrow port per capability. */
export interface Store {
  readonly approvals: ApprovalStore
  readonly config: ConfigStore
  readonly breakers: BreakerStore
  readonly connectors: ConnectorStore
  readonly costs: CostStore
  readonly loop: LoopStore
  readonly memory: MemoryStore
  readonly sessions: SessionStore
  readonly vault: VaultStore
  /** True when `open` guarantees that no other runtime uses the database: what seems to run there was left by a dead one. */
  readonly exclusive: boolean
  /** Absent when only this process changes the database, or when nothing tells what others change. */
  readonly changes?: StoreChanges

  /**
   * Where the key of the vault is kept when the host gives none: the name of a file beside the database, or null when
   * the database is in memory, and the key with it. Absent where the host has to give one.
   */
  vaultKeyFile?(): string | null

  /** Brings the schema up to date. Safe to call by several instances at once; one read when there is nothing to do. */
  migrate(): Promise<void>

  /** Opens the database. An embedded store also makes sure that no other runtime uses the file. Calling it again does nothing. */
  open(): Promise<void>

  /** Gives up all connections. Later calls reject with `STORE_CLOSED`. */
  close(): Promise<void>
}

export const storeErrors = defineErrors({
  STORE_OPTIONS_INVALID: { kind: 'bad_request', message: 'an option of the store is not valid' },
  STORE_VALUE_TOO_LONG: { kind: 'bad_request', message: 'a name or a text is too long for the database; shorten it' },
  STORE_BUSY: { kind: 'unavailable', message: 'the database is locked by other work; try again' },
  STORE_FULL: { kind: 'unavailable', message: 'the database has no space left; free some and try again' },
  STORE_IN_USE: {
    kind: 'unavailable',
    message: 'another runtime uses this database file; stop it or use another file',
  },
  STORE_READ_ONLY: {
    kind: 'unavailable',
    message: 'the database cannot be written; check the permissions of the file and its folder',
  },
  STORE_DAMAGED: {
    kind: 'unavailable',
    message: 'the file is not a database of this kind, or is damaged; name another file or restore a copy',
  },
  STORE_CLOSED: { kind: 'unavailable', message: 'the store is closed' },
  STORE_NOT_MIGRATED: { kind: 'unavailable', message: 'the schema is missing or out of date; call migrate()' },
  STORE_TOO_NEW: { kind: 'unavailable', message: 'the schema was made by a newer version; update the packages' },
})
