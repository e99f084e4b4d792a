import { operation } from '../../contract/operation.ts'
import type { Page } from '../../kernel/pages.ts'
import type { BudgetPeriod, BudgetScope } from './budget.ts'
import type { CostReportRow, EntryFilter, Grouping, LedgerEntry } from './store.ts'

export interface CostReport {
  /** Milliseconds since the epoch, inclusive; taken back to the start of its hour. */
  readonly from: number
  /** Exclusive; taken forward to the end of its hour. */
  readonly to: number
  /** At most one of `hour` and `day`, in UTC. @default [] one row of all */
  readonly groupBy?: readonly Grouping[]
  /** Most rows, 1 to 10,000. @default 1_000 */
  readonly limit?: number
}

/** What a budget's current window holds. Amounts are pico-dollars. */
export interface BudgetState {
  readonly id: string
  readonly scope: BudgetScope
  readonly period: BudgetPeriod
  readonly tenant: string
  /** The tenant, subject, agent, model, session or schedule it limits. */
  readonly value: string
  readonly windowStart: number
  /** Null for a budget without end. */
  readonly windowEnd: number | null
  readonly limit: bigint
  readonly spent: bigint
  /** Set aside for calls that run. */
  readonly reserved: bigint
  /** Never below 0. */
  readonly remaining: bigint
  /** Thresholds that were told of, in percent. */
  readonly crossed: readonly number[]
}

const read = { auth: 'caller', effect: 'read', errors: [] } as const

export const costOperations = {
  /** Sums from the roll-ups: operators of their tenant, others of their own calls. Dearest first. */
  report: operation<CostReport, CostReportRow[]>({ ...read, errors: ['REPORT_INVALID'] }),
  /** The ledger, newest first. */
  entries: operation<(Page & EntryFilter) | undefined, LedgerEntry[]>(read),
  /** Current windows: operators see those of their tenant, others those that are theirs alone. At most 1,000. */
  budgets: operation<void, BudgetState[]>(read),
}
