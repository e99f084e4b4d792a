import type { Implementation } from '../../contract/invoke.ts'
import type { Json, JsonObject } from '../../kernel/json.ts'
import type { RecallOptions } from '../memory/index.ts'
import type { Agent, AgentDefinition } from './agent.ts'
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
  if (!Array.isArray(definition.models) || definition.models.length === 0) throw invalid('it needs at least one model')
  for (const model of definition.models) {
    if (!modelId.test(model)) throw invalid(`model ${JSON.stringify(model)} is not of the form provider/model`)
  }
  const tools = definition.tools ?? []
  const names = new Set<string>()
  for (const { check, name } of tools) {
    if (typeof check !== 'function') throw invalid(`tool ${JSON.stringify(name)} was not made by defineTool`)
    if (names.has(name)) throw invalid(`two tools are called ${JSON.stringify(name)}`)
    names.add(name)
  }
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
    description: definition.description ?? '',
    instructions: definition.instructions,
    models: [...definition.models],
    tools: [...tools],
    maxSteps,
    maxOutputTokens,
    temperature: definition.temperature ?? null,
    output: outputOf(definition, invalid),
    recall: recall === null ? null : { ...recall },
  })
}

const isRecall = ({ notes, tokens = 1_000 }: RecallOptions): boolean =>
  typeof notes === 'boolean' && Number.isInteger(tokens) && tokens >= 100 && tokens <= 100_000

export interface Agents extends Implementation<typeof agentOperations> {
  find(id: string): Agent
  readonly all: readonly Agent[]
}

/** The agents of the code layer. */
export function createAgents(definitions: readonly AgentDefinition[]): Agents {
  const agents = new Map<string, Agent>()
  for (const definition of definitions) {
    const agent = defineAgent(definition)
    if (agents.has(agent.id)) throw agentErrors.AGENT_INVALID({ message: `two agents are called "${agent.id}"` })
    agents.set(agent.id, agent)
  }
  const all = [...agents.values()]
  const find = (id: string): Agent => {
    const agent = agents.get(id)
    if (!agent) throw agentErrors.AGENT_NOT_FOUND({ message: `no such agent: ${id}` })
    return agent
  }
  return { all, find, get: (_, { id }) => find(id), list: () => all }
}
