import type { LoopStore } from '@keelson/core/stores'
import { loopErrors, turnTransitions } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import { atLeastZero, type ReachKind, type ReachValues, reachKind, reachValues, within } from './columns.ts'
import { createLedger, NoRoom } from './costs-ledger.ts'
import type { Engine } from './engine.ts'
import { createAccept } from './loop-accept.ts'
import { createCancel, createQuestions } from './loop-cancel.ts'
import { createCommit } from './loop-commit.ts'
import { createQueue } from './loop-queue.ts'
import { createRecovery } from './loop-recovery.ts'
import { lastLogSequence } from './loop-rows.ts'
import { createNameLock } from './name-lock.ts'
import type { Database } from './schema.ts'
import { type Parameters, remembered, statement } from './statement.ts'

export function createLoopStore(db: Kysely<Database>, engine: Engine): LoopStore {
  const { features } = engine
  const queue = createQueue(db)
  const questions = createQuestions(db)
  const ledger = createLedger(db)
  const accept = createAccept(db, queue, createNameLock(db, features), ledger)
  const cancel = createCancel(db, features, queue, questions)
  const { commit, flush, reserve } = createCommit(db, features, queue, questions, ledger)
  const { held, resume, takeOver } = createRecovery(db, features, queue, ledger)

  const heartbeat = statement((parameter: Parameters<{ instance: string; at: number }>) =>
    db
      .insertInto('instances')
      .values({ id: parameter('instance'), heartbeat: parameter('at') })
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet((row) => ({ heartbeat: row.ref('excluded.heartbeat') })),
      ),
  )

  const retire = statement((parameter: Parameters<{ instance: string }>) =>
    db.deleteFrom('instances').where('id', '=', parameter('instance')),
  )

  const prune = statement((parameter: Parameters<{ before: number }>) =>
    db
      .deleteFrom('instances')
      .where('heartbeat', '<', parameter('before'))
      .where((row) =>
        row.not(
          row.exists(
            row.selectFrom('sessions').select('sessions.id').whereRef('sessions.instance', '=', 'instances.id'),
          ),
        ),
      )
      .returning('id'),
  )

  const waiting = remembered((kind: ReachKind) =>
    statement((parameter: Parameters<ReachValues & { session: string }>) =>
      db
        .selectFrom('sessions')
        .innerJoin('turns', 'turns.id', 'sessions.running_turn')
        .select(['turns.id', 'turns.log'])
        .where('sessions.id', '=', parameter('session'))
        .where('turns.status', '=', sql.lit('waiting'))
        .where(within('sessions', kind, parameter)),
    ),
  )

  return {
    accept: (owner, request) => engine.transaction('write', () => accept(owner, request)),

    async commit(lease, change) {
      const { status } = change
      if (status !== undefined && status !== 'running' && !turnTransitions.running.includes(status)) {
        throw new TypeError(`a running turn cannot become ${status}`)
      }
      return engine.transaction('write', () => commit(lease, change))
    },

    async reserve(lease, reservation, charges) {
      try {
        return await engine.transaction('write', () => reserve(lease, reservation, charges))
      } catch (error) {
        if (error instanceof NoRoom) return { refused: error.window, crossings: [] }
        throw error
      }
    },

    async flush({ session, turn, instance, epoch }, log) {
      const found = await engine.query(flush, { session, turn, instance, epoch, log })
      if (found.length === 0) throw loopErrors.LEASE_LOST()
    },

    cancel: (reach, turn, instance, at) => engine.transaction('write', () => cancel(reach, turn, instance, at)),

    async waiting(reach, session) {
      const [row] = await engine.query(waiting(reachKind(reach)), { ...reachValues(reach), session })
      return row === undefined ? null : { turn: row.id, logSequence: lastLogSequence(row.log) }
    },

    resume: (turn, instance, at) => engine.transaction('write', () => resume(turn, instance, at)),

    takeOver: (instance, staleBefore, at, limit) =>
      engine.transaction('write', () => takeOver(instance, staleBefore, at, atLeastZero(limit))),

    async held(instance) {
      const rows = await engine.query(held, { instance })
      return rows.map(({ turn, cancel_requested }) => ({ turn, cancelRequested: cancel_requested === 1 }))
    },

    async heartbeat(instance, at) {
      await engine.query(heartbeat, { instance, at })
    },

    async prune(before) {
      return (await engine.query(prune, { before })).length
    },

    async retire(instance) {
      await engine.query(retire, { instance })
    },
  }
}
