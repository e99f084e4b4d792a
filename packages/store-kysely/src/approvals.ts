import { type ApprovalStatus, type ApprovalStore, type Reach, refusedCalls, type Window } from '@keelson/core/stores'
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
import { type Engine, run, type Statement, type Work } from './engine.ts'
import type { ApprovalTable, Database } from './schema.ts'
import { type Parameters, remembered, rowsStatement, statement } from './statement.ts'

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

interface EndedCall {
  toolCall: string
  output: string
  at: number
}

type RefusedRow = Pick<ApprovalTable, (typeof approvalColumns)[number] | 'follow_up'>

const listedColumns = approvalColumns.map((column) => `approvals.${column}` as const)

interface Filter {
  readonly status?: ApprovalStatus
  readonly turn?: string
}

const shapeOf = (reach: Reach, { status, turn }: Filter): string =>
  `${reachKind(reach)} ${status === undefined ? '' : 'status'} ${turn === undefined ? '' : 'turn'}`

const filterValues = (reach: Reach, { status = 'pending', turn = '' }: Filter) => ({
  ...reachValues(reach),
  status,
  turn,
})

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

  /** The approvals in reach that a filter leaves. `shape` is the kind of reach and the filters given, parted by spaces. */
  const filtered = (shape: string, parameter: Parameters<ListValues>) => {
    const parts = shape.split(' ')
    const kind = parts.includes('tenant') ? 'tenant' : 'own'
    const query = db.selectFrom('approvals')
    const some = parts.includes('status') ? query.where('approvals.status', '=', parameter('status')) : query
    // Of one turn there are few: the reach is checked on the turn, so that no engine goes through the tenant's instead.
    return parts.includes('turn')
      ? some
          .innerJoin('turns', 'turns.id', 'approvals.turn')
          .where('approvals.turn', '=', parameter('turn'))
          .where(within('turns', kind, parameter))
      : some.where(within('approvals', kind, parameter))
  }

  const list = remembered((shape: string) =>
    statement((parameter: Parameters<ListValues>) =>
      filtered(shape, parameter)
        .select(listedColumns)
        .orderBy('approvals.created_at')
        .orderBy('approvals.position')
        .orderBy('approvals.id')
        .limit(parameter('limit'))
        .offset(parameter('offset')),
    ),
  )

  const count = remembered((shape: string) =>
    statement((parameter: Parameters<ListValues>) =>
      filtered(shape, parameter).select(({ fn }) => fn.countAll<number>().as('total')),
    ),
  )

  const decide = remembered((kind: ReachKind) =>
    statement((parameter: Parameters<DecideValues>) =>
      db
        .updateTable('approvals')
        .set({ status: parameter('status'), decided_by: parameter('decidedBy'), decided_at: parameter('at') })
        .where('id', '=', parameter('id'))
        .where('status', '=', sql.lit('pending'))
        .where('expires_at', '>', parameter('at'))
        .where(within('approvals', kind, parameter))
        .returning([...approvalColumns, 'follow_up']),
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
      .returning([...approvalColumns, 'follow_up']),
  )

  const due = statement((parameter: Parameters<{ at: number }>) =>
    db
      .selectFrom('approvals')
      .select('id')
      .where('status', '=', sql.lit('pending'))
      .where('expires_at', '<=', parameter('at'))
      .limit(sql.lit(1)),
  )

  /** One output and one time for all of them. */
  const endCalls = rowsStatement<EndedCall>(['toolCall', 'output', 'at'], (rows) =>
    db
      .updateTable('tool_calls')
      .set({ status: 'denied', output: rows[0]?.output, ended_at: rows[0]?.at })
      .where('status', '=', sql.lit('waiting'))
      .where(
        'id',
        'in',
        rows.map(({ toolCall }) => toolCall),
      ),
  )

  /** Ends the calls whose turns went on without them; the others are ended by their turns. */
  function* refused<Values extends { at: number }>(
    refusing: Statement<Values, RefusedRow>,
    values: Values,
    text: string,
  ): Work<RefusedRow[]> {
    const rows = yield* run(refusing, values)
    const end = { output: JSON.stringify(text), at: values.at }
    const left = rows.flatMap(({ follow_up, tool_call }) => (follow_up === 1 ? { ...end, toolCall: tool_call } : []))
    if (left.length > 0) yield* run(endCalls(left.length), left)
    return rows
  }

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
      .orderBy('approvals.position')
      .orderBy('approvals.id')
      .limit(parameter('limit')),
  )

  return {
    async get(reach, id) {
      const [row] = await engine.query(get(reachKind(reach)), { ...reachValues(reach), id })
      return row === undefined ? null : approvalOf(row)
    },

    async list(reach, window, filter = {}) {
      const values = { ...filterValues(reach, filter), ...windowValues(window) }
      return (await engine.query(list(shapeOf(reach, filter)), values)).map(approvalOf)
    },

    async count(reach, filter = {}) {
      const values = { ...filterValues(reach, filter), limit: 0, offset: 0 }
      const [row] = await engine.query(count(shapeOf(reach, filter)), values)
      return Number(row?.total ?? 0)
    },

    async decide(reach, id, { status, decidedBy, at }) {
      const values = { ...reachValues(reach), id, status, decidedBy, at }
      const deciding = decide(reachKind(reach))
      const [row] =
        status === 'approved'
          ? await engine.query(deciding, values)
          : await engine.transaction('write', () => refused(deciding, values, refusedCalls.denied))
      return row === undefined ? null : approvalOf(row)
    },

    async expire(at, limit) {
      const values = { at, limit: atLeastZero(limit) }
      // Asked with every look at what is pending, and mostly for nothing.
      if ((await engine.query(due, { at })).length === 0) return []
      return (await engine.transaction('write', () => refused(expire, values, refusedCalls.expired))).map(approvalOf)
    },

    async unfollowed(limit) {
      return (await engine.query(unfollowed, { limit: atLeastZero(limit) })).map(approvalOf)
    },

    async resumable(limit) {
      return (await engine.query(resumable, { limit: atLeastZero(limit) })).map(({ id }) => id)
    },
  }
}
