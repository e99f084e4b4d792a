import { operation } from '../../contract/operation.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { ChangeNote } from '../config/index.ts'
import type { Risk } from '../tools/index.ts'
import type { ConnectorDefinition } from './connector.ts'

/**
 * `idle`: not connected because nobody needs it now. `waiting`: lost, and tried again soon. `failed`: not tried again by
 * itself. `stopped`: by an operator. `disabled`: by its definition.
 */
export type ConnectorStatus = 'idle' | 'connecting' | 'connected' | 'waiting' | 'failed' | 'stopped' | 'disabled'

/** A connector as operators see it. Nothing in it is a secret. Status and tools are those of this instance. */
export interface Connector extends ConnectorDefinition {
  readonly displayName: string
  readonly enabled: boolean
  /** Who defined it: the host's code, or an operator. */
  readonly source: 'code' | 'operator'
  readonly status: ConnectorStatus
  readonly toolCount: number
  /** What follows from its definition and from what was last noted of it, here or on another instance. */
  readonly operationalState: 'setup_incomplete' | 'ready' | 'healthy' | 'failing'
  /** Milliseconds since the epoch. */
  readonly registeredAt: number | null
  readonly lastSuccessAt: number | null
  /** At most 500 characters. */
  readonly lastError: string | null
  readonly lastErrorAt: number | null
}

/** Text to be split by `splitCommand`, or a program with its arguments. */
export type GivenTransport =
  | {
      readonly type: 'stdio'
      readonly command: string
      readonly args?: readonly string[]
      readonly env?: readonly string[]
    }
  | { readonly type: 'http'; readonly url: string; readonly headers?: readonly string[] }

interface ConnectorFields extends ChangeNote {
  readonly displayName?: string
  readonly enabled?: boolean
  readonly trustAnnotations?: boolean
  readonly risks?: { readonly [tool: string]: Risk }
  /** Values by environment variable or header: stored in the vault, in place of all that were there. */
  readonly secrets?: { readonly [name: string]: string }
}

export interface AddConnector extends ConnectorFields {
  readonly name: string
  readonly transport: GivenTransport
}

export interface UpdateConnector extends ConnectorFields {
  readonly name: string
  readonly transport?: GivenTransport
}

export interface RemoveConnector extends ChangeNote {
  readonly name: string
  /** @default false */
  readonly keepSecrets?: boolean
}

export interface ConnectorTool {
  readonly connector: string
  /** What the model calls. */
  readonly name: string
  /** What the server calls it. */
  readonly remoteName: string
  readonly description: string
  readonly risk: Risk
  readonly parameters: JsonObject
}

export interface ConnectorTest {
  readonly toolCount: number
  readonly durationMs: number
}

const read = { auth: 'operator', effect: 'read' } as const
const write = { auth: 'operator', effect: 'write' } as const
const named = ['CONNECTORS_UNAVAILABLE', 'CONNECTOR_NOT_FOUND'] as const
const connecting = [
  ...named,
  'CONNECTOR_DISABLED',
  'CONNECTOR_FAILED',
  'CONNECTOR_PROCESSES_OFF',
  'CONNECTOR_SECRET_MISSING',
  'CONNECTOR_PACKAGE_MISSING',
] as const
const defining = [
  'CONNECTOR_INVALID',
  'CONNECTOR_COMMAND_INVALID',
  'CONNECTOR_PROCESSES_OFF',
  'CONFIG_INVALID',
  'CONFIG_CONFLICT',
  'VAULT_UNCONFIGURED',
] as const

/** All of them are about the connectors of the caller's tenant. */
export const connectorOperations = {
  /** Oldest first, those of the code before all others. */
  list: operation<void, Connector[]>({ ...read, errors: ['CONNECTORS_UNAVAILABLE'] }),
  /** One connector by its name. */
  get: operation<{ readonly name: string }, Connector>({ ...read, errors: named }),
  /** Begins to connect, and does not wait for it. */
  add: operation<AddConnector, Connector>({
    ...write,
    errors: ['CONNECTORS_UNAVAILABLE', 'CONNECTOR_EXISTS', ...defining],
  }),
  /** What is left out stays. A connection that is open is made anew. */
  update: operation<UpdateConnector, Connector>({ ...write, errors: [...named, ...defining] }),
  /** Ends its connection. Its secrets go with it unless they are to stay. */
  remove: operation<RemoveConnector, void>({
    ...write,
    errors: [...named, 'CONNECTORS_FIXED', 'CONFIG_INVALID', 'CONFIG_CONFLICT'],
  }),
  /** Connects, unless it is connected, and waits for it. */
  start: operation<{ readonly name: string }, Connector>({ ...write, errors: connecting }),
  /** Ends the connection on this instance until it is started again, here or by a restart of the process. */
  stop: operation<{ readonly name: string }, Connector>({ ...write, errors: named }),
  /** Ends the connection and makes it anew. */
  restart: operation<{ readonly name: string }, Connector>({ ...write, errors: connecting }),
  /** Asks the server for its tools. */
  test: operation<{ readonly name: string }, ConnectorTest>({ ...write, errors: connecting }),
  /** The tools of one connector, or of all that are enabled. One that cannot be connected to is an error, not an empty list. */
  tools: operation<{ readonly name?: string } | undefined, ConnectorTool[]>({ ...read, errors: connecting }),
}
