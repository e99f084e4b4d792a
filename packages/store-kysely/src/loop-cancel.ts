import type { Reach, StartedTurn, Turn } from '@keelson/core/stores'
import { isSettled } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import {
  type ReachKind,
  type ReachValues,
  reachKind,
  reachValues,
  statuses,
  turnColumns,
  turnOf,
  within,
} from './columns.ts'
import { type Features, run, type Work } from './engine.ts'
import type { Queue } from './loop-queue.ts'
import type { Database } from './schema.ts'
import { type Parameters, remembered, statement } from './statement.ts'

/** What a turn has asked people. */
export interface Questions {
  /** A turn that was given up asks nobody any more. */
  close(turn: string, at: number): Work<void>
}

export function createQuestions(db: Kysely<Database>): Questions {
  const statements = {
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
  }

  return {
    *close(turn, at) {
      yield* run(statements.cancelApprovals, { turn, at })
      yield* run(statements.denyWaitingCalls, { turn, at })
    },
  }
}

export interface Cancelled {
  readonly turn: Turn
  readonly next: StartedTurn | null
}

export type Cancel = (reach: Reach, turn: string, instance: string, at: number) => Work<Cancelled | null>

export function createCancel(db: Kysely<Database>, { rowLocks }: Features, queue: Queue, questions: Questions): Cancel {
  const statements = {
    /** The session before the turn, as every other writer. */
    lockSession: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { turn: string }>) =>
        db
          .selectFrom('sessions')
          .select('sessions.id')
          .where('sessions.id', '=', (row) =>
            row
              .selectFrom('turns')
              .select('turns.session')
              .where('turns.id', '=', parameter('turn'))
              .where(within('turns', kind, parameter)),
          )
          .forNoKeyUpdate(),
      ),
    ),

    turnToCancel: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { turn: string }>) =>
        db
          .selectFrom('turns')
          .select(['session', 'status'])
          .where('id', '=', parameter('turn'))
          .where(within('turns', kind, parameter)),
      ),
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
  }

  function* cancel(reach: Reach, id: string, instance: string, at: number): Work<Cancelled | null> {
    const values = { ...reachValues(reach), turn: id }
    if (rowLocks) yield* run(statements.lockSession(reachKind(reach)), values)
    const [found] = yield* run(statements.turnToCancel(reachKind(reach)), values)
    if (found === undefined || isSettled(found.status)) return null
    const { session, status } = found
    const running = status === 'running'
    const [turn] = yield* running
      ? run(statements.markCancelled, { turn: id })
      : run(statements.cancelTurn, { turn: id, at })
    if (turn === undefined) return null
    let next: StartedTurn | null = null
    if (status === 'queued') {
      yield* run(statements.leaveQueue, { session, at })
    } else if (status === 'waiting') {
      yield* questions.close(id, at)
      const [freed] = yield* run(statements.freeSession, { session, turn: id, at })
      if (freed !== undefined && freed.queued_turns > 0) next = yield* queue.startNext(session, instance, at)
    }
    return { turn: turnOf(turn), next }
  }

  return cancel
}
