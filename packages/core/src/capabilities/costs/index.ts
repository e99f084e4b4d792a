export type { Accounting, EndedCall, OpenCall } from './accounting.ts'
export { released } from './accounting.ts'
export type {
  Budget,
  BudgetCrossing,
  BudgetDefinition,
  BudgetPeriod,
  BudgetScope,
  BudgetWindow,
  CallSubject,
} from './budget.ts'
export { exhausted, usd } from './budget.ts'
export type { BudgetState, CostReport } from './contract.ts'
export { costOperations } from './contract.ts'
export { costErrors } from './errors.ts'
export type { PriceSource, Rate, RateCard, Rates, TieredRate } from './rate-card.ts'
export type { Budgets } from './section.ts'
export type * from './store.ts'
