import type { Accepted, AcceptTurn, Owner } from '@keelson/core/stores'
import { type ExpressionBuilder, type Kysely, sql } from 'kysely'
import { allSessionColumns, newSessionRow, statuses, turnColumns, turnOf } from './columns.ts'
import type { LedgerWork } from './costs-ledger.ts'
import { run, type Work } from './engine.ts'
import { type Queue, userMessageRow } from './loop-queue.ts'
import { acceptedTurn, newTurnRow } from './loop-rows.ts'
import type { NameLock } from './name-lock.ts'
import type { Database, SessionTable, TurnTable } from './schema.ts'
import { columnsOf, type Parameters, statement } from './statement.ts'

interface HoldValues {
  session: string
  tenant: string
  subject: string
  turn: string
  instance: string
  maxQueued: number
  anyStatus: 0 | 1
  at: number
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

/** The first commit point: a turn gets its session, or a place in its queue. */
export function createAccept(
  db: Kysely<Database>,
  queue: Queue,
  nameLock: NameLock,
  ledger: LedgerWork,
): (owner: Owner, request: AcceptTurn) => Work<Accepted> {
  const statements = {
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
        // Not as a bare column: by its time an index of all of the owner's turns would be taken instead.
        .where(sql<number>`${sql.ref('created_at')} + 0`, '>=', parameter('since'))
        .limit(sql.lit(1)),
    ),

    insertSession: statement((parameter: Parameters<SessionTable>) =>
      // Of two first messages to a session that callers have named, one makes it.
      db
        .insertInto('sessions')
        .values(columnsOf(parameter, allSessionColumns))
        .onConflict((conflict) => conflict.column('id').doNothing()),
    ),

    /** Takes the session when it is free, else a place in its queue. Decides every race for a session. */
    hold: statement((parameter: Parameters<HoldValues>) =>
      db
        .updateTable('sessions')
        .set((row) => {
          const whenFree = (column: 'epoch' | 'last_sequence' | 'message_count') =>
            row
              .case()
              .when(isFree(row))
              .then(row(column, '+', sql.lit(1)))
              .else(row.ref(column))
              .end()
          return {
            epoch: whenFree('epoch'),
            last_sequence: whenFree('last_sequence'),
            message_count: whenFree('message_count'),
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
        .where((row) => row.or([row('status', '=', sql.lit('active')), sql<boolean>`${parameter('anyStatus')} = 1`]))
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
  }

  function* repeatedTurn(owner: Owner, { idempotency }: AcceptTurn): Work<Accepted | null> {
    if (idempotency === null) return null
    const [row] = yield* run(statements.turnOfKey, { ...owner, key: idempotency.key })
    if (row === undefined) return null
    return row.idempotency_hash === idempotency.hash
      ? { outcome: 'repeated', turn: turnOf(row) }
      : { outcome: 'key-mismatch' }
  }

  function* accept(owner: Owner, request: AcceptTurn): Work<Accepted> {
    const { turn, instance } = request
    const repeated = yield* repeatedTurn(owner, request)
    if (repeated !== null) return repeated
    if (request.refuseDuplicateSince !== null) {
      // The same input may come to two sessions at once.
      yield* nameLock('input', owner.tenant, owner.subject, request.inputHash)
      const duplicate = { ...owner, hash: request.inputHash, since: request.refuseDuplicateSince }
      if ((yield* run(statements.duplicate, duplicate)).length > 0) return { outcome: 'duplicate' }
    }
    if (request.budgets !== undefined && request.budgets.length > 0) {
      const budget = yield* ledger.usedUp(request.budgets)
      if (budget !== null) return { outcome: 'budget-exhausted', budget }
    }
    if (request.newSession !== null) yield* run(statements.insertSession, newSessionRow(owner, request.newSession))
    const waits = request.whenBusy === 'wait'
    const [held] = yield* run(statements.hold, {
      ...owner,
      session: turn.session,
      turn: turn.id,
      instance,
      maxQueued: waits ? request.maxQueued : 0,
      anyStatus: request.whenClosed === 'answer' ? 1 : 0,
      at: turn.createdAt,
    })
    if (held === undefined) {
      const [session] = yield* run(statements.whyNotHeld, { ...owner, session: turn.session })
      if (session === undefined) return { outcome: 'no-session' }
      if (session.status !== 'active' && request.whenClosed === 'refuse') return { outcome: 'session-closed' }
      return { outcome: waits ? 'queue-full' : 'busy' }
    }
    const started = held.running_turn === turn.id
    const row = newTurnRow(owner, request, held.turn_count, started)
    yield* run(statements.insertTurn, row)
    const accepted = acceptedTurn(owner, request, held.turn_count, started)
    if (!started) return { outcome: 'queued', turn: accepted }
    yield* queue.insertMessages([userMessageRow(row, held.last_sequence, turn.createdAt)])
    const lease = { session: turn.session, turn: turn.id, instance, epoch: held.epoch }
    const plain = { turn: accepted, lease, lastSequence: held.last_sequence }
    const { reservation } = request
    if (reservation === undefined) return { outcome: 'started', started: plain }
    const reserved = yield* ledger.tryReserve(reservation, turn.id, instance, turn.createdAt)
    return { outcome: 'started', started: reserved ? { ...plain, reservation } : plain }
  }

  return accept
}
