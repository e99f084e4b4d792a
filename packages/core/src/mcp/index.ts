import packageJson from '../../package.json' with { type: 'json' }
import {
  type Connection,
  type ConnectorDefinition,
  type ConnectorDriver,
  type ConnectorLimits,
  checkDefinition,
  connectorErrors,
  defaultPrograms,
  type OpenConnection,
} from '../capabilities/connectors/index.ts'
import { addressSet } from '../kernel/addresses.ts'
import { type GuardedFetch, guardedFetch } from '../kernel/guarded-fetch.ts'
import { Program } from './program.ts'
import { loadSdk, type Sdk } from './sdk.ts'
import { type Line, openSession } from './session.ts'

export type { ConnectorDefinition, ConnectorDriver, ConnectorLimits } from '../capabilities/connectors/index.ts'

export interface McpConnectorOptions {
  /** Connectors of the code layer: every tenant has them. Their programs and addresses are the host's own choice. */
  readonly definitions?: readonly ConnectorDefinition[]
  readonly limits?: Partial<ConnectorLimits>
  /** What operators may have started, by name or by path. @default npx, node, python, python3, uvx, docker, deno, bun */
  readonly programs?: readonly string[]
  /** Addresses and networks besides the public ones that operators may name, e.g. `10.0.0.0/8`. @default none */
  readonly allowAddresses?: readonly string[]
}

const defaultLimits: ConnectorLimits = {
  startMs: 30_000,
  callMs: 120_000,
  healthMs: 30_000,
  idleMs: 900_000,
  backoffMs: 1_000,
  longestBackoffMs: 60_000,
  attempts: 20,
  tools: 256,
  outputBytes: 16_384,
}

const terminateMs = 2_000
/** A server may be silent between two notices; the stream is then made anew. */
const silentMs = 300_000

/** Connectors over the Model Context Protocol: stdio and streamable HTTP. Opens and loads nothing before it is used. */
export function mcpConnectors(options: McpConnectorOptions = {}): ConnectorDriver {
  const { allowAddresses = [], definitions = [], programs = defaultPrograms } = options
  const invalid = (message: string) => connectorErrors.CONNECTOR_INVALID({ message })
  const names = new Set<string>()
  for (const definition of definitions) {
    const { name } = checkDefinition(definition)
    if (names.has(name)) throw invalid(`two connectors are called "${name}"`)
    names.add(name)
  }
  const limits: ConnectorLimits = { ...defaultLimits, ...options.limits }
  for (const [name, value] of Object.entries(limits)) {
    if (!(name in defaultLimits)) throw invalid(`there is no limit called ${name}`)
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 31 - 1_001) {
      throw invalid(`the limit ${name} must be a whole number from 1`)
    }
  }
  try {
    addressSet(allowAddresses)
  } catch (cause) {
    throw invalid((cause as Error).message)
  }
  const fetches = {
    trusted: guardedFetch({ allow: 'any', idleMs: silentMs }),
    guarded: guardedFetch({ allow: allowAddresses, idleMs: silentMs }),
  }
  let loading: Promise<Sdk> | undefined

  return {
    definitions,
    limits,
    programs,
    async open(open: OpenConnection): Promise<Connection> {
      loading ??= loadSdk().catch((error) => {
        loading = undefined
        throw error
      })
      const sdk = await loading
      const line = lineOf(sdk, open, open.trusted ? fetches.trusted : fetches.guarded)
      return await openSession(sdk, line, open, packageJson.version)
    },
  }
}

function lineOf(sdk: Sdk, { definition, secrets, wrote }: OpenConnection, fetch: GuardedFetch): Line {
  const { transport } = definition
  if (transport.type === 'stdio') {
    const program = new Program({ transport, secrets, wrote }, sdk.framing)
    return { transport: program, failure: () => program.failure, close: () => program.close() }
  }
  const http = new sdk.http.StreamableHTTPClientTransport(new URL(transport.url), {
    fetch,
    requestInit: { headers: secrets },
  })
  return {
    transport: http as Line['transport'],
    failure: () => null,
    async close() {
      // A server that does not answer must not hold anybody up.
      const timeout = new Promise<void>((resolve) => setTimeout(resolve, terminateMs).unref())
      await Promise.race([http.terminateSession().catch(() => {}), timeout])
      await http.close().catch(() => {})
    },
  }
}
