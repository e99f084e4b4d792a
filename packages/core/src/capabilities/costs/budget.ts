import type { Owner } from '../../kernel/context.ts'
import { costErrors } from './errors.ts'

export type BudgetScope = 'tenant' | 'subject' | 'agent' | 'model' | 'session' | 'schedule'
export type BudgetPeriod = 'hour' | 'day' | 'month' | 'total'

/** A limit on what may be spent. Every tenant, and every value of the scope, has a budget of its own. */
export interface BudgetDefinition {
  /** Unique among the budgets. */
  readonly id: string
  readonly scope: BudgetScope
  /** Only this tenant, subject, agent, model (`provider/model`), session or schedule. @default each */
  readonly only?: string
  /** Only in this tenant. @default every tenant */
  readonly tenant?: string
  /** Windows follow the calendar in UTC. */
  readonly period: BudgetPeriod
  /** Pico-dollars (1e-12 USD) per window; see `usd`. */
  readonly amount: number | bigint
  /** What becomes of a call to a model whose price is unknown. @default 'refuse' */
  readonly unknownPrice?: 'refuse' | 'allow'
  /** Percentages of the amount; each is told of once per window, when what was spent reaches it. @default [50, 80, 100] */
  readonly thresholds?: readonly number[]
}

export interface Budget extends BudgetDefinition {
  readonly amount: bigint
  readonly unknownPrice: 'refuse' | 'allow'
  readonly thresholds: readonly number[]
}

/** One window of one budget: the row that calls reserve from. */
export interface BudgetWindow {
  /** Names the row. */
  readonly key: string
  readonly budget: string
  readonly tenant: string
  /** Whose alone it is; null for what several subjects share. */
  readonly subject: string | null
  /** The tenant, subject, agent, model, session or schedule it limits. */
  readonly value: string
  readonly start: number
  /** `Number.MAX_SAFE_INTEGER` for a budget without end. */
  readonly end: number
  readonly amount: bigint
  readonly thresholds: readonly number[]
}

/** What was spent of a budget has reached a percentage of its amount. */
export interface BudgetCrossing {
  readonly window: BudgetWindow
  readonly percent: number
  readonly spent: bigint
}

/** Who and what a call is for. */
export interface CallSubject extends Owner {
  readonly session: string | null
  readonly turn: string | null
  /** 1, 2, 3 ... within the turn; 0 outside of turns. */
  readonly step: number
  readonly agent: string | null
  readonly schedule: string | null
  /** All that may limit it. */
  readonly budgets: readonly Budget[]
}

const scopes: readonly string[] = ['tenant', 'subject', 'agent', 'model', 'session', 'schedule']
const periods: readonly string[] = ['hour', 'day', 'month', 'total']
/** Sums stay within 64 bits. */
const largestAmount = 4_000_000_000_000_000_000n

/** Pico-dollars of a decimal number of US dollars, exactly: `usd('0.01')`. Throws `BUDGET_INVALID`. */
export function usd(dollars: number | string): bigint {
  const match = /^(\d{1,12})(?:\.(\d{1,12}))?$/.exec(String(dollars))
  if (!match) {
    throw costErrors.BUDGET_INVALID({ message: 'an amount of dollars is a decimal number with at most 12 places' })
  }
  return BigInt(match[1] ?? '0') * 1_000_000_000_000n + BigInt((match[2] ?? '').padEnd(12, '0'))
}

/** The definitions with their defaults. Throws `BUDGET_INVALID`. */
export function compileBudgets(definitions: readonly BudgetDefinition[]): readonly Budget[] {
  const ids = new Set<string>()
  return definitions.map((definition) => {
    const { id, scope, period, amount, unknownPrice = 'refuse', thresholds = [50, 80, 100] } = definition
    const wrong = (what: string) => costErrors.BUDGET_INVALID({ message: `the budget ${JSON.stringify(id)} ${what}` })
    if (typeof id !== 'string' || id === '' || id.length > 128) throw wrong('needs an id of 1 to 128 characters')
    if (ids.has(id)) throw wrong('is there twice')
    ids.add(id)
    if (!scopes.includes(scope)) throw wrong(`needs a scope: ${scopes.join(', ')}`)
    if (!periods.includes(period)) throw wrong(`needs a period: ${periods.join(', ')}`)
    const whole = typeof amount === 'bigint' || (typeof amount === 'number' && Number.isSafeInteger(amount))
    if (!whole || amount < 0 || amount > largestAmount) {
      throw wrong('needs an amount in whole pico-dollars, 0 to 4e18; a larger number than 2^53 is a bigint')
    }
    if (unknownPrice !== 'refuse' && unknownPrice !== 'allow') throw wrong('has an unknown policy for unknown prices')
    if (!thresholds.every((percent) => Number.isSafeInteger(percent) && percent > 0 && percent <= 1_000)) {
      throw wrong('has a threshold that is no whole percentage from 1 to 1000')
    }
    const rising = [...new Set(thresholds)].sort((one, other) => one - other)
    return { ...definition, amount: BigInt(amount), unknownPrice, thresholds: rising }
  })
}

/** The window of the calendar, in UTC, that a moment lies in. */
export function windowAt(period: BudgetPeriod, at: number): { readonly start: number; readonly end: number } {
  if (period === 'total') return { start: 0, end: Number.MAX_SAFE_INTEGER }
  if (period === 'month') {
    const date = new Date(at)
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
    return { start: Date.UTC(year, month), end: Date.UTC(year, month + 1) }
  }
  const length = period === 'hour' ? 3_600_000 : 86_400_000
  const start = Math.floor(at / length) * length
  return { start, end: start + length }
}

function valueFor(scope: BudgetScope, subject: CallSubject, model: string): string | null {
  return scope === 'model' ? model : subject[scope]
}

/** The budgets that a call is limited by. */
export const applying = (budgets: readonly Budget[], subject: CallSubject, model: string): readonly Budget[] =>
  budgets.filter(({ only, scope, tenant }) => {
    const value = valueFor(scope, subject, model)
    return value !== null && (only ?? value) === value && (tenant ?? subject.tenant) === subject.tenant
  })

/** Their windows at a moment, in the order in which everybody locks them. */
export const windowsOf = (
  budgets: readonly Budget[],
  subject: CallSubject,
  model: string,
  at: number,
): readonly BudgetWindow[] =>
  budgets
    .map((budget) =>
      windowOf(budget, subject.tenant, valueFor(budget.scope, subject, model) ?? '', subject.subject, at),
    )
    .sort((one, other) => (one.key < other.key ? -1 : 1))

/** `subject` is taken over where the scope belongs to one. */
export function windowOf(budget: Budget, tenant: string, value: string, subject: string, at: number): BudgetWindow {
  const { id, scope, amount, thresholds } = budget
  const { start, end } = windowAt(budget.period, at)
  const own = scope === 'subject' || scope === 'session'
  const key = JSON.stringify([id, tenant, value, start])
  return { key, budget: id, tenant, subject: own ? subject : null, value, start, end, amount, thresholds }
}

/** The error of a call that does not fit into a budget any more. */
export function exhausted({ budget, value, end, amount }: BudgetWindow, now: number) {
  const endless = end === Number.MAX_SAFE_INTEGER
  const until = endless ? 'it has no end' : `its window ends at ${new Date(end).toISOString()}`
  return costErrors.BUDGET_EXHAUSTED({
    message: `the budget ${JSON.stringify(budget)} has no room for this call; ${until}`,
    details: { budget, value, amount: String(amount), windowEnd: endless ? null : end },
    ...(endless ? {} : { retryAfterMs: Math.max(0, end - now) }),
  })
}
