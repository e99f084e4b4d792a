import { describe } from 'vitest'
import { describeBudgets } from './costs-budgets.ts'
import { describeLedger } from './costs-ledger.ts'
import type { StoreSubject } from './scene.ts'

export function describeCosts(subject: StoreSubject): void {
  describe('costs', () => {
    describeLedger(subject)
    describeBudgets(subject)
  })
}
