import type {
  ApprovalStatus,
  BreakerRecord,
  NewMessage,
  SessionStatus,
  ToolCall,
  TurnStatus,
} from '@keelson/core/stores'
import type { BudgetWindowTable, CostRollupTable, LedgerTable, ReservationTable } from './schema-costs.ts'

/** Times are milliseconds, booleans 0 and 1; columns that say so hold JSON text. */
export interface SessionTable {
  id: string
  tenant: string
  subject: string
  agent: string
  scope: string | null
  status: SessionStatus
  title: string | null
  model: string | null
  /** JSON. */
  metadata: string | null
  last_sequence: number
  turn_count: number
  message_count: number
  queued_turns: number
  /** The turn that holds the session, running or waiting. */
  running_turn: string | null
  /** Who runs it; null while it waits. */
  instance: string | null
  /** Goes up with every lease. */
  epoch: number
  created_at: number
  updated_at: number
}

export interface MessageTable {
  session: string
  sequence: number
  id: string
  turn: string | null
  role: NewMessage['role']
  /** JSON. */
  parts: string
  /** JSON. */
  usage: string | null
  created_at: number
}

export interface TurnTable {
  id: string
  session: string
  sequence: number
  tenant: string
  subject: string
  agent: string
  generation: number
  status: TurnStatus
  /** JSON. */
  options: string
  /** JSON. */
  selection: string | null
  /** JSON. */
  context: string | null
  model: string | null
  steps: number
  /** JSON. */
  usage: string
  /** Pico-dollars. */
  cost: number | null
  /** JSON. */
  error: string | null
  cancel_requested: number
  user_message: string
  /** JSON. */
  input: string
  input_hash: string
  idempotency_key: string | null
  idempotency_hash: string | null
  tool_call_count: number
  created_at: number
  started_at: number | null
  ended_at: number | null
  /** JSON lines. Last, since it is long and seldom read. */
  log: string
}

export interface ToolCallTable {
  id: string
  turn: string
  session: string
  step: number
  /** 0, 1, 2 ... within the turn. */
  position: number
  call: string
  tool: string
  arguments: string
  status: ToolCall['status']
  /** JSON. */
  policy: string
  /** JSON. */
  output: string
  started_at: number
  ended_at: number | null
  /** Of the tool's name and schema; null for a call that was stored before there was one, or of no known tool. */
  tool_hash: string | null
}

export interface ApprovalTable {
  id: string
  tenant: string
  subject: string
  session: string
  turn: string
  tool_call: string
  tool: string
  arguments: string
  arguments_hash: string
  reason: string | null
  requested_authority: string
  generation: number
  status: ApprovalStatus
  /** 1 while an approval leads to a turn of its own and none is known to have carried the call out. */
  follow_up: number
  decided_by: string | null
  decided_at: number | null
  created_at: number
  /** Goes up with everything that the turn asks. */
  position: number
  expires_at: number
  tool_hash: string | null
}

export interface ConfigHeadTable {
  tenant: string
  active: number
  latest: number
  revision: number
}

export interface ConfigGenerationTable {
  tenant: string
  number: number
  parent: number
  author: string
  description: string
  made_by: string
  content_hash: string
  code_hash: string
  pinned: number
  /** When the pointer last left it. */
  left_at: number | null
  created_at: number
}

export interface ConfigContentTable {
  tenant: string
  hash: string
  format: number
  /** JSON. */
  content: string
}

export interface ConfigCodeTable {
  tenant: string
  hash: string
  /** JSON. */
  definitions: string
  created_at: number
}

/** One row: who holds it writes, and its number orders what was written. */
export interface ConfigStateTable {
  id: number
  revision: number
}

export interface BreakerTable {
  provider: string
  version: number
  state: BreakerRecord['state']
  cause: BreakerRecord['cause']
  /** JSON. */
  failures: string
  last_failure: string | null
  cooldown_ms: number
  opened_at: number | null
  retry_at: number | null
  /** JSON. */
  probe: string | null
  changed_at: number
}

/** Who has notes, so that a full-text index knows whose a document is by its number alone. */
export interface NoteOwnerTable {
  serial: number
  tenant: string
  subject: string
  /** How many notes have been numbered. */
  last_note: number
}

export interface NoteTable {
  /** The serial of its owner times `notesPerOwner`, and its own. Also that of its row in the full-text index. */
  number: number
  id: string
  tenant: string
  subject: string
  path: string
  /** The path without its number, and the number: 1 for a path without one. */
  base_path: string
  path_number: number
  title: string
  type: string
  status: string
  /** JSON. */
  tags: string
  priority: number
  due: string | null
  parent_path: string | null
  reminder: number
  created_at: number
  /** 0 until it is edited: null would sort first in one engine and last in the other. */
  updated_at: number
  /** Title, path and tags, folded. */
  search_text: string
  /** Last, since it may be long. */
  content: string
}

/** The full-text index of the notes. */
export interface NoteWordsTable {
  rowid: number
  terms: string
}

export interface InstanceTable {
  id: string
  heartbeat: number
}

export interface VaultEntryTable {
  tenant: string
  name: string
  key_id: string
  envelope: string
  created_at: number
  updated_at: number
}

export interface ConnectorHealthTable {
  tenant: string
  name: string
  registered_at: number | null
  last_success_at: number | null
  last_error: string | null
  last_error_at: number | null
}

/** One row, so that a warm start reads one row. */
export interface SchemaVersionTable {
  id: number
  /** JSON: number of the newest migration of each capability. */
  versions: string
}

export interface Database {
  sessions: SessionTable
  messages: MessageTable
  turns: TurnTable
  tool_calls: ToolCallTable
  approvals: ApprovalTable
  breakers: BreakerTable
  connector_health: ConnectorHealthTable
  note_owners: NoteOwnerTable
  notes: NoteTable
  note_words: NoteWordsTable
  instances: InstanceTable
  config_heads: ConfigHeadTable
  config_generations: ConfigGenerationTable
  config_contents: ConfigContentTable
  config_codes: ConfigCodeTable
  config_state: ConfigStateTable
  ledger: LedgerTable
  cost_rollups: CostRollupTable
  budget_windows: BudgetWindowTable
  reservations: ReservationTable
  schema_version: SchemaVersionTable
  vault_entries: VaultEntryTable
}
