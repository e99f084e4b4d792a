import type {
  AcceptTurn,
  Lease,
  LostCall,
  NewApproval,
  NewToolCall,
  Owner,
  Turn,
  TurnCommit,
  TurnEvent,
  TurnOptions,
} from '@keelson/core/stores'
import { isSettled } from '@keelson/core/stores'
import { jsonText, noUsage } from './columns.ts'
import type { ApprovalTable, ToolCallTable, TurnTable } from './schema.ts'

/** The row of a turn that was just accepted. */
export function newTurnRow(
  owner: Owner,
  { turn, inputHash, idempotency }: AcceptTurn,
  sequence: number,
  started: boolean,
): TurnTable {
  return {
    id: turn.id,
    session: turn.session,
    sequence,
    tenant: owner.tenant,
    subject: owner.subject,
    agent: turn.agent,
    generation: turn.generation,
    status: started ? 'running' : 'queued',
    options: JSON.stringify(turn.options),
    selection: jsonText(turn.selection),
    context: null,
    model: null,
    steps: 0,
    usage: noUsage,
    cost: null,
    error: null,
    cancel_requested: 0,
    user_message: turn.userMessage,
    input: JSON.stringify(turn.input),
    input_hash: inputHash,
    idempotency_key: idempotency?.key ?? null,
    idempotency_hash: idempotency?.hash ?? null,
    tool_call_count: 0,
    created_at: turn.createdAt,
    started_at: started ? turn.createdAt : null,
    ended_at: null,
    log: '',
  }
}

/** The turn of such a row, without reading its JSON back. */
export const acceptedTurn = (owner: Owner, { turn }: AcceptTurn, sequence: number, started: boolean): Turn => ({
  ...turn,
  tenant: owner.tenant,
  subject: owner.subject,
  sequence,
  status: started ? 'running' : 'queued',
  context: null,
  model: null,
  steps: 0,
  usage: { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 },
  cost: null,
  error: null,
  cancelRequested: false,
  startedAt: started ? turn.createdAt : null,
  endedAt: null,
})

/** What a commit changes of its turn, as values of the `progress` statement. */
export function progressValues({ turn }: Lease, change: TurnCommit) {
  const status = change.status ?? 'running'
  return {
    turn,
    status,
    log: change.log ?? '',
    selection: jsonText(change.selection),
    context: jsonText(change.context),
    model: change.model ?? null,
    steps: change.steps ?? null,
    usage: jsonText(change.usage),
    setsCost: change.cost === undefined ? 0 : 1,
    cost: change.cost ?? null,
    setsError: change.error === undefined ? 0 : 1,
    error: jsonText(change.error),
    endedAt: isSettled(status) ? change.at : null,
    toolCalls: change.toolCalls?.length ?? 0,
  }
}

/** `first` is the position of the first of them within the turn. */
export const newToolCallRows = (lease: Lease, calls: readonly NewToolCall[], first: number): ToolCallTable[] =>
  calls.map((call, index) => ({
    id: call.id,
    turn: lease.turn,
    session: lease.session,
    step: call.step,
    position: first + index,
    call: call.call,
    tool: call.tool,
    arguments: call.arguments,
    status: call.status,
    policy: JSON.stringify(call.policy),
    output: JSON.stringify(call.output),
    started_at: call.startedAt,
    ended_at: call.endedAt,
    tool_hash: call.toolHash,
  }))

/** `first` is the position of the first call of the commit: what is asked later in the turn comes after it. */
export const newApprovalRows = (
  lease: Lease,
  approvals: readonly NewApproval[],
  turn: Pick<TurnTable, 'tenant' | 'subject' | 'generation' | 'options'>,
  first: number,
): ApprovalTable[] =>
  approvals.map((approval, index) => ({
    id: approval.id,
    tenant: turn.tenant,
    subject: turn.subject,
    session: lease.session,
    turn: lease.turn,
    tool_call: approval.toolCall,
    tool: approval.tool,
    arguments: approval.arguments,
    arguments_hash: approval.argumentsHash,
    reason: approval.reason,
    requested_authority: approval.requestedAuthority,
    generation: turn.generation,
    status: 'pending',
    follow_up: (JSON.parse(turn.options) as TurnOptions).approvals === 'defer' ? 1 : 0,
    decided_by: null,
    decided_at: null,
    created_at: approval.createdAt,
    position: first + index,
    expires_at: approval.expiresAt,
    tool_hash: approval.toolHash,
  }))

/** Position of the log's last event; 0 for an empty log. A line that is no event is passed over. */
export function lastLogSequence(log: string): number {
  let end = log.length
  while (end > 0) {
    const start = log.lastIndexOf('\n', end - 1) + 1
    const event = eventOf(log.slice(start, end))
    if (event !== undefined) return event.sequence
    end = start - 1
  }
  return 0
}

/** What a log tells of the model call that was being made when it ended. */
export function lostCallOf(log: string): LostCall {
  let saidBytes = 0
  for (const line of log.split('\n').reverse()) {
    const event = eventOf(line)
    if (event === undefined) continue
    if (event.type === 'step.finished') break
    if (event.type === 'step.started' || event.type === 'step.restarted') return { model: event.model, saidBytes }
    if (event.type === 'text.delta' || event.type === 'reasoning.delta') saidBytes += Buffer.byteLength(event.text)
  }
  return { model: null, saidBytes: 0 }
}

/** Undefined for a line that is no event. */
function eventOf(line: string): TurnEvent | undefined {
  try {
    const event: unknown = JSON.parse(line)
    if (typeof event === 'object' && event !== null && 'sequence' in event && typeof event.sequence === 'number') {
      return event as TurnEvent
    }
  } catch {
    // Not an event: the one before it counts.
  }
  return undefined
}
