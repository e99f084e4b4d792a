import type { ChargeOutcome } from '@keelson/core/stores'

/** As in `schema.ts`: times are milliseconds; columns that say so hold JSON text. */
export interface LedgerTable {
  id: string
  tenant: string
  subject: string
  session: string | null
  turn: string | null
  step: number
  agent: string | null
  schedule: string | null
  model: string
  provider: string
  input: number
  cache_read: number
  cache_write: number
  output: number
  reasoning: number
  /** Pico-dollars. */
  cost: number | null
  price_source: string
  price: string | null
  price_at: number | null
  outcome: ChargeOutcome
  at: number
}

/** Sums of the ledger. Money outgrows the numbers of JavaScript: it is read as text. */
export interface CostRollupTable {
  tenant: string
  subject: string
  /** Length of the bucket in milliseconds: an hour or a day. */
  grain: number
  bucket: number
  /** Empty outside of agents. */
  agent: string
  model: string
  calls: number
  unknown_calls: number
  input: number
  cache_read: number
  cache_write: number
  output: number
  reasoning: number
  cost: bigint
}

export interface BudgetWindowTable {
  key: string
  budget: string
  tenant: string
  /** Whose alone it is. */
  subject: string | null
  value: string
  starts_at: number
  ends_at: number
  amount: bigint
  reserved: bigint
  spent: bigint
  /** Percent. */
  crossed: number
}

export interface ReservationTable {
  id: string
  /** Null for a call outside of turns. */
  turn: string | null
  instance: string
  amount: number
  /** JSON: the ledger entry of a call that nobody settles. */
  entry: string
  /** JSON. */
  windows: string
  created_at: number
}
