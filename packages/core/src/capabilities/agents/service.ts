import type { Implementation } from '../../contract/invoke.ts'
import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import type { Json, JsonObject } from '../../kernel/json.ts'
import {
  type ConfigContent,
  type ConfigDraft,
  type ConfigSection,
  type ConfigSnapshot,
  emptyContent,
} from '../config/index.ts'
import type { RecallOptions } from '../memory/index.ts'
import { configuredTool, isPermissions, type Tool, type ToolOverrides } from '../tools/index.ts'
import type { Agent, AgentDefinition } from './agent.ts'
import { type AgentEntry, problemsOfEntry } from './agent-entry.ts'
import { agentErrors, type agentOperations } from './contract.ts'
import { outputOf } from './output.ts'

const modelId = /^[^/\s]+\/\S+$/

/**
 * Checks an agent, compiles the schema of its output and fills in its defaults. Throws `AGENT_INVALID` with what is
 * wrong.
 */
export function defineAgent(definition: AgentDefinition & { readonly output: JsonObject }): Agent<Json>
export function defineAgent<Output = null>(definition: AgentDefinition<Output>): Agent<Output>
export function defineAgent(definition: AgentDefinition): Agent {
  const invalid = (problem: string, cause?: unknown) =>
    agentErrors.AGENT_INVALID({ message: `agent ${JSON.stringify(definition.id)}: ${problem}`, cause })
  if (typeof definition.id !== 'string' || !/^[\w.-]{1,128}$/.test(definition.id))
    throw invalid('the id takes letters, digits, "_", "-" and ".", at most 128')
  if (typeof definition.instructions !== 'string') throw invalid('it needs instructions')
  if (!Array.isArray(definition.models) || definition.models.length === 0) {
    throw invalid("models must be a list of at least one, e.g. ['openai/gpt-5-mini']")
  }
  for (const model of definition.models) {
    if (!modelId.test(model)) throw invalid(`model ${JSON.stringify(model)} is not of the form provider/model`)
  }
  const tools = definition.tools ?? []
  if (!Array.isArray(tools)) throw invalid('tools must be a list of what defineTool made')
  const names = new Set<string>()
  for (const { check, name } of tools) {
    if (typeof check !== 'function') throw invalid(`tool ${JSON.stringify(name)} was not made by defineTool`)
    if (names.has(name)) throw invalid(`two tools are called ${JSON.stringify(name)}`)
    names.add(name)
  }
  const connectors = definition.connectors ?? []
  const isList = Array.isArray(connectors) && connectors.every((each) => typeof each === 'string' && each !== '')
  if (connectors !== '*' && !isList) throw invalid("connectors must be '*' or a list of names")
  const { permissions = {} } = definition
  if (!isPermissions(permissions)) throw invalid('permissions takes allow, ask or deny by the name of a tool')
  const maxSteps = definition.maxSteps ?? 10
  if (!Number.isInteger(maxSteps) || maxSteps < 1) throw invalid('maxSteps must be a positive integer')
  const maxOutputTokens = definition.maxOutputTokens ?? null
  if (maxOutputTokens !== null && (!Number.isInteger(maxOutputTokens) || maxOutputTokens < 1)) {
    throw invalid('maxOutputTokens must be a positive integer')
  }
  const { recall = null } = definition
  if (recall !== null && !isRecall(recall)) {
    throw invalid('recall takes { notes: boolean, tokens?: a whole number from 100 to 100,000 }')
  }
  return Object.freeze({
    id: definition.id,
    name: definition.name ?? definition.id,
    codeName: definition.name ?? definition.id,
    description: definition.description ?? '',
    instructions: definition.instructions,
    models: [...definition.models],
    tools: [...tools],
    connectors: connectors === '*' ? connectors : [...new Set(connectors)],
    permissions: { ...permissions },
    maxSteps,
    maxOutputTokens,
    temperature: definition.temperature ?? null,
    output: outputOf(definition, invalid),
    recall: recall === null ? null : { ...recall },
  })
}

const isRecall = ({ notes, tokens = 1_000 }: RecallOptions): boolean =>
  typeof notes === 'boolean' && Number.isInteger(tokens) && tokens >= 100 && tokens <= 100_000

/** The agents that one content of the configuration makes of the code layer. */
export interface AgentSet {
  /** Throws `AGENT_NOT_FOUND`, `AGENT_DISABLED`, or `AGENT_INVALID` when the code has lost what its entry needs. */
  find(id: string): Agent
  /** Those that can be used: the code's in their order, then the others by id. */
  readonly all: readonly Agent[]
}

export interface Agents extends Implementation<typeof agentOperations> {
  /** Kept for as long as the content is: asking again costs nothing. */
  within(content: ConfigContent): AgentSet
  /** Its entries are laid over the agents of the code. */
  readonly section: ConfigSection
  /** The tools that entries can name. */
  readonly tools: ReadonlyMap<string, readonly Tool[]>
}

export interface AgentsDependencies {
  readonly definitions: readonly AgentDefinition[]
  /** Tools that no agent of the code has, for agents that are made by configuration. */
  readonly tools?: readonly Tool[]
  /** False for a model that no provider answers for. */
  hasModel(id: string): boolean
  /** What is active for a tenant. */
  active(tenant: string): ConfigSnapshot | Promise<ConfigSnapshot>
}

/** An entry laid over the code layer: the agent, or why there is none, and all that is wrong. */
interface Resolved {
  readonly agent: Agent | KeelsonError
  readonly problems: readonly string[]
}

/** The agents of the code layer, and what configuration makes of them. */
export function createAgents({ definitions, tools: more = [], hasModel, active }: AgentsDependencies): Agents {
  const agents = new Map<string, Agent>()
  for (const definition of definitions) {
    const agent = defineAgent(definition)
    if (agents.has(agent.id)) throw agentErrors.AGENT_INVALID({ message: `two agents are called "${agent.id}"` })
    agents.set(agent.id, agent)
  }
  const tools = new Map<string, Tool[]>()
  for (const tool of [...more, ...[...agents.values()].flatMap((agent) => agent.tools)]) {
    const same = tools.get(tool.name) ?? []
    if (!same.includes(tool)) tools.set(tool.name, [...same, tool])
  }

  /** Of two tools with one name the agent's own is meant, then the one that was registered for all. */
  function toolCalled(name: string, own: readonly Tool[]): Tool | string {
    const mine = own.find((tool) => tool.name === name) ?? more.find((tool) => tool.name === name)
    if (mine) return mine
    const [first, second] = tools.get(name) ?? []
    if (!first) return `there is no tool ${JSON.stringify(name)}`
    return second ? `several agents have a tool ${JSON.stringify(name)}: register the one that is meant` : first
  }

  function resolve(id: string, entry: AgentEntry, overrides: ToolEntries): Resolved {
    const base = agents.get(id)
    const { enabled = true, permissions, tools: names, ...own } = entry
    const problems: string[] = []
    let given = base?.tools ?? []
    if (names) {
      const found = names.map((name) => toolCalled(name, base?.tools ?? []))
      problems.push(...found.filter((each) => typeof each === 'string'))
      given = found.filter((each) => typeof each !== 'string')
    }
    const configured = given.flatMap((tool) => configuredTool(tool, overrides[tool.name]) ?? [])
    try {
      const merged = { ...base?.permissions, ...permissions }
      const defined = defineAgent({ ...(base ?? codeless), ...own, id, tools: configured, permissions: merged })
      const agent = Object.freeze({ ...defined, codeName: base?.codeName ?? null })
      const missing = agent.models.filter((model) => !hasModel(model))
      problems.push(...missing.map((model) => `no provider is registered for the model ${JSON.stringify(model)}`))
      return {
        agent: enabled ? agent : agentErrors.AGENT_DISABLED({ message: `the agent ${id} is switched off` }),
        problems,
      }
    } catch (error) {
      if (!isKeelsonError(error)) throw error
      return { agent: error, problems: [...problems, error.message] }
    }
  }

  function setOf(content: ConfigContent): AgentSet {
    const [entries = {}, overrides = {}] = [content['agents'], content['tools'] as ToolEntries | undefined]
    const untouched = Object.keys(overrides).length === 0
    const resolved = new Map<string, Agent | KeelsonError>()
    for (const [id, agent] of agents) {
      const entry = entries[id]
      resolved.set(id, entry || !untouched ? resolve(id, entry ?? {}, overrides).agent : agent)
    }
    for (const [id, entry] of Object.entries(entries)) {
      if (!agents.has(id)) resolved.set(id, resolve(id, entry, overrides).agent)
    }
    const all = [...resolved.values()].filter((each): each is Agent => !isKeelsonError(each))
    return {
      all,
      find(id) {
        const agent = resolved.get(id)
        if (!agent) throw agentErrors.AGENT_NOT_FOUND({ message: `no such agent: ${id}` })
        if (isKeelsonError(agent)) throw agent
        return agent
      },
    }
  }

  const sets = new WeakMap<ConfigContent, AgentSet>([[emptyContent, setOf(emptyContent)]])
  const within = (content: ConfigContent): AgentSet => {
    const known = sets.get(content)
    if (known) return known
    const made = setOf(content)
    sets.set(content, made)
    return made
  }

  const section: ConfigSection = {
    name: 'agents',
    code: () => Object.fromEntries([...agents].map(([id, agent]) => [id, definitionOf(agent)])),
    check(id, entry, { content }: ConfigDraft) {
      const problems = problemsOfEntry(entry)
      if (problems.length > 0) return problems
      if (entry['enabled'] === false && Object.keys(entry).length === 1 && agents.has(id)) return []
      return resolve(id, entry, (content['tools'] ?? {}) as ToolEntries).problems
    },
  }

  return {
    within,
    section,
    tools,
    get: async ({ principal }, { id }) => within((await active(principal.tenant)).content).find(id),
    list: async ({ principal }) => within((await active(principal.tenant)).content).all,
  }
}

type ToolEntries = Readonly<Record<string, ToolOverrides>>

/** What an agent that the code does not know begins with: its entry has to say the rest. */
const codeless = { models: [] } as unknown as AgentDefinition

/** What an agent is, as JSON. Its tools are told apart by what the model sees of them. */
const definitionOf = ({ tools, output, recall, codeName: _, ...agent }: Agent): JsonObject => ({
  ...agent,
  recall: recall === null ? null : { ...recall },
  output: output === null ? null : { name: output.name, schema: output.schema },
  tools: tools.map(({ name, description, parameters, risk }) => ({ name, description, parameters, risk })),
})
