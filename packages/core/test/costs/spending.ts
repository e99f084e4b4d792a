import { type BudgetDefinition, usd } from '@keelson/core'

export const budgets: readonly BudgetDefinition[] = [
  // All callers of a tenant together.
  { id: 'tenant-monthly', scope: 'tenant', period: 'month', amount: usd(500) },
  // Each of them alone. Told of at 80 and at 100 percent.
  { id: 'caller-daily', scope: 'subject', period: 'day', amount: usd('2.50'), thresholds: [80, 100] },
  // One conversation, however long it lasts.
  { id: 'conversation', scope: 'session', period: 'total', amount: usd('1.75') },
]
