import type { Features } from '../engine.ts'

/** One numbered step of a capability's schema. Never changed once it was published. */
export interface Migration {
  readonly capability:
    | 'sessions'
    | 'loop'
    | 'approvals'
    | 'breakers'
    | 'config'
    | 'connectors'
    | 'costs'
    | 'memory'
    | 'vault'
  /** 1, 2, 3 ... within the capability. */
  readonly number: number
  statements(features: Features): readonly string[]
}
