import { z } from 'zod'
import type { Agent } from '../../capabilities/agents/index.ts'
import type { RegisteredModel } from '../../capabilities/models/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import type { startTime } from './agents.ts'
import { pickDefault } from './current-agent.ts'
import { rowTime, timeText } from './formats.ts'
import type { Settings } from './options.ts'

const tiers = z.enum(['opus', 'sonnet', 'haiku'])

/** What the configuration tells of a model, and the list of models too. */
export const modelFields = z.strictObject({
  provider: z.string(),
  tier: tiers,
  /** Dollars for 1,000 tokens. */
  input_cost_per_1k: z.number().nullable(),
  output_cost_per_1k: z.number().nullable(),
  max_context: z.int().nullable(),
  status: z.string(),
})

const modelRow = modelFields.extend({ id: z.string(), updated_at: timeText })

const assignmentRow = z.strictObject({
  agent_id: z.string().nullable(),
  model_id: z.string(),
  priority: z.int(),
  purpose: z.enum(['execution', 'classification']),
  agent_name: z.string().nullable(),
})

/** The system's guess from a model's name. */
const tierOf = (id: string): z.infer<typeof tiers> =>
  /opus/i.test(id) ? 'opus' : /haiku|mini|flash/i.test(id) ? 'haiku' : 'sonnet'

/** Registered models, and those that agents name of providers which take any name. */
export async function modelsInUse(client: Client, agents: readonly Agent[]): Promise<RegisteredModel[]> {
  const registered = await client.models.list()
  const known = new Set(registered.map(({ id }) => id))
  const named = [...new Set(agents.flatMap(({ models }) => models))].filter((id) => !known.has(id))
  const found = await Promise.all(named.map((id) => client.models.get({ id }).catch(() => null)))
  return [...registered, ...found.filter((model) => model !== null)]
}

/** Dollars for 1,000 tokens of pico-dollars for one. */
const perThousand = (price: number | undefined): number | null => (price === undefined ? null : price / 1e9)

export const fieldsOfModel = ({
  contextTokens,
  id,
  price,
  provider,
}: RegisteredModel): z.infer<typeof modelFields> => ({
  provider,
  tier: tierOf(id),
  input_cost_per_1k: perThousand(price?.input),
  output_cost_per_1k: perThousand(price?.output),
  max_context: contextTokens,
  status: 'available',
})

const byName = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

function assignmentsOf(agents: readonly Agent[], standard: Agent | undefined): z.infer<typeof assignmentRow>[] {
  const of = (agent: Agent, own: boolean) =>
    agent.models.map((model, index) => ({
      agent_id: own ? agent.id : null,
      model_id: model,
      priority: index + 1,
      purpose: 'execution' as const,
      agent_name: own ? agent.name : null,
    }))
  return [...agents.flatMap((agent) => of(agent, true)), ...(standard === undefined ? [] : of(standard, false))]
}

export const modelRoutes = (settings: Settings, since: ReturnType<typeof startTime>): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/models',
    section: 'Models',
    summary: 'List the models of configured providers, and which agents use them',
    response: z.strictObject({
      models: z.array(modelRow),
      agents: z.array(z.strictObject({ id: z.string(), name: z.string() })),
      assignments: z.array(assignmentRow),
    }),
    async handle({ client }) {
      const agents = (await client.agents.list()).toSorted((one, other) => byName(one.id, other.id))
      const [models, at] = await Promise.all([modelsInUse(client, agents), since(client)])
      const rows = models.map((model) => ({ id: model.id, ...fieldsOfModel(model), updated_at: rowTime(at) }))
      return {
        json: {
          models: rows.sort(
            (one, other) =>
              byName(one.provider, other.provider) || byName(one.tier, other.tier) || byName(one.id, other.id),
          ),
          agents: agents.map(({ id, name }) => ({ id, name })),
          assignments: assignmentsOf(agents, pickDefault(await client.agents.list(), settings)),
        },
      }
    },
  }),
]
