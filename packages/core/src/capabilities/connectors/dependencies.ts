import type { Clock } from '../../kernel/clock.ts'
import type { CallContext } from '../../kernel/context.ts'
import type { ChangeNote } from '../config/index.ts'
import type { Vault } from '../vault/index.ts'
import type { ConnectorDefinition } from './connector.ts'
import type { ConnectorDriver } from './driver.ts'
import type { ConnectorStore } from './store.ts'

/** What operators have defined, by tenant. Not there in a runtime whose connectors are all in its code. */
export interface ConnectorDefinitions {
  /** The same list as before while nothing has changed; at once, when it is known. */
  list(tenant: string): readonly ConnectorDefinition[] | Promise<readonly ConnectorDefinition[]>
  /** Adds or replaces. Rejects with why it may not be; with `CONNECTOR_EXISTS` one that was to be `absent`. */
  put(
    context: CallContext,
    definition: ConnectorDefinition,
    note: ChangeNote & { readonly absent?: boolean },
  ): Promise<void>
  remove(context: CallContext, name: string, note: ChangeNote): Promise<void>
}

export interface ConnectorsDependencies {
  readonly driver: ConnectorDriver | undefined
  readonly definitions: ConnectorDefinitions | undefined
  readonly store: ConnectorStore
  readonly vault: Vault
  readonly clock: Clock
  readonly allowProcesses: boolean
  report(error: unknown, where: string): void
}
