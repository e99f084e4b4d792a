import type { TurnStatus } from '@keelson/core/stores'
import { type ExpressionBuilder, type Kysely, sql } from 'kysely'
import {
  approvalColumns,
  messageColumns,
  type ReachKind,
  type ReachValues,
  statuses,
  toolCallColumns,
  turnColumns,
  within,
} from './columns.ts'
import type { Features } from './engine.ts'
import type { ApprovalTable, Database, MessageTable, ToolCallTable, TurnTable } from './schema.ts'
import { columnsOf, type Parameters, remembered, rowsStatement, statement } from './statement.ts'

interface HoldValues {
  session: string
  tenant: string
  subject: string
  turn: string
  instance: string
  maxQueued: number
  at: number
}

/** A lease, and how far a commit moves its session. */
interface FencedValues {
  session: string
  turn: string
  instance: string
  epoch: number
  messages: number
  at: number
}

/** Null leaves a column as it is, except for those with a flag. */
interface ProgressValues {
  turn: string
  status: TurnStatus
  log: string
  selection: string | null
  context: string | null
  model: string | null
  steps: number | null
  usage: string | null
  setsCost: number
  cost: number | null
  setsError: number
  error: string | null
  endedAt: number | null
  toolCalls: number
}

const insertedTurnColumns = [
  ...turnColumns,
  'input_hash',
  'idempotency_key',
  'idempotency_hash',
  'tool_call_count',
  'log',
] as const

const isFree = (row: ExpressionBuilder<Database, 'sessions'>) =>
  row.and([row('running_turn', 'is', null), row('queued_turns', '=', sql.lit(0))])

/** The statements of the loop's commit points. */
export function loopStatements(db: Kysely<Database>, { rowLocks }: Features) {
  /** The fence: only the newest lease of the session's running turn finds the row. */
  const fenced = (parameter: Parameters<FencedValues>) =>
    db
      .updateTable('sessions')
      .set((row) => ({
        last_sequence: row('last_sequence', '+', parameter('messages')),
        updated_at: parameter('at'),
      }))
      .where('id', '=', parameter('session'))
      .where('epoch', '=', parameter('epoch'))
      .where('running_turn', '=', parameter('turn'))
      .where('instance', '=', parameter('instance'))
      .returning(['last_sequence', 'queued_turns'])

  return {
    turnOfKey: statement((parameter: Parameters<{ tenant: string; subject: string; key: string }>) =>
      db
        .selectFrom('turns')
        .select([...turnColumns, 'idempotency_hash'])
        .where('tenant', '=', parameter('tenant'))
        .where('subject', '=', parameter('subject'))
        .where('idempotency_key', '=', parameter('key')),
    ),

    duplicate: statement((parameter: Parameters<{ tenant: string; subject: string; hash: string; since: number }>) =>
      db
        .selectFrom('turns')
        .select('id')
        .where('tenant', '=', parameter('tenant'))
        .where('subject', '=', parameter('subject'))
        .where('input_hash', '=', parameter('hash'))
        .where('status', 'in', statuses('queued', 'running'))
        .where('created_at', '>=', parameter('since'))
        .limit(sql.lit(1)),
    ),

    /** Takes the session when it is free, else a place in its queue. Decides every race for a session. */
    hold: statement((parameter: Parameters<HoldValues>) =>
      db
        .updateTable('sessions')
        .set((row) => {
          const whenFree = (column: 'epoch' | 'last_sequence') =>
            row
              .case()
              .when(isFree(row))
              .then(row(column, '+', sql.lit(1)))
              .else(row.ref(column))
              .end()
          return {
            epoch: whenFree('epoch'),
            last_sequence: whenFree('last_sequence'),
            queued_turns: row
              .case()
              .when(isFree(row))
              .then(row.ref('queued_turns'))
              .else(row('queued_turns', '+', sql.lit(1)))
              .end(),
            running_turn: row.case().when(isFree(row)).then(parameter('turn')).else(row.ref('running_turn')).end(),
            instance: row.case().when(isFree(row)).then(parameter('instance')).else(row.ref('instance')).end(),
            turn_count: row('turn_count', '+', sql.lit(1)),
            updated_at: parameter('at'),
          }
        })
        .where('id', '=', parameter('session'))
        .where('tenant', '=', parameter('tenant'))
        .where('subject', '=', parameter('subject'))
        .where('status', '=', sql.lit('active'))
        .where((row) => row.or([isFree(row), row('queued_turns', '<', parameter('maxQueued'))]))
        .returning(['running_turn', 'epoch', 'last_sequence', 'turn_count']),
    ),

    whyNotHeld: statement((parameter: Parameters<{ session: string; tenant: string; subject: string }>) =>
      db
        .selectFrom('sessions')
        .select('status')
        .where('id', '=', parameter('session'))
        .where('tenant', '=', parameter('tenant'))
        .where('subject', '=', parameter('subject')),
    ),

    insertTurn: statement((parameter: Parameters<TurnTable>) =>
      db.insertInto('turns').values(columnsOf(parameter, insertedTurnColumns)),
    ),

    insertMessages: rowsStatement<MessageTable>(messageColumns, (rows) => db.insertInto('messages').values(rows)),
    insertToolCalls: rowsStatement<ToolCallTable>(toolCallColumns, (rows) => db.insertInto('tool_calls').values(rows)),
    insertApprovals: rowsStatement<ApprovalTable>([...approvalColumns, 'follow_up'], (rows) =>
      db.insertInto('approvals').values(rows),
    ),

    keep: statement((parameter: Parameters<FencedValues>) => fenced(parameter)),
    suspend: statement((parameter: Parameters<FencedValues>) => fenced(parameter).set({ instance: sql.lit(null) })),
    settle: statement((parameter: Parameters<FencedValues>) =>
      fenced(parameter).set({ instance: sql.lit(null), running_turn: sql.lit(null) }),
    ),

    progress: statement((parameter: Parameters<ProgressValues>) =>
      db
        .updateTable('turns')
        .set((row) => ({
          status: parameter('status'),
          selection: row.fn.coalesce(parameter('selection'), 'selection'),
          context: row.fn.coalesce(parameter('context'), 'context'),
          model: row.fn.coalesce(parameter('model'), 'model'),
          steps: row.fn.coalesce(parameter('steps'), 'steps'),
          usage: row.fn.coalesce(parameter('usage'), 'usage'),
          cost: row
            .case()
            .when(parameter('setsCost'), '=', sql.lit(1))
            .then(parameter('cost'))
            .else(row.ref('cost'))
            .end(),
          error: row
            .case()
            .when(parameter('setsError'), '=', sql.lit(1))
            .then(parameter('error'))
            .else(row.ref('error'))
            .end(),
          ended_at: row.fn.coalesce(parameter('endedAt'), 'ended_at'),
          tool_call_count: row('tool_call_count', '+', parameter('toolCalls')),
          log: sql<string>`${row.ref('log')} || ${parameter('log')}`,
        }))
        .where('id', '=', parameter('turn'))
        .where('status', '=', sql.lit('running'))
        .returning(['tenant', 'subject', 'generation', 'options', 'tool_call_count', 'cancel_requested']),
    ),

    /** A turn that carries out an approved call also ends the call it was asked for, which is of an earlier turn. */
    endToolCall: statement(
      (
        parameter: Parameters<{
          id: string
          session: string
          status: ToolCallTable['status']
          output: string
          endedAt: number | null
        }>,
      ) =>
        db
          .updateTable('tool_calls')
          .set({ status: parameter('status'), output: parameter('output'), ended_at: parameter('endedAt') })
          .where('id', '=', parameter('id'))
          .where('session', '=', parameter('session'))
          .returning('turn'),
    ),

    followedUp: statement((parameter: Parameters<{ toolCall: string }>) =>
      db
        .updateTable('approvals')
        .set({ follow_up: sql.lit(0) })
        .where('tool_call', '=', parameter('toolCall')),
    ),

    cancelApprovals: statement((parameter: Parameters<{ turn: string; at: number }>) =>
      db
        .updateTable('approvals')
        .set({ status: 'cancelled', decided_at: parameter('at') })
        .where('turn', '=', parameter('turn'))
        .where('status', '=', sql.lit('pending')),
    ),

    /** All but those that were approved and are carried out by a turn of their own. */
    denyWaitingCalls: statement((parameter: Parameters<{ turn: string; at: number }>) =>
      db
        .updateTable('tool_calls')
        .set({ status: 'denied', ended_at: parameter('at') })
        .where('turn', '=', parameter('turn'))
        .where('status', '=', sql.lit('waiting'))
        .where((row) =>
          row.not(
            row.exists(
              row
                .selectFrom('approvals')
                .select('approvals.id')
                .whereRef('approvals.tool_call', '=', 'tool_calls.id')
                .where('approvals.status', '=', sql.lit('approved'))
                .where('approvals.follow_up', '=', sql.lit(1)),
            ),
          ),
        ),
    ),

    flush: statement(
      (parameter: Parameters<{ session: string; turn: string; instance: string; epoch: number; log: string }>) =>
        db
          .updateTable('turns')
          .set((row) => ({ log: sql<string>`${row.ref('log')} || ${parameter('log')}` }))
          .where('id', '=', parameter('turn'))
          .where('status', '=', sql.lit('running'))
          .where((row) =>
            row.exists(
              row
                .selectFrom('sessions')
                .select('sessions.id')
                .where('sessions.id', '=', parameter('session'))
                .where('sessions.epoch', '=', parameter('epoch'))
                .where('sessions.running_turn', '=', parameter('turn'))
                .where('sessions.instance', '=', parameter('instance')),
            ),
          )
          .returning('id'),
    ),

    firstQueued: statement((parameter: Parameters<{ session: string }>) =>
      db
        .selectFrom('turns')
        .select(turnColumns)
        .where('session', '=', parameter('session'))
        .where('status', '=', sql.lit('queued'))
        .orderBy('sequence')
        .limit(sql.lit(1)),
    ),

    /** Gives a free session to its first queued turn. */
    startSession: statement((parameter: Parameters<{ session: string; turn: string; instance: string; at: number }>) =>
      db
        .updateTable('sessions')
        .set((row) => ({
          running_turn: parameter('turn'),
          instance: parameter('instance'),
          epoch: row('epoch', '+', sql.lit(1)),
          last_sequence: row('last_sequence', '+', sql.lit(1)),
          queued_turns: row('queued_turns', '-', sql.lit(1)),
          updated_at: parameter('at'),
        }))
        .where('id', '=', parameter('session'))
        .where('running_turn', 'is', null)
        .returning(['epoch', 'last_sequence']),
    ),

    startTurn: statement((parameter: Parameters<{ turn: string; at: number }>) =>
      db
        .updateTable('turns')
        .set({ status: 'running', started_at: parameter('at') })
        .where('id', '=', parameter('turn'))
        .where('status', '=', sql.lit('queued'))
        .returning(turnColumns),
    ),

    turnToCancel: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { turn: string }>) => {
        const query = db
          .selectFrom('turns')
          .innerJoin('sessions', 'sessions.id', 'turns.session')
          .select(['turns.session', 'turns.status'])
          .where('turns.id', '=', parameter('turn'))
          .where(within('turns', kind, parameter))
        return rowLocks ? query.forUpdate() : query
      }),
    ),

    markCancelled: statement((parameter: Parameters<{ turn: string }>) =>
      db
        .updateTable('turns')
        .set({ cancel_requested: sql.lit(1) })
        .where('id', '=', parameter('turn'))
        .where('status', '=', sql.lit('running'))
        .returning(turnColumns),
    ),

    cancelTurn: statement((parameter: Parameters<{ turn: string; at: number }>) =>
      db
        .updateTable('turns')
        .set({ status: 'cancelled', cancel_requested: sql.lit(1), ended_at: parameter('at') })
        .where('id', '=', parameter('turn'))
        .where('status', 'in', statuses('queued', 'waiting'))
        .returning(turnColumns),
    ),

    leaveQueue: statement((parameter: Parameters<{ session: string; at: number }>) =>
      db
        .updateTable('sessions')
        .set((row) => ({ queued_turns: row('queued_turns', '-', sql.lit(1)), updated_at: parameter('at') }))
        .where('id', '=', parameter('session')),
    ),

    freeSession: statement((parameter: Parameters<{ session: string; turn: string; at: number }>) =>
      db
        .updateTable('sessions')
        .set({ running_turn: sql.lit(null), updated_at: parameter('at') })
        .where('id', '=', parameter('session'))
        .where('running_turn', '=', parameter('turn'))
        .returning('queued_turns'),
    ),

    /** Leases the session of a turn that waits, of an interrupted one while it is free, or anew of one that is held here. */
    resumeSession: statement((parameter: Parameters<{ turn: string; instance: string; at: number }>) =>
      db
        .updateTable('sessions')
        .set((row) => ({
          running_turn: parameter('turn'),
          instance: parameter('instance'),
          epoch: row('epoch', '+', sql.lit(1)),
          updated_at: parameter('at'),
        }))
        .where('id', '=', (row) =>
          row
            .selectFrom('turns')
            .select('turns.session')
            .where('turns.id', '=', parameter('turn'))
            .where('turns.status', 'in', statuses('waiting', 'interrupted', 'running')),
        )
        .where((row) =>
          row.or([
            row.and([row('running_turn', 'is', null), row('instance', 'is', null)]),
            row.and([
              row('running_turn', '=', parameter('turn')),
              row.or([row('instance', 'is', null), row('instance', '=', parameter('instance'))]),
            ]),
          ]),
        )
        .returning(['id', 'epoch', 'last_sequence']),
    ),

    resumeTurn: statement((parameter: Parameters<{ turn: string }>) =>
      db
        .updateTable('turns')
        .set({ status: 'running', ended_at: sql.lit(null), error: sql.lit(null) })
        .where('id', '=', parameter('turn'))
        .where('status', 'in', statuses('waiting', 'interrupted', 'running'))
        .returning([...turnColumns, 'log']),
    ),

    abandoned: statement((parameter: Parameters<{ instance: string; staleBefore: number; limit: number }>) => {
      const query = db
        .selectFrom('sessions')
        .select(['id', 'running_turn'])
        .where('instance', 'is not', null)
        .where('instance', '<>', parameter('instance'))
        .where((row) =>
          row.not(
            row.exists(
              row
                .selectFrom('instances')
                .select('instances.id')
                .whereRef('instances.id', '=', 'sessions.instance')
                .where('instances.heartbeat', '>=', parameter('staleBefore')),
            ),
          ),
        )
        .limit(parameter('limit'))
      return rowLocks ? query.forUpdate().skipLocked() : query
    }),

    takeSession: statement((parameter: Parameters<{ session: string; instance: string }>) =>
      db
        .updateTable('sessions')
        .set((row) => ({ epoch: row('epoch', '+', sql.lit(1)), instance: parameter('instance') }))
        .where('id', '=', parameter('session'))
        .returning(['epoch', 'last_sequence']),
    ),

    takenTurn: statement((parameter: Parameters<{ turn: string }>) =>
      db
        .selectFrom('turns')
        .select([...turnColumns, 'log'])
        .where('id', '=', parameter('turn')),
    ),

    stalled: statement((parameter: Parameters<{ limit: number }>) => {
      const query = db
        .selectFrom('sessions')
        .select('id')
        .where('running_turn', 'is', null)
        .where('queued_turns', '>', sql.lit(0))
        .limit(parameter('limit'))
      return rowLocks ? query.forUpdate().skipLocked() : query
    }),

    toolCalls: statement((parameter: Parameters<{ turn: string }>) =>
      db
        .selectFrom('tool_calls')
        .select(toolCallColumns)
        .where('turn', '=', parameter('turn'))
        .orderBy('step')
        .orderBy('position'),
    ),

    heartbeat: statement((parameter: Parameters<{ instance: string; at: number }>) =>
      db
        .insertInto('instances')
        .values({ id: parameter('instance'), heartbeat: parameter('at') })
        .onConflict((conflict) =>
          conflict.column('id').doUpdateSet((row) => ({ heartbeat: row.ref('excluded.heartbeat') })),
        ),
    ),

    retire: statement((parameter: Parameters<{ instance: string }>) =>
      db.deleteFrom('instances').where('id', '=', parameter('instance')),
    ),
  }
}
