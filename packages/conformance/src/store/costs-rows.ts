import type { BudgetWindow, LedgerEntry, Reservation, Settlement } from '@keelson/core/stores'
import { ada, newId, start } from './scene.ts'

export const hour = 3_600_000
export const day = 24 * hour

export const newEntry = (values: Partial<LedgerEntry> = {}): LedgerEntry => ({
  id: newId('call'),
  ...ada,
  session: null,
  turn: null,
  step: 0,
  agent: 'assistant',
  schedule: null,
  model: 'demo/echo',
  provider: 'demo',
  usage: { input: 10, cacheRead: 2, cacheWrite: 3, output: 5, reasoning: 1 },
  cost: 1_000,
  priceSource: 'registration',
  price: 'input 10, output 100',
  priceAt: start - 1,
  outcome: 'settled',
  at: start,
  ...values,
})

export const newWindow = (budget: string, amount: bigint, values: Partial<BudgetWindow> = {}): BudgetWindow => ({
  key: JSON.stringify([budget, 'acme']),
  budget,
  tenant: 'acme',
  subject: null,
  value: 'acme',
  start: start - hour,
  end: start + hour,
  amount,
  thresholds: [50, 100],
  ...values,
})

export const reserving = (
  amount: number,
  windows: readonly BudgetWindow[],
  values: Partial<LedgerEntry> = {},
): Reservation => {
  const entry = newEntry({ cost: amount, outcome: 'at-reservation', ...values })
  return { id: entry.id, amount, windows, entry }
}

export const settling = ({ amount, id, windows }: Reservation, charge: number): Settlement => ({
  reservation: id,
  amount,
  charge,
  windows,
})
