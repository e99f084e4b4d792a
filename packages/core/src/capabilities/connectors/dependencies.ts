import type { Clock } from '../../kernel/clock.ts'
import type { CallContext } from '../../kernel/context.ts'
import type { ChangeNote } from '../config/index.ts'
import type { Vault, VaultWrite } from '../vault/index.ts'
import type { ConnectorDefinition } from './connector.ts'
import type { ConnectorDriver } from './driver.ts'
import type { ConnectorStore } from './store.ts'

/** What operators have defined, by tenant. */
export interface ConnectorDefinitions {
  /** The same list as before while nothing has changed; at once, when it is known. */
  list(tenant: string): readonly ConnectorDefinition[] | Promise<readonly ConnectorDefinition[]>
  /**
   * Makes one of what it is, null for none, and writes its secrets, both or neither. `make` is asked again for what
   * others have changed meanwhile; what it throws refuses the change.
   */
  change(context: CallContext, name: string, change: ConnectorChange, note: ChangeNote): Promise<void>
}

export interface ConnectorChange {
  readonly make: (current: ConnectorDefinition | null) => ConnectorDefinition | null
  readonly secrets: readonly VaultWrite[]
}

export interface ConnectorsDependencies {
  readonly driver: ConnectorDriver | undefined
  readonly definitions: ConnectorDefinitions
  readonly store: ConnectorStore
  readonly vault: Vault
  readonly clock: Clock
  readonly allowProcesses: boolean
  report(error: unknown, where: string): void
}
