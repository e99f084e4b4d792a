import { operation } from '../../contract/operation.ts'

export interface Health {
  readonly status: 'ok'
  readonly version: string
  readonly uptimeMs: number
  /** Every agent with the models it would be given now, best first. */
  readonly agents: readonly { readonly id: string; readonly name: string; readonly models: readonly string[] }[]
}

export const systemOperations = {
  /** Status, version, and the agents with the models they would be given now. Open to everybody. */
  health: operation<void, Health>({ auth: 'open', effect: 'read', errors: [] }),
}
