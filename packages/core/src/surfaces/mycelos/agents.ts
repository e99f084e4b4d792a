import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Agent } from '../../capabilities/agents/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { isOperator, type Principal } from '../../kernel/context.ts'
import type { Client } from '../../runtime.ts'
import { pickDefault } from './current-agent.ts'
import { rowTime, timeText } from './formats.ts'
import type { Settings } from './options.ts'

const section = 'Agents'

const agentRow = z.strictObject({
  id: z.string(),
  name: z.string(),
  agent_type: z.string(),
  status: z.string(),
  policy: z.string().nullable(),
  reputation: z.number(),
  code_hash: z.string().nullable(),
  tests_hash: z.string().nullable(),
  prompt_hash: z.string().nullable(),
  display_name: z.string().nullable(),
  user_facing: z.union([z.literal(0), z.literal(1)]),
  created_at: timeText,
  created_by: z.string(),
  system_prompt: z.string().nullable(),
  /** JSON text. */
  allowed_tools: z.string(),
  model: z.string().nullable(),
  capabilities: z.array(z.string()),
})

/** `standard`: it answers when no other agent was asked for, and nobody hands a session over to it by name. */
function rowOf(agent: Agent, standard: boolean, principal: Principal | null, since: number): z.infer<typeof agentRow> {
  const tools = agent.tools.map(({ name }) => name)
  return {
    id: agent.id,
    name: agent.name,
    agent_type: standard ? 'full_model' : 'persona',
    status: 'active',
    policy: null,
    reputation: 0.5,
    code_hash: null,
    tests_hash: null,
    prompt_hash: promptHash(agent),
    display_name: agent.name,
    user_facing: standard ? 0 : 1,
    created_at: rowTime(since),
    created_by: 'system',
    system_prompt: principal !== null && isOperator(principal) ? agent.instructions : null,
    allowed_tools: JSON.stringify(tools),
    model: agent.models[0] ?? null,
    capabilities: tools,
  }
}

export const promptHash = ({ instructions }: Agent): string => createHash('sha256').update(instructions).digest('hex')

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
    response: z.array(agentRow.extend({ conversational: z.boolean() })),
    async handle({ client, principal }) {
      const [agents, at] = await Promise.all([client.agents.list(), since(client)])
      const standard = pickDefault(agents, settings)
      const rows = agents.map((agent) => ({
        ...rowOf(agent, agent === standard, principal, at),
        conversational: agent !== standard,
      }))
      return { json: rows }
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
]
