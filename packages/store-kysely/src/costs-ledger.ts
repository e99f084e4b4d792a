import {
  type BudgetCrossing,
  type BudgetWindow,
  KeelsonError,
  type LedgerEntry,
  type Reservation,
  type Settlement,
} from '@keelson/core/stores'
import { type Kysely, type RawBuilder, sql } from 'kysely'
import {
  crossingsOf,
  ledgerColumns,
  ledgerRow,
  reservationColumns,
  reservationOf,
  reservationRow,
  rollupColumns,
  rollupRows,
  rollupSums,
  windowColumns,
  windowRow,
} from './costs-rows.ts'
import { run, type Work } from './engine.ts'
import { insertAll } from './loop-queue.ts'
import type { Database } from './schema.ts'
import type { BudgetWindowTable, CostRollupTable, LedgerTable, ReservationTable } from './schema-costs.ts'
import { columnsOf, type Parameters, rowsStatement, statement } from './statement.ts'

/** A transaction that found a budget without room; it is undone. */
export class NoRoom extends KeelsonError {
  readonly window: BudgetWindow

  constructor(window: BudgetWindow) {
    super('BUDGET_EXHAUSTED', 'rate_limited', 'a budget has no room for this call')
    this.window = window
  }
}

/** Work that other transactions include. Budgets are what most of them want: their rows come last. */
export interface LedgerWork {
  /** Writes calls that have ended, and settles reservations that are still there. */
  charge(ledger: readonly LedgerEntry[], settlements: readonly Settlement[]): Work<readonly BudgetCrossing[]>
  /** Sets money aside in all windows, or returns the one that has no room: the transaction must then be undone. */
  reserve(reservation: Reservation, turn: string | null, instance: string, at: number): Work<BudgetWindow | null>
  /** The same, which leaves nothing behind when a window has no room. */
  tryReserve(reservation: Reservation, turn: string, instance: string, at: number): Work<boolean>
  /** The first of the windows that is used up. */
  usedUp(windows: readonly BudgetWindow[]): Work<BudgetWindow | null>
  /** Adds to what a turn has cost, between its commits. Returns the sum. */
  payTurn(turn: string, amount: number): Work<number | null>
  /** Settles, at their amount, what a turn still has set aside. */
  settleTurn(turn: string): Work<Abandoned>
  /** Settles reservations, at their amount, that were read from their rows. */
  settleRows(rows: readonly StoredReservation[]): Work<Abandoned>
}

/** What nobody lived to settle. */
export interface Abandoned {
  /** Pico-dollars. */
  readonly amount: number
  readonly crossings: readonly BudgetCrossing[]
}

export type StoredReservation = Pick<ReservationTable, 'id' | 'amount' | 'entry' | 'windows'>

/** Money as the engines give it back exactly. */
export const asText = (expression: RawBuilder<unknown>): RawBuilder<string> => sql<string>`cast(${expression} as text)`

export function createLedger(db: Kysely<Database>): LedgerWork {
  const added = (table: 'budget_windows' | 'cost_rollups', column: string) =>
    sql`${sql.ref(`${table}.${column}`)} + ${sql.ref(`excluded.${column}`)}`

  const statements = {
    insertLedger: rowsStatement<LedgerTable>(ledgerColumns, (rows) => db.insertInto('ledger').values(rows)),

    addToRollups: rowsStatement<CostRollupTable>(rollupColumns, (rows) =>
      db
        .insertInto('cost_rollups')
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .columns(['tenant', 'subject', 'grain', 'bucket', 'agent', 'model'])
            .doUpdateSet(Object.fromEntries(rollupSums.map((sum) => [sum, added('cost_rollups', sum)]))),
        ),
    ),

    /** Of racing calls the row lets as many through as it has room for. */
    takeRoom: rowsStatement<BudgetWindowTable>(windowColumns, (rows) =>
      db
        .insertInto('budget_windows')
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .column('key')
            .doUpdateSet({ reserved: sql`${added('budget_windows', 'reserved')}`, amount: sql`excluded.amount` })
            .where(
              sql<boolean>`${sql.ref('budget_windows.spent')} + ${added('budget_windows', 'reserved')} <= excluded.amount`,
            ),
        )
        .returning('key'),
    ),

    /** Gives what was set aside back, and takes what was spent. */
    settle: rowsStatement<BudgetWindowTable>(windowColumns, (rows) =>
      db
        .insertInto('budget_windows')
        .values(rows)
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet({
            reserved: sql`${added('budget_windows', 'reserved')}`,
            spent: sql`${added('budget_windows', 'spent')}`,
          }),
        )
        .returning([sql<string>`key`.as('key'), sql<number>`crossed`.as('crossed'), asText(sql`spent`).as('spent')]),
    ),

    cross: statement((parameter: Parameters<{ key: string; percent: number }>) =>
      db
        .updateTable('budget_windows')
        .set({ crossed: parameter('percent') })
        .where('key', '=', parameter('key')),
    ),

    usedUp: rowsStatement<Pick<BudgetWindowTable, 'key' | 'amount'>>(['key', 'amount'], (rows) =>
      db
        .selectFrom('budget_windows')
        .select('key')
        .where((row) =>
          row.or(rows.map(({ amount, key }) => row.and([row('key', '=', key), row('spent', '>=', amount)]))),
        ),
    ),

    /** Nothing was paid for yet when there is neither a cost nor a model; an unknown cost stays so. */
    addCost: statement((parameter: Parameters<{ turn: string; amount: number }>) =>
      db
        .updateTable('turns')
        .set((row) => ({
          cost: row
            .case()
            .when('cost', 'is not', null)
            .then(sql<number>`${row.ref('cost')} + ${parameter('amount')}`)
            .when('model', 'is', null)
            .then(parameter('amount'))
            .else(sql.lit(null))
            .end(),
        }))
        .where('id', '=', parameter('turn'))
        .returning('cost'),
    ),

    insertReservation: statement((parameter: Parameters<ReservationTable>) =>
      db.insertInto('reservations').values(columnsOf(parameter, reservationColumns)),
    ),

    removeReservations: rowsStatement<{ id: string }>(['id'], (rows) =>
      db
        .deleteFrom('reservations')
        .where(
          'id',
          'in',
          rows.map(({ id }) => id),
        )
        .returning('id'),
    ),

    ofTurn: statement((parameter: Parameters<{ turn: string }>) =>
      db.selectFrom('reservations').select(['id', 'amount', 'entry', 'windows']).where('turn', '=', parameter('turn')),
    ),
  }

  const windowsFor = ({ amount, windows }: Reservation, sign: 1n | -1n): BudgetWindowTable[] =>
    windows.map((window) => windowRow(window, sign * BigInt(amount), 0n))

  /** The keys of the windows that had room. */
  function* takeRoom(reservation: Reservation): Work<ReadonlySet<string>> {
    const { amount, windows } = reservation
    // A row that is not there yet would be made without being asked.
    if (windows.length === 0) return new Set()
    if (windows.some((window) => window.amount < BigInt(amount))) {
      return new Set(windows.filter((window) => window.amount >= BigInt(amount)).map(({ key }) => key))
    }
    const rows = (yield* run(statements.takeRoom(windows.length), windowsFor(reservation, 1n))) as { key: string }[]
    return new Set(rows.map(({ key }) => key))
  }

  const without = ({ windows }: Reservation, keys: ReadonlySet<string>): BudgetWindow | null =>
    windows.find(({ key }) => !keys.has(key)) ?? null

  function* reserve(
    reservation: Reservation,
    turn: string | null,
    instance: string,
    at: number,
  ): Work<BudgetWindow | null> {
    yield* run(statements.insertReservation, reservationRow(reservation, turn, instance, at))
    return without(reservation, yield* takeRoom(reservation))
  }

  function* tryReserve(reservation: Reservation, turn: string, instance: string, at: number): Work<boolean> {
    const { amount, windows } = reservation
    if (windows.some((window) => window.amount < BigInt(amount))) return false
    const keys = yield* takeRoom(reservation)
    if (without(reservation, keys) === null) {
      yield* run(statements.insertReservation, reservationRow(reservation, turn, instance, at))
      return true
    }
    const taken = windowsFor(reservation, -1n).filter(({ key }) => keys.has(key))
    if (taken.length > 0) yield* run(statements.settle(taken.length), taken)
    return false
  }

  function* charge(
    ledger: readonly LedgerEntry[],
    settlements: readonly Settlement[],
  ): Work<readonly BudgetCrossing[]> {
    const open = settlements.length === 0 ? settlements : yield* removed(settlements)
    // Whoever took this process for dead has written the others.
    const late = settlements.filter((settlement) => !open.includes(settlement))
    const entries =
      late.length === 0 ? ledger : ledger.filter(({ id }) => late.every((each) => each.reservation !== id))
    if (entries.length > 0) {
      yield* insertAll(statements.insertLedger, entries.map(ledgerRow))
      yield* insertAll(statements.addToRollups, rollupRows(entries))
    }
    return yield* settle(open)
  }

  /** Those whose reservations were still there. */
  function* removed(settlements: readonly Settlement[]): Work<readonly Settlement[]> {
    const ids = settlements.map(({ reservation }) => ({ id: reservation }))
    const rows = (yield* run(statements.removeReservations(ids.length), ids)) as { id: string }[]
    return settlements.filter(({ reservation }) => rows.some(({ id }) => id === reservation))
  }

  /** One row per window, in the order in which everybody locks them. */
  function* settle(settlements: readonly Settlement[]): Work<readonly BudgetCrossing[]> {
    if (settlements.every(({ windows }) => windows.length === 0)) return []
    const windows = new Map<string, BudgetWindow>()
    const rows = new Map<string, BudgetWindowTable>()
    for (const { amount, charge: spent, windows: all } of settlements) {
      for (const window of all) {
        const row = rows.get(window.key) ?? windowRow(window, 0n, 0n)
        row.reserved -= BigInt(amount)
        row.spent += BigInt(spent)
        rows.set(window.key, row)
        windows.set(window.key, window)
      }
    }
    const sorted = [...rows.values()].sort((one, other) => (one.key < other.key ? -1 : 1))
    const settled = (yield* run(statements.settle(sorted.length), sorted)) as {
      key: string
      crossed: number
      spent: string
    }[]
    const crossings: BudgetCrossing[] = []
    for (const { crossed, key, spent } of settled) {
      const window = windows.get(key)
      if (window === undefined) continue
      const reached = crossingsOf(window, BigInt(spent), Number(crossed))
      const last = reached.at(-1)
      if (last === undefined) continue
      yield* run(statements.cross, { key, percent: last.percent })
      crossings.push(...reached)
    }
    return crossings
  }

  function* usedUp(windows: readonly BudgetWindow[]): Work<BudgetWindow | null> {
    // Nothing can be spent of nothing.
    const empty = windows.find(({ amount }) => amount === 0n)
    if (empty !== undefined) return empty
    const rows = (yield* run(statements.usedUp(windows.length), windows)) as { key: string }[]
    return windows.find(({ key }) => rows.some((row) => row.key === key)) ?? null
  }

  function* settleRows(rows: readonly StoredReservation[]): Work<Abandoned> {
    if (rows.length === 0) return nothing
    const reservations = rows.map(reservationOf)
    const settlements = reservations.map(
      ({ amount, id, windows }): Settlement => ({ reservation: id, amount, charge: amount, windows }),
    )
    const entries = reservations.map(({ entry }) => entry)
    const crossings = yield* charge(entries, settlements)
    return { amount: reservations.reduce((sum, { amount }) => sum + amount, 0), crossings }
  }

  function* payTurn(turn: string, amount: number): Work<number | null> {
    const [paid] = yield* run(statements.addCost, { turn, amount })
    return paid?.cost ?? null
  }

  function* settleTurn(turn: string): Work<Abandoned> {
    return yield* settleRows((yield* run(statements.ofTurn, { turn })) as StoredReservation[])
  }

  return { charge, reserve, tryReserve, usedUp, payTurn, settleTurn, settleRows }
}

const nothing: Abandoned = { amount: 0, crossings: [] }
