import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Agent, type AgentEntry, agentErrors } from '../../capabilities/agents/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { isOperator, type Principal } from '../../kernel/context.ts'
import type { Client } from '../../runtime.ts'
import { changeAgents } from './agent-changes.ts'
import { pickDefault } from './current-agent.ts'
import { rowTime, timeText } from './formats.ts'
import type { Settings } from './options.ts'

const section = 'Agents'

/** What the configuration tells of an agent, and the list of agents too. */
export const agentFields = z.strictObject({
  name: z.string(),
  agent_type: z.string(),
  status: z.string(),
  policy: z.string().nullable(),
  reputation: z.number(),
  code_hash: z.string().nullable(),
  tests_hash: z.string().nullable(),
  prompt_hash: z.string().nullable(),
  capabilities: z.array(z.string()),
  created_by: z.string(),
})

/** `standard`: it answers when no other agent was asked for, and nobody hands a session over to it by name. */
export const fieldsOf = (agent: Agent, standard: boolean): z.infer<typeof agentFields> => ({
  // What it is called now is its display name.
  name: agent.codeName ?? agent.name,
  agent_type: standard ? 'full_model' : 'persona',
  status: 'active',
  policy: null,
  reputation: 0.5,
  code_hash: null,
  tests_hash: null,
  prompt_hash: createHash('sha256').update(agent.instructions).digest('hex'),
  capabilities: agent.tools.map(({ name }) => name),
  // The code's agents are the system's own.
  created_by: agent.codeName === null ? 'user' : 'system',
})

const agentRow = agentFields.extend({
  id: z.string(),
  display_name: z.string().nullable(),
  user_facing: z.union([z.literal(0), z.literal(1)]),
  created_at: timeText,
  system_prompt: z.string().nullable(),
  /** JSON text. */
  allowed_tools: z.string(),
  model: z.string().nullable(),
})

function rowOf(agent: Agent, standard: boolean, principal: Principal | null, since: number): z.infer<typeof agentRow> {
  const fields = fieldsOf(agent, standard)
  return {
    id: agent.id,
    ...fields,
    display_name: agent.name,
    user_facing: standard ? 0 : 1,
    created_at: rowTime(since),
    system_prompt: principal !== null && isOperator(principal) ? agent.instructions : null,
    allowed_tools: JSON.stringify(fields.capabilities),
    model: agent.models[0] ?? null,
  }
}

const listedRow = agentRow.extend({ conversational: z.boolean() })

const listedOf = (agent: Agent, standard: Agent | undefined, principal: Principal | null, since: number) => ({
  ...rowOf(agent, agent === standard, principal, since),
  conversational: agent !== standard,
})

const longestName = 200
const longestPrompt = 100_000

const changeBody = z.object({
  display_name: z.string().trim().min(1, 'must not be empty').max(longestName).optional(),
  system_prompt: z.string().max(longestPrompt).optional(),
  /** Blank: those of the code. */
  model: z.string().trim().max(200).nullish(),
  allowed_tools: z.array(z.string().max(1_000)).max(1_000).transform(toolNames).optional(),
})

/** A list of names. The system's page splits the JSON text that it was given for one at the commas. */
function toolNames(list: readonly string[]): readonly string[] {
  try {
    const names = z.array(z.string()).safeParse(JSON.parse(list.join(',')))
    if (names.success) return names.data
  } catch {
    // A list like any other.
  }
  return list
}

/** What a change makes of the agent's entry, null for no other; and the fields of its persona that change. */
function changeOf(body: z.infer<typeof changeBody>, agent: Agent, entry: AgentEntry) {
  const { allowed_tools: tools, display_name: name, model, system_prompt: instructions } = body
  const next: { -readonly [Key in keyof AgentEntry]: AgentEntry[Key] } = { ...entry }
  const changed: string[] = []
  const renamed = name !== undefined && name !== agent.name
  if (renamed) next.name = name.toWellFormed()
  if (instructions !== undefined && instructions !== agent.instructions) {
    next.instructions = instructions.toWellFormed()
    changed.push('system_prompt')
  }
  if (model != null && model !== '' && model !== agent.models[0]) {
    next.models = [model, ...agent.models.filter((each) => each !== model)]
    changed.push('model')
  } else if (model === '' && entry.models !== undefined) {
    delete next.models
    changed.push('model')
  }
  const own = agent.tools.map((tool) => tool.name)
  if (tools !== undefined && (tools.length !== own.length || tools.some((tool) => !own.includes(tool)))) {
    next.tools = [...new Set(tools)]
    changed.push('allowed_tools')
  }
  return { entry: renamed || changed.length > 0 ? next : null, changed }
}

/** When the process began to offer its agents; the same on every call. */
export function startTime(): (client: Client) => Promise<number> {
  let since: number | undefined
  return async (client) => {
    since ??= Date.now() - (await client.system.health()).uptimeMs
    return since
  }
}

export const agentRoutes = (settings: Settings, since: ReturnType<typeof startTime>): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/agents',
    section,
    summary: 'List registered agents',
    response: z.array(listedRow),
    async handle({ client, principal }) {
      const [agents, at] = await Promise.all([client.agents.list(), since(client)])
      const standard = pickDefault(agents, settings)
      return { json: agents.map((agent) => listedOf(agent, standard, principal, at)) }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/agents/conversational',
    section,
    summary: 'List the agents that a session can be handed over to',
    beyondDocument: true,
    response: z.array(listedRow),
    async handle({ client, principal }) {
      const [agents, at] = await Promise.all([client.agents.list(), since(client)])
      const standard = pickDefault(agents, settings)
      const rows = agents.map((agent) => listedOf(agent, standard, principal, at))
      return { json: rows.filter(({ conversational }) => conversational) }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/agents/:id',
    section,
    summary: 'Details of one agent',
    response: agentRow.extend({ code: z.null() }),
    async handle({ client, principal, params: { id } }) {
      const agent = await client.agents.get({ id })
      const [agents, at] = await Promise.all([client.agents.list(), since(client)])
      return { json: { ...rowOf(agent, agent.id === pickDefault(agents, settings)?.id, principal, at), code: null } }
    },
  }),

  route<Client>()({
    method: 'PATCH',
    path: '/api/agents/:id',
    section,
    summary: 'Change an agent: what it is called, its prompt, its model, its tools',
    beyondDocument: true,
    body: changeBody,
    response: z.strictObject({
      ok: z.literal(true),
      id: z.string(),
      display_name: z.string().optional(),
      changed: z.array(z.string()).optional(),
    }),
    async handle({ client, params: { id }, body }) {
      let changed: readonly string[] = []
      await changeAgents(
        client,
        (agents, entries) => {
          const agent = agents.find((each) => each.id === id)
          if (agent === undefined) throw agentErrors.AGENT_NOT_FOUND()
          const next = changeOf(body, agent, entries[id] ?? {})
          changed = next.changed
          return next.entry === null ? {} : { [id]: next.entry }
        },
        { trigger: 'agent_update', description: `agent ${id} changed` },
      )
      const { allowed_tools, display_name, model, system_prompt } = body
      const persona = [allowed_tools, model, system_prompt].some((each) => each !== undefined)
      return {
        json: {
          ok: true,
          id,
          ...(display_name === undefined ? {} : { display_name }),
          ...(persona ? { changed } : {}),
        },
      }
    },
  }),
]
