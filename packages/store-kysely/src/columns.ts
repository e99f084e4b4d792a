import type {
  Approval,
  ContextSegment,
  Json,
  JsonObject,
  Message,
  NewMessage,
  NewSession,
  Owner,
  Part,
  Reach,
  Selection,
  Session,
  ToolCall,
  Turn,
  TurnError,
  TurnOptions,
  TurnStatus,
  Usage,
  Window,
} from '@keelson/core/stores'
import { type RawBuilder, type SqlBool, sql } from 'kysely'
import type { ApprovalTable, MessageTable, SessionTable, ToolCallTable, TurnTable } from './schema.ts'
import type { Parameters } from './statement.ts'

/** JSON text, or null for what is null or left out. */
export const jsonText = (value: unknown): string | null =>
  value === null || value === undefined ? null : JSON.stringify(value)

export const parsed = <Value>(text: string | null): Value | null => (text === null ? null : (JSON.parse(text) as Value))

export const sessionColumns = [
  'id',
  'tenant',
  'subject',
  'agent',
  'scope',
  'status',
  'title',
  'model',
  'metadata',
  'last_sequence',
  'turn_count',
  'message_count',
  'created_at',
  'updated_at',
] as const

/** Every column of a session, for an insert. */
export const allSessionColumns = [...sessionColumns, 'queued_turns', 'running_turn', 'instance', 'epoch'] as const

export const newSessionRow = (owner: Owner, session: NewSession): SessionTable => ({
  id: session.id,
  tenant: owner.tenant,
  subject: owner.subject,
  agent: session.agent,
  scope: session.scope,
  status: 'active',
  title: session.title,
  model: null,
  metadata: jsonText(session.metadata),
  last_sequence: 0,
  turn_count: 0,
  message_count: 0,
  queued_turns: 0,
  running_turn: null,
  instance: null,
  epoch: 0,
  created_at: session.createdAt,
  updated_at: session.createdAt,
})

export const sessionOf = (row: Pick<SessionTable, (typeof sessionColumns)[number]>): Session => ({
  id: row.id,
  tenant: row.tenant,
  subject: row.subject,
  agent: row.agent,
  scope: row.scope,
  status: row.status,
  title: row.title,
  model: row.model,
  metadata: parsed<JsonObject>(row.metadata),
  lastSequence: row.last_sequence,
  turnCount: row.turn_count,
  messageCount: row.message_count,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

export const messageColumns = ['session', 'sequence', 'id', 'turn', 'role', 'parts', 'usage', 'created_at'] as const

export const messageOf = (row: MessageTable): Message => ({
  id: row.id,
  turn: row.turn,
  role: row.role,
  parts: JSON.parse(row.parts) as Part[],
  usage: parsed<Usage>(row.usage),
  createdAt: row.created_at,
  session: row.session,
  sequence: row.sequence,
})

export const messageRow = (session: string, sequence: number, message: NewMessage): MessageTable => ({
  session,
  sequence,
  id: message.id,
  turn: message.turn,
  role: message.role,
  parts: JSON.stringify(message.parts),
  usage: jsonText(message.usage),
  created_at: message.createdAt,
})

export const noUsage = '{"input":0,"cacheRead":0,"cacheWrite":0,"output":0,"reasoning":0}'

/** All but the hashes, the counters and the log. */
export const turnColumns = [
  'id',
  'session',
  'sequence',
  'tenant',
  'subject',
  'agent',
  'generation',
  'status',
  'options',
  'selection',
  'context',
  'model',
  'steps',
  'usage',
  'cost',
  'error',
  'cancel_requested',
  'user_message',
  'input',
  'created_at',
  'started_at',
  'ended_at',
] as const

export type TurnRow = Pick<TurnTable, (typeof turnColumns)[number]>

export const turnOf = (row: TurnRow): Turn => ({
  id: row.id,
  session: row.session,
  tenant: row.tenant,
  subject: row.subject,
  agent: row.agent,
  sequence: row.sequence,
  status: row.status,
  generation: row.generation,
  options: JSON.parse(row.options) as TurnOptions,
  selection: parsed<Selection>(row.selection),
  context: parsed<ContextSegment[]>(row.context),
  model: row.model,
  steps: row.steps,
  usage: JSON.parse(row.usage) as Usage,
  cost: row.cost,
  error: parsed<TurnError>(row.error),
  cancelRequested: row.cancel_requested === 1,
  userMessage: row.user_message,
  input: JSON.parse(row.input) as Part[],
  createdAt: row.created_at,
  startedAt: row.started_at,
  endedAt: row.ended_at,
})

export const toolCallColumns = [
  'id',
  'turn',
  'session',
  'step',
  'position',
  'call',
  'tool',
  'arguments',
  'status',
  'policy',
  'output',
  'started_at',
  'ended_at',
  'tool_hash',
] as const

export const toolCallOf = (row: ToolCallTable): ToolCall => ({
  id: row.id,
  turn: row.turn,
  session: row.session,
  step: row.step,
  call: row.call,
  tool: row.tool,
  arguments: row.arguments,
  status: row.status,
  policy: JSON.parse(row.policy) as ToolCall['policy'],
  output: JSON.parse(row.output) as Json,
  startedAt: row.started_at,
  endedAt: row.ended_at,
  toolHash: row.tool_hash,
})

export const approvalColumns = [
  'id',
  'tenant',
  'subject',
  'session',
  'turn',
  'tool_call',
  'tool',
  'arguments',
  'arguments_hash',
  'reason',
  'requested_authority',
  'generation',
  'status',
  'decided_by',
  'decided_at',
  'created_at',
  'expires_at',
  'tool_hash',
] as const

export const approvalOf = (row: Pick<ApprovalTable, (typeof approvalColumns)[number]>): Approval => ({
  id: row.id,
  tenant: row.tenant,
  subject: row.subject,
  session: row.session,
  turn: row.turn,
  toolCall: row.tool_call,
  tool: row.tool,
  arguments: row.arguments,
  argumentsHash: row.arguments_hash,
  reason: row.reason,
  requestedAuthority: row.requested_authority,
  generation: row.generation,
  status: row.status,
  decidedBy: row.decided_by,
  decidedAt: row.decided_at,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  toolHash: row.tool_hash,
})

/** Values of a reach; `subject` is not used by the statement for a whole tenant. */
export interface ReachValues {
  readonly tenant: string
  readonly subject: string
}

export const reachValues = (reach: Reach): ReachValues => ({ tenant: reach.tenant, subject: reach.subject ?? '' })

/** Which of the two statements a reach needs: one subject's rows, or the whole tenant's. */
export type ReachKind = 'own' | 'tenant'

export const reachKind = (reach: Reach): ReachKind => (reach.subject === null ? 'tenant' : 'own')

/** The condition that keeps a statement within the reach. Part of the query, so that each kind can use its own index. */
export function within(
  table: 'sessions' | 'turns' | 'approvals' | 'ledger' | 'cost_rollups' | 'budget_windows' | 'notes',
  kind: ReachKind,
  parameter: Parameters<ReachValues>,
): RawBuilder<SqlBool> {
  const tenant = sql<SqlBool>`${sql.ref(`${table}.tenant`)} = ${parameter('tenant')}`
  return kind === 'tenant'
    ? tenant
    : sql<SqlBool>`${tenant} and ${sql.ref(`${table}.subject`)} = ${parameter('subject')}`
}

/** Statuses in the text of a query instead of as values, so that an index of these rows alone can be used. */
export const statuses = (...all: TurnStatus[]): RawBuilder<TurnStatus>[] => all.map((status) => sql.lit(status))

/** A window no database reads as "without limit". */
export const windowValues = ({ limit, offset }: Window): Window => ({
  limit: atLeastZero(limit),
  offset: atLeastZero(offset),
})

export const atLeastZero = (value: number): number => Math.max(0, Math.trunc(value))
