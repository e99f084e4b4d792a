import type { JsonObject } from '../../kernel/json.ts'
import type { ConnectorDefinition } from './connector.ts'

/** What a server says of one of its tools. Nothing of it is to be trusted. */
export interface RemoteTool {
  readonly name: string
  readonly description: string
  readonly inputSchema: JsonObject
  readonly readOnly: boolean | undefined
  readonly destructive: boolean | undefined
  readonly idempotent: boolean | undefined
}

export interface RemoteResult {
  /** A text, or what can be written as JSON. */
  readonly output: unknown
  readonly isError: boolean
}

/** What makes an open connection fail. `permanent`: trying again would not help. */
export class ConnectionFailure extends Error {
  readonly permanent: boolean
  constructor(message: string, options: { readonly permanent?: boolean; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'ConnectionFailure'
    this.permanent = options.permanent ?? false
  }
}

/** An open connection to a server. What it throws as a `ConnectionFailure` ends it. */
export interface Connection {
  tools(signal: AbortSignal): Promise<readonly RemoteTool[]>
  /** An abort is told to the server. */
  call(tool: string, args: JsonObject, options: { signal: AbortSignal; timeoutMs: number }): Promise<RemoteResult>
  ping(signal: AbortSignal): Promise<void>
  /** Ends it, and the program that was started for it with all that it has started. */
  close(): Promise<void>
}

export interface OpenConnection {
  readonly definition: ConnectorDefinition
  /** By environment variable or header. */
  readonly secrets: Readonly<Record<string, string>>
  /** True when the definition was written by the host itself, who may name any address. */
  readonly trusted: boolean
  readonly signal: AbortSignal
  /** What the program writes besides the protocol. */
  wrote(text: string): void
  /** The server's tools have changed. */
  changed(): void
  /** The connection has ended by itself. Told once. */
  ended(failure: ConnectionFailure): void
}

/** How connectors are run. Times in milliseconds. */
export interface ConnectorLimits {
  /** Until a server has told its tools. @default 30_000 */
  readonly startMs: number
  /** For one call of a tool. @default 120_000 */
  readonly callMs: number
  /** Between two looks whether a server still answers. @default 30_000 */
  readonly healthMs: number
  /** After this time without a call the connection is closed; the next call opens it again. @default 900_000 */
  readonly idleMs: number
  /** The first wait before a connection that was lost is opened again; doubles, with jitter. @default 1_000 */
  readonly backoffMs: number
  /** The longest such wait. @default 60_000 */
  readonly longestBackoffMs: number
  /** Failures in a row after which only a call, or an operator, has it tried again. @default 20 */
  readonly attempts: number
  /** Most tools of one connector. @default 256 */
  readonly tools: number
  /** Most bytes of a result that the model gets to see. @default 16_384 */
  readonly outputBytes: number
}

/** Opens connections. Made by `mcpConnectors` of `@keelson/core/mcp`. */
export interface ConnectorDriver {
  /** Those of the code layer, which every tenant has. */
  readonly definitions: readonly ConnectorDefinition[]
  readonly limits: ConnectorLimits
  /** What a caller may have started. */
  readonly programs: readonly string[]
  open(options: OpenConnection): Promise<Connection>
}
