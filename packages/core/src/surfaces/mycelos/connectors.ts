import { z } from 'zod'
import {
  type AddConnector,
  type Connector,
  connectorErrors,
  splitCommand,
} from '../../capabilities/connectors/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import type { startTime } from './agents.ts'
import { rowTime, timeText } from './formats.ts'

const section = 'Connectors'

const connectorRow = z.strictObject({
  id: z.string(),
  name: z.string(),
  connector_type: z.string(),
  description: z.string().nullable(),
  status: z.enum(['active', 'inactive', 'draft', 'disabled']),
  setup_type: z.string().nullable(),
  created_at: timeText,
  updated_at: timeText.nullable(),
  last_success_at: timeText.nullable(),
  last_error: z.string().nullable(),
  last_error_at: timeText.nullable(),
  capabilities: z.array(z.string()),
  operational_state: z.enum(['setup_incomplete', 'ready', 'healthy', 'failing']),
  tool_count: z.int(),
})

/** None where the host has given the runtime no way to connect. */
export async function connectorsOf(client: Client): Promise<readonly Connector[]> {
  try {
    return await client.connectors.list()
  } catch (error) {
    if (isKeelsonError(error) && error.code === 'CONNECTORS_UNAVAILABLE') return []
    throw error
  }
}

const needsQuotes = /[\s"']/
const quoted = (word: string): string =>
  !needsQuotes.test(word) && word !== '' ? word : word.includes('"') ? `'${word}'` : `"${word}"`

/** The command that starts it, or its address. Neither holds a secret: those are in the vault. */
export const descriptionOf = ({ transport }: Connector): string =>
  transport.type === 'http'
    ? `MCP: ${transport.url}`
    : `MCP: ${[transport.command, ...transport.args].map(quoted).join(' ')}`

const timeOrNull = (at: number | null): string | null => (at === null ? null : rowTime(at))

const rowOf = (connector: Connector, since: number): z.infer<typeof connectorRow> => ({
  id: connector.name,
  name: connector.displayName,
  connector_type: 'mcp',
  description: descriptionOf(connector),
  status: connector.enabled ? 'active' : 'disabled',
  setup_type: 'mcp',
  created_at: rowTime(connector.registeredAt ?? since),
  updated_at: null,
  last_success_at: timeOrNull(connector.lastSuccessAt),
  last_error: connector.lastError,
  last_error_at: timeOrNull(connector.lastErrorAt),
  capabilities: [],
  operational_state: connector.operationalState,
  tool_count: connector.toolCount,
})

const addBody = z.object({
  name: z.string(),
  command: z.string().max(65_536).nullish(),
  secret: z.string().max(65_536).nullish(),
  env_vars: z.record(z.string(), z.string().max(65_536)).nullish(),
  secrets: z
    .array(
      z.union([
        z.string().max(65_536),
        z.object({
          name: z.string().optional(),
          key: z.string().optional(),
          env: z.string().optional(),
          value: z.string().max(65_536),
        }),
      ]),
    )
    .max(64)
    .nullish(),
})

type AddBody = z.infer<typeof addBody>

/** The variable of a key that came without a name. */
const usualVariable = (name: string): string => `${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}_API_KEY`

/**
 * The values by variable: those of `env_vars`, else those of `secrets` (`NAME=value`, `{ name, value }`, or the value
 * alone), else the one key. Blank names are dropped.
 */
function secretsOf({ env_vars, name, secret, secrets }: AddBody): Record<string, string> {
  const several = (secrets ?? []).map((each): [string, string] => {
    if (typeof each !== 'string') return [each.name ?? each.key ?? each.env ?? usualVariable(name), each.value]
    const [, variable, value] = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(each) ?? []
    return variable === undefined ? [usualVariable(name), each] : [variable, value ?? '']
  })
  const one: [string, string][] = secret ? [[usualVariable(name), secret]] : []
  const given = Object.entries(env_vars ?? {})
  const chosen = given.length > 0 ? given : several.length > 0 ? several : one
  return Object.fromEntries(chosen.map(([key, value]) => [key.trim(), value] as const).filter(([key]) => key !== ''))
}

/** A command line that starts an MCP server, or the address of one. Throws `CONNECTOR_COMMAND_INVALID`. */
export function connectorOf(body: AddBody): AddConnector {
  const secrets = secretsOf(body)
  const command = (body.command ?? '').trim()
  const common = { name: body.name, trigger: 'connector_register', numbering: 'reuse' as const }
  if (/^https?:\/\//i.test(command)) {
    const headers =
      body.secret && Object.keys(body.env_vars ?? {}).length === 0 && (body.secrets ?? []).length === 0
        ? { authorization: `Bearer ${body.secret}` }
        : secrets
    return { ...common, transport: { type: 'http', url: command, headers: Object.keys(headers) }, ...kept(headers) }
  }
  const program = splitCommand(command)
  return { ...common, transport: { type: 'stdio', ...program, env: Object.keys(secrets) }, ...kept(secrets) }
}

/** Whoever has no secret needs no vault. */
const kept = (secrets: Readonly<Record<string, string>>): Pick<AddConnector, 'secrets'> =>
  Object.keys(secrets).length === 0 ? {} : { secrets }

/** What is wrong with a connector, in the system's words. */
function worded(error: unknown, name: string): unknown {
  if (!isKeelsonError(error)) return error
  const made = messages[error.code]?.(error, name)
  return made ?? error
}

const messages: Readonly<Record<string, (error: KeelsonError, name: string) => KeelsonError>> = {
  CONNECTOR_EXISTS: (_, name) => connectorErrors.CONNECTOR_EXISTS({ message: `Connector '${name}' already exists` }),
  CONNECTOR_NOT_FOUND: (_, name) => connectorErrors.CONNECTOR_NOT_FOUND({ message: `Connector '${name}' not found` }),
  CONNECTOR_COMMAND_INVALID: ({ message }) =>
    connectorErrors.CONNECTOR_COMMAND_INVALID({
      message: `Invalid command: ${message.replace(/^the command is not allowed: /, '')}`,
    }),
}

export async function addConnector(client: Client, body: AddBody): Promise<void> {
  try {
    await client.connectors.add(connectorOf(body))
  } catch (error) {
    throw worded(error, body.name)
  }
}

/** Its secrets stay, for when it comes back under this name. */
export async function removeConnector(client: Client, name: string): Promise<void> {
  try {
    await client.connectors.remove({ name, keepSecrets: true, trigger: 'connector_remove', numbering: 'reuse' })
  } catch (error) {
    throw worded(error, name)
  }
}

export const connectorRoutes = (since: ReturnType<typeof startTime>): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/connectors',
    section,
    summary: 'List configured MCP connectors, oldest first',
    response: z.array(connectorRow),
    async handle({ client }) {
      const [connectors, at] = await Promise.all([connectorsOf(client), since(client)])
      return { json: connectors.map((connector) => rowOf(connector, at)) }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/connectors',
    section,
    summary: 'Add an MCP connector: a command that starts it, or its address; its secrets go to the vault',
    body: addBody,
    response: z.strictObject({ status: z.literal('registered'), connector: z.string() }),
    async handle({ client, body }) {
      await addConnector(client, body)
      return { json: { status: 'registered', connector: body.name } }
    },
  }),

  route<Client>()({
    method: 'DELETE',
    path: '/api/connectors/:name',
    section,
    summary: 'Remove a connector by the name it was given',
    response: z.strictObject({ status: z.literal('removed'), connector: z.string() }),
    async handle({ client, params: { name } }) {
      await removeConnector(client, name)
      return { json: { status: 'removed', connector: name } }
    },
  }),
]
