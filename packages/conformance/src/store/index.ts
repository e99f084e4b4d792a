import { describe } from 'vitest'
import { describeApprovals } from './approvals.ts'
import { describeBreakers } from './breakers.ts'
import { describeConfig } from './config.ts'
import { describeConnectors } from './connectors.ts'
import { describeCosts } from './costs.ts'
import { describeLoop } from './loop.ts'
import { describeMemory } from './memory.ts'
import type { StoreSubject } from './scene.ts'
import { describeSessions } from './sessions.ts'
import { describeSelections } from './sessions-selections.ts'
import { describeVault } from './vault.ts'

export type { OpenedStore, StoreSubject } from './scene.ts'

/**
 * Proves that a store keeps every promise of its ports: ownership, races, fences, order and atomicity. `open` is called
 * before each test and gives a store that is empty.
 */
export function describeStore(name: string, subject: StoreSubject): void {
  describe(name, () => {
    describeSessions(subject)
    describeSelections(subject)
    describeLoop(subject)
    describeApprovals(subject)
    describeBreakers(subject)
    describeConfig(subject)
    describeVault(subject)
    describeConnectors(subject)
    describeCosts(subject)
    describeMemory(subject)
  })
}
