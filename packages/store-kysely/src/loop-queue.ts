import type { StartedTurn } from '@keelson/core/stores'
import { loopErrors } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import { messageColumns, messageRow, turnColumns, turnOf } from './columns.ts'
import { run, type Statement, type Work } from './engine.ts'
import type { Database, MessageTable, TurnTable } from './schema.ts'
import { type Parameters, rowsStatement, statement } from './statement.ts'

/** Rows per insert statement: far below any engine's limit on bound values. */
const rowsPerInsert = 50

/** Inserts the rows in their order, in as few statements as there may be. */
export function* insertAll<Row>(
  insert: (count: number) => Statement<readonly Row[], unknown>,
  rows: readonly Row[],
): Work<void> {
  for (let from = 0; from < rows.length; from += rowsPerInsert) {
    const some = rows.length <= rowsPerInsert ? rows : rows.slice(from, from + rowsPerInsert)
    yield* run(insert(some.length), some)
  }
}

export interface Queue {
  insertMessages(rows: readonly MessageTable[]): Work<void>
  /** Gives a session that nobody holds to its first queued turn. Null when there is none. */
  startNext(session: string, instance: string, at: number): Work<StartedTurn | null>
}

/** The turns that wait for their session. */
export function createQueue(db: Kysely<Database>): Queue {
  const statements = {
    insertMessages: rowsStatement<MessageTable>(messageColumns, (rows) => db.insertInto('messages').values(rows)),

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
          message_count: row('message_count', '+', sql.lit(1)),
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
  }

  function* startNext(session: string, instance: string, at: number): Work<StartedTurn | null> {
    const [queued] = yield* run(statements.firstQueued, { session })
    if (queued === undefined) return null
    const [held] = yield* run(statements.startSession, { session, turn: queued.id, instance, at })
    if (held === undefined) return null
    const [turn] = yield* run(statements.startTurn, { turn: queued.id, at })
    if (turn === undefined) throw loopErrors.LEASE_LOST()
    yield* insertAll(statements.insertMessages, [userMessageRow(turn, held.last_sequence, at)])
    const lease = { session, turn: turn.id, instance, epoch: held.epoch }
    return { turn: turnOf(turn), lease, lastSequence: held.last_sequence }
  }

  return { startNext, insertMessages: (rows) => insertAll(statements.insertMessages, rows) }
}

/** A queued turn gets its message when it starts, so that history keeps the order of answers. */
export function userMessageRow(
  turn: Pick<TurnTable, 'id' | 'session' | 'user_message' | 'input'>,
  sequence: number,
  at: number,
): MessageTable {
  const row = messageRow(turn.session, sequence, {
    id: turn.user_message,
    turn: turn.id,
    role: 'user',
    parts: [],
    usage: null,
    createdAt: at,
  })
  return { ...row, parts: turn.input }
}
