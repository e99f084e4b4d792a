import { hash } from 'node:crypto'
import type { JsonObject } from '../../kernel/json.ts'
import { defineTool, type Risk, type Tool, type ToolContext } from '../tools/index.ts'
import type { ConnectorDefinition } from './connector.ts'
import type { ConnectorTool } from './contract.ts'
import type { ConnectorLimits, RemoteTool } from './driver.ts'

const longestName = 64
const longestDescription = 4_096
const mostSchemaBytes = 65_536

/** A server's tool as the agents get it. */
export interface OfferedTool {
  readonly tool: Tool
  readonly described: ConnectorTool
}

export type CallRemote = (tool: string, args: JsonObject, context: ToolContext) => Promise<unknown>

/**
 * `<connector>__<tool>`, the same for the same server's tool always. What a model's provider would not take as a name is
 * replaced, and a name that was changed by that ends with a piece of its hash, so that no two become one.
 */
export function toolName(connector: string, remote: string): string {
  const room = longestName - connector.length - 2
  if (remote.length <= room && /^[A-Za-z0-9_-]+$/.test(remote)) return `${connector}__${remote}`
  const mark = `_${hash('sha256', remote).slice(0, 8)}`
  return `${connector}__${remote.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, room - mark.length)}${mark}`
}

/**
 * What a server says of its own tools is a claim: without trust it can make a tool more dangerous, never harmless. A
 * tool of which nothing is said may destroy something.
 */
export function riskOf(remote: RemoteTool, { risks, trustAnnotations = false }: ConnectorDefinition): Risk {
  const own = risks && Object.hasOwn(risks, remote.name) ? risks[remote.name] : undefined
  if (own !== undefined) return own
  if (remote.readOnly === true && remote.destructive !== true) return trustAnnotations ? 'safe' : 'caution'
  return remote.destructive === false ? 'caution' : 'dangerous'
}

/**
 * The tools of a server by their names, so that the order in which it tells them changes nothing. One that cannot be
 * used is left out and told of.
 */
export function offeredTools(
  definition: ConnectorDefinition,
  remotes: readonly RemoteTool[],
  limits: ConnectorLimits,
  call: CallRemote,
  leftOut: (problem: string) => void,
): readonly OfferedTool[] {
  const offered = new Map<string, OfferedTool>()
  for (const remote of remotes) {
    try {
      const made = offeredTool(definition, remote, limits, call)
      if (offered.size < limits.tools) offered.set(made.tool.name, made)
      else leftOut(`tool ${made.tool.name}: a connector has at most ${limits.tools} tools`)
    } catch (error) {
      leftOut(`tool ${JSON.stringify(remote.name.slice(0, longestName))}: ${(error as Error).message}`)
    }
  }
  return [...offered.values()].toSorted((one, other) => (one.tool.name < other.tool.name ? -1 : 1))
}

function offeredTool(
  definition: ConnectorDefinition,
  remote: RemoteTool,
  limits: ConnectorLimits,
  call: CallRemote,
): OfferedTool {
  if (Buffer.byteLength(JSON.stringify(remote.inputSchema)) > mostSchemaBytes) {
    throw new Error(`its input schema has more than ${mostSchemaBytes} bytes`)
  }
  const risk = riskOf(remote, definition)
  const tool = defineTool({
    name: toolName(definition.name, remote.name),
    description: remote.description.slice(0, longestDescription).trim() || `The tool ${remote.name}.`,
    input: remote.inputSchema,
    risk,
    idempotent: definition.trustAnnotations === true && (remote.readOnly === true || remote.idempotent === true),
    timeoutMs: limits.callMs,
    maxOutputBytes: limits.outputBytes,
    execute: (args, context) => call(remote.name, args, context),
  })
  const { description, name, parameters } = tool
  return {
    tool,
    described: { connector: definition.name, name, remoteName: remote.name, description, risk, parameters },
  }
}

/** True when a model would notice no difference. */
export const sameTools = (one: readonly OfferedTool[], other: readonly OfferedTool[]): boolean =>
  one.length === other.length &&
  JSON.stringify(one.map(({ described }) => described)) === JSON.stringify(other.map(({ described }) => described))
