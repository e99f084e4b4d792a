import type {
  Charges,
  Committed,
  Lease,
  NewMessage,
  Reservation,
  Reserved,
  TurnCommit,
  TurnStatus,
} from '@keelson/core/stores'
import { isSettled, isSpoken, loopErrors } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import { approvalColumns, messageRow, toolCallColumns } from './columns.ts'
import { type LedgerWork, NoRoom } from './costs-ledger.ts'
import { type Features, run, type Statement, type Work } from './engine.ts'
import type { Questions } from './loop-cancel.ts'
import { insertAll, type Queue } from './loop-queue.ts'
import { newApprovalRows, newToolCallRows, progressValues } from './loop-rows.ts'
import type { ApprovalTable, Database, ToolCallTable } from './schema.ts'
import { type Parameters, rowsStatement, statement } from './statement.ts'

/** A lease, and how far a commit moves its session. */
interface FencedValues {
  session: string
  turn: string
  instance: string
  epoch: number
  messages: number
  spoken: number
  at: number
}

/** Almost always one message or two. */
function spokenOf(messages: readonly NewMessage[]): number {
  let count = 0
  for (const message of messages) if (isSpoken(message)) count += 1
  return count
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

export interface CommitWork {
  commit(lease: Lease, change: TurnCommit): Work<Committed>
  /** Throws `NoRoom`. */
  reserve(lease: Lease, reservation: Reservation, charges: Charges): Work<Reserved>
  /** Finds no row when the lease is void. */
  readonly flush: Statement<Lease & { readonly log: string }, { id: string }>
}

/** The commit points after the first, all behind the fence of the lease. */
export function createCommit(
  db: Kysely<Database>,
  { rowLocks }: Features,
  queue: Queue,
  questions: Questions,
  ledger: LedgerWork,
): CommitWork {
  /** The fence: only the newest lease of the session's running turn finds the row. */
  const fenced = (parameter: Parameters<FencedValues>) =>
    db
      .updateTable('sessions')
      .set((row) => ({
        last_sequence: row('last_sequence', '+', parameter('messages')),
        message_count: row('message_count', '+', parameter('spoken')),
        updated_at: parameter('at'),
      }))
      .where('id', '=', parameter('session'))
      .where('epoch', '=', parameter('epoch'))
      .where('running_turn', '=', parameter('turn'))
      .where('instance', '=', parameter('instance'))
      .returning(['last_sequence', 'queued_turns'])

  const statements = {
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

    insertToolCalls: rowsStatement<ToolCallTable>(toolCallColumns, (rows) => db.insertInto('tool_calls').values(rows)),

    insertApprovals: rowsStatement<ApprovalTable>([...approvalColumns, 'follow_up', 'position'], (rows) =>
      db.insertInto('approvals').values(rows),
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

    /** The lease, which nobody takes over before the transaction ends. */
    leased: statement((parameter: Parameters<{ session: string; turn: string; instance: string; epoch: number }>) => {
      const query = db
        .selectFrom('sessions')
        .select('id')
        .where('id', '=', parameter('session'))
        .where('epoch', '=', parameter('epoch'))
        .where('running_turn', '=', parameter('turn'))
        .where('instance', '=', parameter('instance'))
      return rowLocks ? query.forNoKeyUpdate() : query
    }),

    flush: statement(
      (parameter: Parameters<{ session: string; turn: string; instance: string; epoch: number; log: string }>) =>
        db
          .updateTable('turns')
          .set((row) => ({ log: sql<string>`${row.ref('log')} || ${parameter('log')}` }))
          .where('id', '=', parameter('turn'))
          .where('status', '=', sql.lit('running'))
          .where((row) => {
            const lease = row
              .selectFrom('sessions')
              .select('sessions.id')
              .where('sessions.id', '=', parameter('session'))
              .where('sessions.epoch', '=', parameter('epoch'))
              .where('sessions.running_turn', '=', parameter('turn'))
              .where('sessions.instance', '=', parameter('instance'))
            // Nobody takes the turn over between the look at the fence and the write.
            return row.exists(rowLocks ? lease.forShare() : lease)
          })
          .returning('id'),
    ),
  }

  function* commit(lease: Lease, change: TurnCommit): Work<Committed> {
    const { status, messages = [], toolCalls = [], toolCallEnds = [], approvals = [] } = change
    const settles = status !== undefined && isSettled(status)
    const fence = settles ? statements.settle : status === 'waiting' ? statements.suspend : statements.keep
    const [session] = yield* run(fence, {
      ...lease,
      messages: messages.length,
      spoken: spokenOf(messages),
      at: change.at,
    })
    if (session === undefined) throw loopErrors.LEASE_LOST()
    const [turn] = yield* run(statements.progress, progressValues(lease, change))
    if (turn === undefined) throw loopErrors.LEASE_LOST()

    const first = session.last_sequence - messages.length + 1
    yield* queue.insertMessages(messages.map((message, index) => messageRow(lease.session, first + index, message)))
    const position = turn.tool_call_count - toolCalls.length
    yield* insertAll(statements.insertToolCalls, newToolCallRows(lease, toolCalls, position))
    for (const end of toolCallEnds) {
      const output = JSON.stringify(end.output)
      const values = { id: end.id, session: lease.session, status: end.status, output, endedAt: end.endedAt }
      const [ended] = yield* run(statements.endToolCall, values)
      if (ended === undefined) throw new Error('the tool call is not of this session')
      if (ended.turn !== lease.turn) yield* run(statements.followedUp, { toolCall: end.id })
    }
    yield* insertAll(statements.insertApprovals, newApprovalRows(lease, approvals, turn, position))

    const gaveUp = status === 'failed' || status === 'cancelled'
    if (gaveUp && turn.tool_call_count > 0) yield* questions.close(lease.turn, change.at)
    const next =
      settles && session.queued_turns > 0 ? yield* queue.startNext(lease.session, lease.instance, change.at) : null
    const committed = { lastSequence: session.last_sequence, next, cancelRequested: turn.cancel_requested === 1 }
    const { ledger: entries = none, settlements = none, reservation } = change
    const crossings = entries.length > 0 || settlements.length > 0 ? yield* ledger.charge(entries, settlements) : none
    if (settlements.length === 0 && reservation === undefined) return committed
    const wanted = reservation !== undefined && !committed.cancelRequested
    const reserved = wanted && (yield* ledger.tryReserve(reservation, lease.turn, lease.instance, change.at))
    return { ...committed, money: { reserved, crossings } }
  }

  function* reserve(lease: Lease, reservation: Reservation, charges: Charges): Work<Reserved> {
    const [leased] = yield* run(statements.leased, lease)
    if (leased === undefined) throw loopErrors.LEASE_LOST()
    const crossings = yield* ledger.charge(charges.ledger, charges.settlements)
    const paid = charges.ledger.reduce((sum, { cost }) => sum + (cost ?? 0), 0)
    if (paid > 0) yield* ledger.payTurn(lease.turn, paid)
    const refused = yield* ledger.reserve(reservation, lease.turn, lease.instance, charges.at)
    if (refused !== null) throw new NoRoom(refused)
    return { refused: null, crossings }
  }

  return { commit, reserve, flush: statements.flush }
}

const none: readonly never[] = []
