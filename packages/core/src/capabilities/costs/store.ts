import type { Owner, Reach } from '../../kernel/context.ts'
import type { Window } from '../../kernel/pages.ts'
import type { Usage } from '../sessions/index.ts'
import type { BudgetCrossing, BudgetWindow } from './budget.ts'

/** How a call's cost came about: counted by the provider, taken from its reservation, or estimated from the bytes. */
export type ChargeOutcome = 'settled' | 'at-reservation' | 'estimated'

/** One model call that was paid for. */
export interface LedgerEntry extends Owner {
  readonly id: string
  readonly session: string | null
  readonly turn: string | null
  /** 1, 2, 3 ... within the turn; 0 outside of turns. Retries of a step share its number. */
  readonly step: number
  readonly agent: string | null
  readonly schedule: string | null
  /** `provider/model`. */
  readonly model: string
  readonly provider: string
  readonly usage: Usage
  /** Pico-dollars (1e-12 USD); null when the price is unknown. */
  readonly cost: number | null
  /** `registration`, `genai-prices@<version>`, `unknown`. */
  readonly priceSource: string
  /** The rates it was priced by; null when unknown. */
  readonly price: string | null
  /** When those rates were taken. */
  readonly priceAt: number | null
  readonly outcome: ChargeOutcome
  readonly at: number
}

/** A call that is being made, and the money it may need, set aside in every budget it falls under. */
export interface Reservation {
  readonly id: string
  /** Pico-dollars. */
  readonly amount: number
  /** By rising key, so that nobody waits for each other in a ring. None for a call that no budget limits. */
  readonly windows: readonly BudgetWindow[]
  /** What is written when nobody lives to say what the call has cost. */
  readonly entry: LedgerEntry
}

/** The end of a reservation: what was set aside is free again, what was spent is spent. */
export interface Settlement {
  readonly reservation: string
  readonly amount: number
  readonly charge: number
  readonly windows: readonly BudgetWindow[]
}

/** Calls that have ended, and what becomes of their reservations. */
export interface Charges {
  readonly at: number
  readonly ledger: readonly LedgerEntry[]
  readonly settlements: readonly Settlement[]
}

export type Grouping = 'subject' | 'agent' | 'model' | 'hour' | 'day'

export interface ReportQuery {
  /** Milliseconds since the epoch; widened to the hours it touches. */
  readonly from: number
  readonly to: number
  readonly groupBy: readonly Grouping[]
  readonly limit: number
}

export interface CostReportRow {
  readonly subject?: string
  /** Empty for calls outside of agents. */
  readonly agent?: string
  readonly model?: string
  /** Start of the hour or day. */
  readonly bucket?: number
  readonly calls: number
  readonly usage: Usage
  /** Pico-dollars of the calls whose price is known. */
  readonly cost: bigint
  readonly unknownPriceCalls: number
}

export interface EntryFilter {
  readonly turn?: string
  readonly session?: string
  readonly agent?: string
  readonly model?: string
}

/** What stands in a budget's row. */
export interface BudgetRow {
  readonly budget: string
  readonly tenant: string
  readonly value: string
  readonly start: number
  readonly end: number
  readonly spent: bigint
  readonly reserved: bigint
  /** The highest threshold that was told of; 0 for none. */
  readonly crossed: number
}

/** The ledger, its roll-ups and the budgets. The calls of turns are written by the turns' own commits. */
export interface CostStore {
  /**
   * Sets money aside for a call outside of any turn, in all its budgets or, when one has no room, in none: that one is
   * returned. Atomic: however many ask at once, no budget is given away twice.
   */
  reserve(owner: Owner, reservation: Reservation, instance: string, at: number): Promise<BudgetWindow | null>

  /**
   * Writes calls into ledger and roll-ups and settles their reservations, each at most once: a call whose reservation
   * somebody else has settled has its row already. Atomic.
   */
  charge(owner: Owner, charges: Charges): Promise<readonly BudgetCrossing[]>

  /**
   * Settles, at their amount, up to `limit` reservations of calls outside of turns that other instances made whose
   * heartbeat is older than `staleBefore`. Returns how many. Atomic.
   */
  settleAbandoned(instance: string, staleBefore: number, at: number, limit: number): Promise<number>

  /** Newest first. One query. */
  entries(reach: Reach, window: Window, filter?: EntryFilter): Promise<LedgerEntry[]>

  /** From the roll-ups alone, dearest first, then by what is grouped by. One query. */
  report(reach: Reach, query: ReportQuery): Promise<CostReportRow[]>

  /** The windows that `at` lies in, those that end first coming first. With a subject only what is that subject's alone. */
  budgets(reach: Reach, at: number, limit: number): Promise<BudgetRow[]>
}
