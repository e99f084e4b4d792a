import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { type Principal, reachOf } from '../../kernel/context.ts'
import { paged } from '../../kernel/pages.ts'
import type { ChargeCall } from '../models/index.ts'
import { type Accounting, type EndedCall, released } from './accounting.ts'
import { type Budget, type BudgetCrossing, type CallSubject, exhausted, windowOf } from './budget.ts'
import type { BudgetState, costOperations } from './contract.ts'
import { costErrors } from './errors.ts'
import type { BudgetRow, Charges, CostStore, Grouping } from './store.ts'

const hour = 3_600_000
const groupings: readonly string[] = ['subject', 'agent', 'model', 'hour', 'day'] satisfies Grouping[]
const mostRows = 10_000
const mostBudgets = 1_000
const settleBatch = 100

export interface CostsDependencies {
  readonly store: CostStore
  readonly accounting: Accounting
  /** Those of the tenant's active generation. */
  budgetsOf(tenant: string): readonly Budget[] | Promise<readonly Budget[]>
  readonly clock: Clock
  readonly instance: string
  /** Told once of every threshold that is reached. */
  crossed(crossings: readonly BudgetCrossing[]): void
}

export interface Costs extends Implementation<typeof costOperations> {
  /** Accounts for calls outside of turns. */
  readonly charge: ChargeCall
  /** Settles what dead instances have set aside for calls outside of turns. */
  settleAbandoned(staleBefore: number): Promise<void>
}

export function createCosts(dependencies: CostsDependencies): Costs {
  const { accounting, budgetsOf, clock, crossed, instance, store } = dependencies

  const charge: ChargeCall = async (principal, model, requestBytes, maxOutputTokens) => {
    const { tenant, subject } = principal
    const found = budgetsOf(tenant)
    const budgets = found instanceof Promise ? await found : found
    const call = accounting.open(subjectOf(principal, budgets), model, requestBytes, maxOutputTokens)
    const reservation = call.reservation ?? accounting.trace(call)
    const refused = await store.reserve({ tenant, subject }, reservation, instance, clock.now())
    if (refused) throw exhausted(refused, clock.now())
    const record = async (charges: Omit<Charges, 'at'>) =>
      crossed(await store.charge({ tenant, subject }, { ...charges, at: clock.now() }))
    const ended = async ({ entry, settlement, usage }: EndedCall) => {
      const ledger = [{ ...entry, id: reservation.entry.id }]
      await record({ ledger, settlements: [settlement ?? released(reservation)] })
      return usage
    }
    return {
      finished: (usage, saidBytes) => ended(accounting.finished(call, usage, saidBytes)),
      unrated: () => ended(accounting.unrated(call)),
      async failed(saidBytes) {
        if (saidBytes > 0) await ended(accounting.cut(call, saidBytes))
        else await record({ ledger: [], settlements: [released(reservation)] })
      },
    }
  }

  function stateOf(budget: Budget, row: Omit<BudgetRow, 'budget'>): BudgetState {
    const remaining = budget.amount - row.spent - row.reserved
    return {
      id: budget.id,
      scope: budget.scope,
      period: budget.period,
      tenant: row.tenant,
      value: row.value,
      windowStart: row.start,
      windowEnd: row.end === Number.MAX_SAFE_INTEGER ? null : row.end,
      limit: budget.amount,
      spent: row.spent,
      reserved: row.reserved,
      remaining: remaining < 0n ? 0n : remaining,
      crossed: budget.thresholds.filter((percent) => percent <= row.crossed),
    }
  }

  return {
    charge,

    async settleAbandoned(staleBefore) {
      for (;;) {
        const settled = await store.settleAbandoned(instance, staleBefore, clock.now(), settleBatch)
        if (settled < settleBatch) return
      }
    },

    report({ principal }, { from, to, groupBy = [], limit = 1_000 }) {
      if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to <= from) {
        throw costErrors.REPORT_INVALID({ message: 'from and to are milliseconds since the epoch, from before to' })
      }
      const wrong = groupBy.some((by) => !groupings.includes(by)) || new Set(groupBy).size < groupBy.length
      if (wrong || (groupBy.includes('hour') && groupBy.includes('day'))) {
        throw costErrors.REPORT_INVALID({ message: `groups are ${groupings.join(', ')}; of hour and day only one` })
      }
      if (!Number.isInteger(limit) || limit < 1 || limit > mostRows) {
        throw costErrors.REPORT_INVALID({ message: `a report has 1 to ${mostRows} rows` })
      }
      const hours = { from: Math.floor(from / hour) * hour, to: Math.ceil(to / hour) * hour }
      return store.report(reachOf(principal), { ...hours, groupBy, limit })
    },

    entries({ principal }, input) {
      const { window, filter } = paged(input)
      return store.entries(reachOf(principal), window, filter)
    },

    async budgets({ principal }) {
      const at = clock.now()
      const reach = reachOf(principal)
      const known = new Map((await budgetsOf(reach.tenant)).map((budget) => [budget.id, budget]))
      const rows = known.size === 0 ? [] : await store.budgets(reach, at, mostBudgets)
      const states = rows.flatMap((row) => {
        const budget = known.get(row.budget)
        return budget ? stateOf(budget, row) : []
      })
      // A budget that nothing has been spent of has no row yet.
      for (const budget of known.values()) {
        const value = soleValue(budget, principal)
        if (value === null || (budget.tenant ?? reach.tenant) !== reach.tenant) continue
        const { start, end } = windowOf(budget, reach.tenant, value, principal.subject, at)
        if (states.some((state) => state.id === budget.id && state.value === value && state.windowStart === start))
          continue
        const row = { tenant: reach.tenant, value, start, end, spent: 0n, reserved: 0n, crossed: 0 }
        states.push(stateOf(budget, row))
      }
      return states
    },
  }
}

/** The one value whose window is shown although nothing was spent; null when there may be many, or others'. */
function soleValue({ only, scope }: Budget, principal: Principal): string | null {
  const operator = reachOf(principal).subject === null
  if (scope === 'subject' && !operator)
    return (only ?? principal.subject) === principal.subject ? principal.subject : null
  if (!operator) return null
  if (scope === 'tenant') return (only ?? principal.tenant) === principal.tenant ? principal.tenant : null
  return only ?? null
}

const subjectOf = ({ subject, tenant }: Principal, budgets: readonly Budget[]): CallSubject => ({
  tenant,
  subject,
  session: null,
  turn: null,
  step: 0,
  agent: null,
  schedule: null,
  budgets,
})
