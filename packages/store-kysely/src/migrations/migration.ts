import type { Features } from '../engine.ts'

/** One numbered step of a capability's schema. Never changed once it was published. */
export interface Migration {
  readonly capability: 'sessions' | 'loop' | 'approvals' | 'breakers' | 'costs' | 'memory'
  /** 1, 2, 3 ... within the capability. */
  readonly number: number
  statements(features: Features): readonly string[]
}
