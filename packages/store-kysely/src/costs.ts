import type { CostReportRow, CostStore, EntryFilter, Grouping, Reach, ReportQuery, Window } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import { atLeastZero, type ReachValues, reachKind, reachValues, windowValues, within } from './columns.ts'
import { asText, createLedger, NoRoom, type StoredReservation } from './costs-ledger.ts'
import { day, entryOf, hour, ledgerColumns } from './costs-rows.ts'
import { type DeadValues, ofDeadInstance } from './dead-instances.ts'
import { type Engine, run, type Work } from './engine.ts'
import type { Database } from './schema.ts'
import { type Parameters, remembered, statement } from './statement.ts'

interface EntryValues extends ReachValues, Window {
  turn: string
  session: string
  agent: string
  model: string
}

const filters = ['turn', 'session', 'agent', 'model'] as const satisfies readonly (keyof EntryFilter)[]

/** Whole hours before the first and after the last whole day, and the days between: each is read once. */
interface ReportValues extends ReachValues {
  from: number
  firstDay: number
  lastDay: number
  to: number
  limit: number
}

const sums = ['calls', 'unknown_calls', 'input', 'cache_read', 'cache_write', 'output', 'reasoning', 'cost'] as const

const partsOf = (shape: string) => {
  const parts = shape.split(' ')
  return {
    kind: parts.includes('tenant') ? ('tenant' as const) : ('own' as const),
    has: (part: string) => parts.includes(part),
  }
}

export function createCostStore(db: Kysely<Database>, engine: Engine): CostStore {
  const ledger = createLedger(db)
  const { rowLocks } = engine.features

  /** `shape` is the kind of reach and the filters given, parted by spaces. */
  const entries = remembered((shape: string) =>
    statement((parameter: Parameters<EntryValues>) => {
      const { has, kind } = partsOf(shape)
      let query = db.selectFrom('ledger').select(ledgerColumns)
      for (const filter of filters) if (has(filter)) query = query.where(filter, '=', parameter(filter))
      // Of one turn or session there are few: no engine is to go through the tenant's instead.
      query =
        has('turn') || has('session')
          ? query.where(sql<boolean>`${sql.ref('ledger.tenant')} || '' = ${parameter('tenant')}`)
          : query.where(within('ledger', 'tenant', parameter))
      if (kind === 'own') query = query.where('subject', '=', parameter('subject'))
      return query.orderBy('at', 'desc').orderBy('id').limit(parameter('limit')).offset(parameter('offset'))
    }),
  )

  /** `shape` is the kind of reach and the groups, parted by spaces. */
  const report = remembered((shape: string) =>
    statement((parameter: Parameters<ReportValues>) => {
      const { has, kind } = partsOf(shape)
      const range = (grain: number, from: 'from' | 'firstDay' | 'lastDay', to: 'firstDay' | 'lastDay' | 'to') =>
        db
          .selectFrom('cost_rollups')
          .selectAll()
          .where(within('cost_rollups', kind, parameter))
          .where('grain', '=', sql.lit(grain))
          .where('bucket', '>=', parameter(from))
          .where('bucket', '<', parameter(to))
      const rows = has('hour')
        ? range(hour, 'from', 'to')
        : range(hour, 'from', 'firstDay')
            .unionAll(range(day, 'firstDay', 'lastDay'))
            .unionAll(range(hour, 'lastDay', 'to'))
      const groups = (['subject', 'agent', 'model'] as const).filter(has)
      const bucket = has('hour')
        ? sql<number>`bucket`
        : has('day')
          ? sql<number>`bucket - bucket % ${sql.lit(day)}`
          : null
      let query = db
        .selectFrom(rows.as('part'))
        .select(groups)
        .select(sums.map((sum) => asText(sql`coalesce(sum(${sql.ref(sum)}), 0)`).as(sum)))
      if (bucket !== null) query = query.select(bucket.as('bucket_start')).groupBy(bucket)
      for (const group of groups) query = query.groupBy(group)
      query = query.orderBy(sql`sum(cost)`, 'desc')
      if (bucket !== null) query = query.orderBy(bucket)
      for (const group of groups) query = query.orderBy(group)
      return query.limit(parameter('limit'))
    }),
  )

  const budgets = remembered((shape: string) =>
    statement((parameter: Parameters<ReachValues & { at: number; limit: number }>) =>
      db
        .selectFrom('budget_windows')
        .select(['budget', 'tenant', 'value', 'starts_at', 'ends_at', 'crossed'])
        .select([asText(sql`spent`).as('spent_text'), asText(sql`reserved`).as('reserved_text')])
        .where(within('budget_windows', partsOf(shape).kind, parameter))
        .where('ends_at', '>', parameter('at'))
        .where('starts_at', '<=', parameter('at'))
        .orderBy('ends_at')
        .orderBy('key')
        .limit(parameter('limit')),
    ),
  )

  const abandoned = statement((parameter: Parameters<DeadValues & { limit: number }>) => {
    const query = db
      .selectFrom('reservations')
      .select(['id', 'amount', 'entry', 'windows'])
      .where('turn', 'is', null)
      .where(ofDeadInstance(db, 'reservations', parameter))
      .limit(parameter('limit'))
    return rowLocks ? query.forUpdate().skipLocked() : query
  })

  function* settleAbandoned(values: DeadValues & { limit: number }): Work<number> {
    const rows = (yield* run(abandoned, values)) as StoredReservation[]
    yield* ledger.settleRows(rows)
    return rows.length
  }

  return {
    async reserve(_owner, reservation, instance, at) {
      try {
        return await engine.transaction('write', function* () {
          const refused = yield* ledger.reserve(reservation, null, instance, at)
          if (refused !== null) throw new NoRoom(refused)
          return null
        })
      } catch (error) {
        if (error instanceof NoRoom) return error.window
        throw error
      }
    },

    charge: (owner, charges) =>
      engine.transaction('write', () =>
        ledger.charge(
          charges.ledger.map((entry) => ({ ...entry, ...owner })),
          charges.settlements,
        ),
      ),

    settleAbandoned: (instance, staleBefore, _at, limit) =>
      engine.transaction('write', () => settleAbandoned({ instance, staleBefore, limit: atLeastZero(limit) })),

    async entries(reach: Reach, window: Window, filter: EntryFilter = {}) {
      const shape = [reachKind(reach), ...filters.filter((name) => filter[name] !== undefined)].join(' ')
      const { agent = '', model = '', session = '', turn = '' } = filter
      const values = { ...reachValues(reach), ...windowValues(window), agent, model, session, turn }
      return (await engine.query(entries(shape), values)).map(entryOf)
    },

    async report(reach, { from, groupBy, limit, to }: ReportQuery) {
      const shape = [reachKind(reach), ...groupBy.toSorted()].join(' ')
      const firstDay = Math.min(Math.ceil(from / day) * day, to)
      const lastDay = Math.max(firstDay, Math.floor(to / day) * day)
      const values = { ...reachValues(reach), from, firstDay, lastDay, to, limit: atLeastZero(limit) }
      const rows = (await engine.query(report(shape), values)) as ReportRow[]
      return rows.filter(({ calls }) => calls !== '0').map((row) => reportRowOf(row, groupBy))
    },

    async budgets(reach, at, limit) {
      const values = { ...reachValues(reach), at, limit: atLeastZero(limit) }
      const rows = await engine.query(budgets(reachKind(reach)), values)
      return rows.map((row) => ({
        budget: row.budget,
        tenant: row.tenant,
        value: row.value,
        start: row.starts_at,
        end: row.ends_at,
        spent: BigInt(row.spent_text),
        reserved: BigInt(row.reserved_text),
        crossed: row.crossed,
      }))
    },
  }
}

type ReportRow = Record<(typeof sums)[number], string> & {
  readonly subject?: string
  readonly agent?: string
  readonly model?: string
  readonly bucket_start?: number
}

function reportRowOf(row: ReportRow, groupBy: readonly Grouping[]): CostReportRow {
  const { agent, bucket_start: bucket, model, subject } = row
  return {
    ...(groupBy.includes('subject') && subject !== undefined ? { subject } : {}),
    ...(groupBy.includes('agent') && agent !== undefined ? { agent } : {}),
    ...(groupBy.includes('model') && model !== undefined ? { model } : {}),
    ...(bucket === undefined ? {} : { bucket: Number(bucket) }),
    calls: Number(row.calls),
    usage: {
      input: Number(row.input),
      cacheRead: Number(row.cache_read),
      cacheWrite: Number(row.cache_write),
      output: Number(row.output),
      reasoning: Number(row.reasoning),
    },
    cost: BigInt(row.cost),
    unknownPriceCalls: Number(row.unknown_calls),
  }
}
