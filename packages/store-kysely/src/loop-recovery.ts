import type { ResumedTurn } from '@keelson/core/stores'
import { loopErrors } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import { statuses, type TurnRow, toolCallColumns, toolCallOf, turnColumns, turnOf } from './columns.ts'
import type { LedgerWork } from './costs-ledger.ts'
import { type DeadValues, ofDeadInstance } from './dead-instances.ts'
import { type Features, run, type Statement, type Work } from './engine.ts'
import type { Queue } from './loop-queue.ts'
import { lastLogSequence, lostCallOf } from './loop-rows.ts'
import type { Database, TurnTable } from './schema.ts'
import { type Parameters, statement } from './statement.ts'

export interface Recovery {
  readonly held: Statement<{ instance: string }, { turn: string; cancel_requested: number }>
  resume(turn: string, instance: string, at: number): Work<ResumedTurn | null>
  takeOver(instance: string, staleBefore: number, at: number, limit: number): Work<ResumedTurn[]>
}

/** Going on with turns that somebody else began. */
export function createRecovery(
  db: Kysely<Database>,
  { rowLocks }: Features,
  queue: Queue,
  ledger: LedgerWork,
): Recovery {
  const statements = {
    /** A turn that is resumed elsewhere at the same moment may have settled by the time its session can be had. */
    lockSession: statement((parameter: Parameters<{ turn: string }>) =>
      db
        .selectFrom('sessions')
        .select('sessions.id')
        .where('sessions.id', '=', (row) =>
          row.selectFrom('turns').select('turns.session').where('turns.id', '=', parameter('turn')),
        )
        .forNoKeyUpdate(),
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

    held: statement((parameter: Parameters<{ instance: string }>) =>
      db
        .selectFrom('sessions')
        .innerJoin('turns', 'turns.id', 'sessions.running_turn')
        .select(['turns.id as turn', 'turns.cancel_requested'])
        .where('sessions.instance', '=', parameter('instance')),
    ),

    abandoned: statement((parameter: Parameters<DeadValues & { limit: number }>) => {
      const query = db
        .selectFrom('sessions')
        .select(['id', 'running_turn'])
        .where('instance', 'is not', null)
        .where(ofDeadInstance(db, 'sessions', parameter))
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
  }

  function* resumed(
    turn: TurnRow & Pick<TurnTable, 'log'>,
    instance: string,
    held: { readonly epoch: number; readonly last_sequence: number },
  ): Work<ResumedTurn> {
    const toolCalls = yield* run(statements.toolCalls, { turn: turn.id })
    const { amount, crossings } = yield* ledger.settleTurn(turn.id)
    const cost = amount === 0 ? turn.cost : yield* ledger.payTurn(turn.id, amount)
    return {
      turn: turnOf({ ...turn, cost }),
      ...(crossings.length > 0 && { crossings }),
      lease: { session: turn.session, turn: turn.id, instance, epoch: held.epoch },
      lastSequence: held.last_sequence,
      toolCalls: toolCalls.map(toolCallOf),
      logSequence: lastLogSequence(turn.log),
      lostCall: amount === 0 ? lostCallOf(turn.log) : null,
    }
  }

  function* resume(id: string, instance: string, at: number): Work<ResumedTurn | null> {
    if (rowLocks) yield* run(statements.lockSession, { turn: id })
    const [held] = yield* run(statements.resumeSession, { turn: id, instance, at })
    if (held === undefined) return null
    const [turn] = yield* run(statements.resumeTurn, { turn: id })
    if (turn === undefined) throw loopErrors.LEASE_LOST()
    return yield* resumed(turn, instance, held)
  }

  function* takeOver(instance: string, staleBefore: number, at: number, limit: number): Work<ResumedTurn[]> {
    const taken: ResumedTurn[] = []
    for (const { id: session, running_turn } of yield* run(statements.abandoned, { instance, staleBefore, limit })) {
      const [held] = yield* run(statements.takeSession, { session, instance })
      const [turn] = yield* run(statements.takenTurn, { turn: running_turn ?? '' })
      if (held !== undefined && turn !== undefined) taken.push(yield* resumed(turn, instance, held))
    }
    if (taken.length === limit) return taken
    for (const { id: session } of yield* run(statements.stalled, { limit: limit - taken.length })) {
      const started = yield* queue.startNext(session, instance, at)
      if (started !== null) taken.push({ ...started, toolCalls: [], logSequence: 0, lostCall: null })
    }
    return taken
  }

  return { held: statements.held, resume, takeOver }
}
