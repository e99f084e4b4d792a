import { isKeelsonError } from '../../kernel/errors.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { ConfigContent, ConfigSection } from '../config/index.ts'
import { type Budget, type BudgetDefinition, compileBudgets, usd } from './budget.ts'

const fields: readonly string[] = [
  'enabled',
  'scope',
  'only',
  'period',
  'amount',
  'unknownPrice',
  'thresholds',
] satisfies (keyof BudgetEntry)[]

/** A budget of one tenant as the `budgets` section has it; the id is that of the entry. */
export interface BudgetEntry extends Partial<Omit<BudgetDefinition, 'id' | 'tenant' | 'amount'>> {
  /** False takes a budget of the code away. */
  readonly enabled?: boolean
  /** US dollars per window as a decimal text, e.g. `0.50`. */
  readonly amount?: string
}

/** Budgets of the code, with what generations say of them. */
export interface Budgets {
  /** Those that hold under a content. The same list as long as the content is the same. */
  within(tenant: string, content: ConfigContent): readonly Budget[]
  readonly section: ConfigSection
}

const none: readonly Budget[] = []

/** Throws `BUDGET_INVALID` for a definition of the code. */
export function createBudgets(definitions: readonly BudgetDefinition[]): Budgets {
  const code = compileBudgets(definitions)
  const made = new WeakMap<ConfigContent, Map<string, readonly Budget[]>>()

  /** Null for a budget that is switched off. Throws `BUDGET_INVALID`. */
  function budgetOf(tenant: string, id: string, entry: BudgetEntry): Budget | null {
    const { enabled, amount, ...rest } = entry
    const own = code.find((budget) => budget.id === id && (budget.tenant ?? tenant) === tenant)
    const sum = amount === undefined ? own?.amount : usd(amount)
    const definition = { ...own, ...rest, id, tenant, ...(sum === undefined ? {} : { amount: sum }) }
    const [budget] = compileBudgets([definition as BudgetDefinition])
    return enabled === false || budget === undefined ? null : budget
  }

  function make(tenant: string, entries: ConfigContent[string]): readonly Budget[] {
    const kept = code.filter(({ id, tenant: of }) => !Object.hasOwn(entries, id) || (of ?? tenant) !== tenant)
    return [
      ...kept,
      ...Object.entries(entries).flatMap(([id, entry]) => budgetOf(tenant, id, entry as BudgetEntry) ?? []),
    ]
  }

  return {
    within(tenant, content) {
      const entries = content['budgets']
      if (entries === undefined) return code.length === 0 ? none : code
      const known = made.get(content) ?? new Map<string, readonly Budget[]>()
      made.set(content, known)
      const budgets = known.get(tenant) ?? make(tenant, entries)
      known.set(tenant, budgets)
      return budgets
    },

    section: {
      name: 'budgets',
      code: () => Object.fromEntries(code.map((budget) => [budget.id, jsonOf(budget)])),

      check(id, entry, { tenant }) {
        const unknown = Object.keys(entry).filter((key) => !fields.includes(key))
        if (unknown.length > 0) return unknown.map((key) => `${key} is not known; there are: ${fields.join(', ')}`)
        const { amount, enabled, only, thresholds } = entry
        if (enabled !== undefined && typeof enabled !== 'boolean') return ['enabled must be true or false']
        if (amount !== undefined && typeof amount !== 'string') return ['amount must be a text of dollars, e.g. "0.50"']
        if (only !== undefined && typeof only !== 'string') return ['only must be a text']
        if (thresholds !== undefined && !Array.isArray(thresholds)) return ['thresholds must be a list of percentages']
        try {
          budgetOf(tenant, id, entry as BudgetEntry)
          return []
        } catch (error) {
          if (isKeelsonError(error)) return [error.message]
          throw error
        }
      },
    },
  }
}

const jsonOf = ({ id: _, amount, thresholds, ...rest }: Budget): JsonObject => ({
  ...rest,
  amount: String(amount),
  thresholds: [...thresholds],
})
