import type { BudgetCrossing, BudgetWindow, LedgerEntry, Reservation } from '@keelson/core/stores'
import type { BudgetWindowTable, CostRollupTable, LedgerTable, ReservationTable } from './schema-costs.ts'

export const hour = 3_600_000
export const day = 86_400_000

export const ledgerColumns = [
  'id',
  'tenant',
  'subject',
  'session',
  'turn',
  'step',
  'agent',
  'schedule',
  'model',
  'provider',
  'input',
  'cache_read',
  'cache_write',
  'output',
  'reasoning',
  'cost',
  'price_source',
  'price',
  'price_at',
  'outcome',
  'at',
] as const

export const ledgerRow = ({ usage, ...entry }: LedgerEntry): LedgerTable => ({
  id: entry.id,
  tenant: entry.tenant,
  subject: entry.subject,
  session: entry.session,
  turn: entry.turn,
  step: entry.step,
  agent: entry.agent,
  schedule: entry.schedule,
  model: entry.model,
  provider: entry.provider,
  input: usage.input,
  cache_read: usage.cacheRead,
  cache_write: usage.cacheWrite,
  output: usage.output,
  reasoning: usage.reasoning,
  cost: entry.cost,
  price_source: entry.priceSource,
  price: entry.price,
  price_at: entry.priceAt,
  outcome: entry.outcome,
  at: entry.at,
})

export const entryOf = (row: LedgerTable): LedgerEntry => ({
  id: row.id,
  tenant: row.tenant,
  subject: row.subject,
  session: row.session,
  turn: row.turn,
  step: row.step,
  agent: row.agent,
  schedule: row.schedule,
  model: row.model,
  provider: row.provider,
  usage: {
    input: row.input,
    cacheRead: row.cache_read,
    cacheWrite: row.cache_write,
    output: row.output,
    reasoning: row.reasoning,
  },
  cost: row.cost,
  priceSource: row.price_source,
  price: row.price,
  priceAt: row.price_at,
  outcome: row.outcome,
  at: row.at,
})

export const rollupColumns = [
  'tenant',
  'subject',
  'grain',
  'bucket',
  'agent',
  'model',
  'calls',
  'unknown_calls',
  'input',
  'cache_read',
  'cache_write',
  'output',
  'reasoning',
  'cost',
] as const satisfies readonly (keyof CostRollupTable)[]

/** What is summed; the other columns are the key. */
export const rollupSums = rollupColumns.slice(6) as readonly Exclude<
  (typeof rollupColumns)[number],
  'tenant' | 'subject' | 'grain' | 'bucket' | 'agent' | 'model'
>[]

/** What entries add to the roll-ups: one row per key, in the order in which everybody locks them. */
export function rollupRows(entries: readonly LedgerEntry[]): CostRollupTable[] {
  const rows = new Map<string, CostRollupTable>()
  for (const entry of entries) {
    for (const grain of [hour, day]) {
      const row = rollupRow(entry, grain)
      if (entries.length === 1) rows.set(String(grain), row)
      else add(rows, JSON.stringify([row.tenant, row.subject, grain, row.bucket, row.agent, row.model]), row)
    }
  }
  if (entries.length === 1) return [...rows.values()]
  return [...rows].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row)
}

function add(rows: Map<string, CostRollupTable>, key: string, row: CostRollupTable): void {
  const known = rows.get(key)
  if (known === undefined) {
    rows.set(key, row)
    return
  }
  for (const sum of rollupSums) {
    if (sum === 'cost') known.cost += row.cost
    else known[sum] += row[sum]
  }
}

function rollupRow({ at, cost, usage, ...entry }: LedgerEntry, grain: number): CostRollupTable {
  return {
    tenant: entry.tenant,
    subject: entry.subject,
    grain,
    bucket: Math.floor(at / grain) * grain,
    agent: entry.agent ?? '',
    model: entry.model,
    calls: 1,
    unknown_calls: cost === null ? 1 : 0,
    input: usage.input,
    cache_read: usage.cacheRead,
    cache_write: usage.cacheWrite,
    output: usage.output,
    reasoning: usage.reasoning,
    cost: BigInt(cost ?? 0),
  }
}

export const windowColumns = [
  'key',
  'budget',
  'tenant',
  'subject',
  'value',
  'starts_at',
  'ends_at',
  'amount',
  'reserved',
  'spent',
  'crossed',
] as const satisfies readonly (keyof BudgetWindowTable)[]

/** A window with what is to be added to it. */
export const windowRow = (window: BudgetWindow, reserved: bigint, spent: bigint): BudgetWindowTable => ({
  key: window.key,
  budget: window.budget,
  tenant: window.tenant,
  subject: window.subject,
  value: window.value,
  starts_at: window.start,
  ends_at: window.end,
  amount: window.amount,
  reserved,
  spent,
  crossed: 0,
})

export const reservationColumns = [
  'id',
  'turn',
  'instance',
  'amount',
  'entry',
  'windows',
  'created_at',
] as const satisfies readonly (keyof ReservationTable)[]

export const reservationRow = (
  { amount, entry, id, windows }: Reservation,
  turn: string | null,
  instance: string,
  at: number,
): ReservationTable => ({
  id,
  turn,
  instance,
  amount,
  entry: JSON.stringify(entry),
  windows: JSON.stringify(windows.map((window) => ({ ...window, amount: String(window.amount) }))),
  created_at: at,
})

export function reservationOf(row: Pick<ReservationTable, 'id' | 'amount' | 'entry' | 'windows'>): Reservation {
  const windows = JSON.parse(row.windows) as (Omit<BudgetWindow, 'amount'> & { amount: string })[]
  return {
    id: row.id,
    amount: row.amount,
    entry: JSON.parse(row.entry) as LedgerEntry,
    windows: windows.map((window) => ({ ...window, amount: BigInt(window.amount) })),
  }
}

/** The thresholds that have been reached since the highest that was told of. */
export const crossingsOf = (window: BudgetWindow, spent: bigint, told: number): BudgetCrossing[] =>
  window.thresholds
    .filter((percent) => percent > told && window.amount > 0n && spent * 100n >= BigInt(percent) * window.amount)
    .map((percent) => ({ window, percent, spent }))
