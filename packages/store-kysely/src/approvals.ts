import type { ApprovalStatus, ApprovalStore, Window } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import {
  approvalColumns,
  approvalOf,
  atLeastZero,
  type ReachKind,
  type ReachValues,
  reachKind,
  reachValues,
  statuses,
  windowValues,
  within,
} from './columns.ts'
import type { Engine } from './engine.ts'
import type { Database } from './schema.ts'
import { type Parameters, remembered, statement } from './statement.ts'

interface ListValues extends ReachValues, Window {
  status: ApprovalStatus
  turn: string
}

interface DecideValues extends ReachValues {
  id: string
  status: ApprovalStatus
  decidedBy: string
  at: number
}

const listedColumns = approvalColumns.map((column) => `approvals.${column}` as const)

export function createApprovalStore(db: Kysely<Database>, engine: Engine): ApprovalStore {
  const get = remembered((kind: ReachKind) =>
    statement((parameter: Parameters<ReachValues & { id: string }>) =>
      db
        .selectFrom('approvals')
        .select(approvalColumns)
        .where('id', '=', parameter('id'))
        .where(within('approvals', kind, parameter)),
    ),
  )

  /** `shape` is the kind of reach and the filters given, parted by spaces. */
  const list = remembered((shape: string) => {
    const parts = shape.split(' ')
    const kind = parts.includes('tenant') ? 'tenant' : 'own'
    return statement((parameter: Parameters<ListValues>) => {
      let query = db.selectFrom('approvals').select(listedColumns)
      if (parts.includes('status')) query = query.where('approvals.status', '=', parameter('status'))
      // Of one turn there are few: the reach is checked on the turn, so that no engine goes through the tenant's instead.
      query = parts.includes('turn')
        ? query
            .innerJoin('turns', 'turns.id', 'approvals.turn')
            .where('approvals.turn', '=', parameter('turn'))
            .where(within('turns', kind, parameter))
        : query.where(within('approvals', kind, parameter))
      return query
        .orderBy('approvals.created_at')
        .orderBy('approvals.id')
        .limit(parameter('limit'))
        .offset(parameter('offset'))
    })
  })

  const decide = remembered((kind: ReachKind) =>
    statement((parameter: Parameters<DecideValues>) =>
      db
        .updateTable('approvals')
        .set({ status: parameter('status'), decided_by: parameter('decidedBy'), decided_at: parameter('at') })
        .where('id', '=', parameter('id'))
        .where('status', '=', sql.lit('pending'))
        .where('expires_at', '>', parameter('at'))
        .where(within('approvals', kind, parameter))
        .returning(approvalColumns),
    ),
  )

  const expire = statement((parameter: Parameters<{ at: number; limit: number }>) =>
    db
      .updateTable('approvals')
      .set({ status: 'expired', decided_at: parameter('at') })
      .where('status', '=', sql.lit('pending'))
      .where((row) => {
        const due = row
          .selectFrom('approvals as due')
          .select('due.id')
          .where('due.status', '=', sql.lit('pending'))
          .where('due.expires_at', '<=', parameter('at'))
          .orderBy('due.expires_at')
          .limit(parameter('limit'))
        // Run once: as a join it may lock more rows with each run, past its limit.
        return engine.features.rowLocks
          ? row('id', '=', sql<string>`any(array(${due.forUpdate().skipLocked()}))`)
          : row('id', 'in', due)
      })
      .returning(approvalColumns),
  )

  const resumable = statement((parameter: Parameters<{ limit: number }>) =>
    db
      .selectFrom('sessions')
      .innerJoin('turns', 'turns.id', 'sessions.running_turn')
      .select('turns.id')
      .where('sessions.running_turn', 'is not', null)
      .where('sessions.instance', 'is', null)
      .where('turns.status', '=', sql.lit('waiting'))
      .where((row) =>
        row.not(
          row.exists(
            row
              .selectFrom('approvals')
              .select('approvals.id')
              .whereRef('approvals.turn', '=', 'turns.id')
              .where('approvals.status', '=', sql.lit('pending')),
          ),
        ),
      )
      .limit(parameter('limit')),
  )

  const unfollowed = statement((parameter: Parameters<{ limit: number }>) =>
    db
      .selectFrom('approvals')
      .innerJoin('tool_calls', 'tool_calls.id', 'approvals.tool_call')
      .innerJoin('turns', 'turns.id', 'approvals.turn')
      .select(listedColumns)
      .where('approvals.status', '=', sql.lit('approved'))
      .where('approvals.follow_up', '=', sql.lit(1))
      .where('tool_calls.status', '=', sql.lit('waiting'))
      .where('turns.status', 'not in', statuses('queued', 'running', 'waiting'))
      .where((row) =>
        row.not(
          row.exists(
            row
              .selectFrom('turns as follower')
              .select('follower.id')
              .whereRef('follower.tenant', '=', 'approvals.tenant')
              .whereRef('follower.subject', '=', 'approvals.subject')
              .where('follower.idempotency_key', '=', sql<string>`'approval:' || ${sql.ref('approvals.id')}`),
          ),
        ),
      )
      .orderBy('approvals.created_at')
      .orderBy('approvals.id')
      .limit(parameter('limit')),
  )

  return {
    async get(reach, id) {
      const [row] = await engine.query(get(reachKind(reach)), { ...reachValues(reach), id })
      return row === undefined ? null : approvalOf(row)
    },

    async list(reach, window, filter = {}) {
      const { status, turn } = filter
      const shape = `${reachKind(reach)} ${status === undefined ? '' : 'status'} ${turn === undefined ? '' : 'turn'}`
      const rows = await engine.query(list(shape), {
        ...reachValues(reach),
        ...windowValues(window),
        status: status ?? 'pending',
        turn: turn ?? '',
      })
      return rows.map(approvalOf)
    },

    async decide(reach, id, { status, decidedBy, at }) {
      const values = { ...reachValues(reach), id, status, decidedBy, at }
      const [row] = await engine.query(decide(reachKind(reach)), values)
      return row === undefined ? null : approvalOf(row)
    },

    async expire(at, limit) {
      return (await engine.query(expire, { at, limit: atLeastZero(limit) })).map(approvalOf)
    },

    async unfollowed(limit) {
      return (await engine.query(unfollowed, { limit: atLeastZero(limit) })).map(approvalOf)
    },

    async resumable(limit) {
      return (await engine.query(resumable, { limit: atLeastZero(limit) })).map(({ id }) => id)
    },
  }
}
