import { z } from 'zod'
import type { Agent } from '../../capabilities/agents/index.ts'
import { configErrors, type Generation } from '../../capabilities/config/index.ts'
import type { ToolOverrides } from '../../capabilities/tools/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import { agentFields, fieldsOf, type startTime } from './agents.ts'
import { connectorsOf, descriptionOf } from './connectors.ts'
import { pickDefault } from './current-agent.ts'
import { rowTime, timeText } from './formats.ts'
import { fieldsOfModel, modelFields, modelsInUse } from './models.ts'
import type { Settings } from './options.ts'

const section = 'Config'
const mostGenerations = 50

const named = <Entry extends z.ZodType>(entry: Entry) => z.record(z.string(), entry)
const nothing = named(z.never())

const configAnswer = z.strictObject({
  schema_version: z.literal(2),
  connectors: named(
    z.strictObject({
      name: z.string(),
      connector_type: z.string(),
      description: z.string().nullable(),
      status: z.string(),
      setup_type: z.string().nullable(),
      capabilities: z.array(z.string()),
    }),
  ),
  agents: named(agentFields),
  /** By `user:agent:tool`, `*` for every agent. */
  policies: named(z.enum(['always', 'confirm', 'never'])),
  llm: z.strictObject({
    models: named(modelFields),
    assignments: named(z.array(z.string())),
  }),
  /** Secrets are in the vault, and stay there. */
  credentials: nothing,
  workflows: nothing,
  mounts: nothing,
  channels: nothing,
  scheduled_tasks: nothing,
})

type ToolEntries = Readonly<Record<string, ToolOverrides>>

const permitted = { allow: 'always', ask: 'confirm', deny: 'never' } as const

/** What agents may do with tools, where it was said. */
function policiesOf(agents: readonly Agent[], tools: ToolEntries, user: string) {
  const everyone = Object.entries(tools).flatMap(([tool, { approval, enabled }]) => {
    const said = enabled === false ? 'deny' : approval === 'never' ? 'allow' : approval === 'always' ? 'ask' : null
    return said === null ? [] : [[`${user}:*:${tool}`, permitted[said]] as const]
  })
  const own = agents.flatMap(({ id, permissions }) =>
    Object.entries(permissions).map(([tool, said]) => [`${user}:${id}:${tool}`, permitted[said]] as const),
  )
  return Object.fromEntries([...everyone, ...own])
}

/** The live state, made of what capabilities say now. */
async function configOf(client: Client, settings: Settings): Promise<z.infer<typeof configAnswer>> {
  const [agents, connectors] = await Promise.all([client.agents.list(), connectorsOf(client)])
  const models = await modelsInUse(client, agents)
  const standard = pickDefault(agents, settings)
  const { content } = await client.config.active()
  return {
    schema_version: 2,
    connectors: Object.fromEntries(
      connectors.map((connector) => [
        connector.name,
        {
          name: connector.displayName,
          connector_type: 'mcp',
          description: descriptionOf(connector),
          status: connector.enabled ? 'active' : 'disabled',
          setup_type: 'mcp',
          capabilities: [],
        },
      ]),
    ),
    agents: Object.fromEntries(agents.map((agent) => [agent.id, fieldsOf(agent, agent === standard)])),
    policies: policiesOf(agents, (content['tools'] ?? {}) as ToolEntries, settings.user.id),
    llm: {
      models: Object.fromEntries(models.map((model) => [model.id, fieldsOfModel(model)])),
      assignments: Object.fromEntries([
        ...(standard === undefined ? [] : [['system:execution', [...standard.models]] as [string, string[]]]),
        ...agents.map((agent): [string, string[]] => [`${agent.id}:execution`, [...agent.models]]),
      ]),
    },
    credentials: {},
    workflows: {},
    mounts: {},
    channels: {},
    scheduled_tasks: {},
  }
}

const wholeNumber = z.union([
  z.int(),
  z
    .string()
    .max(20)
    .regex(/^-?\d+$/, 'must be a whole number')
    .transform(Number),
])

const rollbackBody = z
  .object({ generation: wholeNumber.nullish(), generation_id: wholeNumber.nullish() })
  .refine(({ generation, generation_id }) => (generation_id ?? generation) != null, {
    path: ['generation_id'],
    message: 'Field required',
  })

/** The system counts from 1, which is what there was before the first change: the code layer, number 0 elsewhere. */
export const generationId = (number: number): number => number + 1

/** A generation as the system lists it. */
export type ListedGeneration = Pick<Generation, 'createdAt' | 'description' | 'trigger'> & { readonly id: number }

/** The newest generations and the active one, the first state among them. `since`: when that was made, at the latest. */
export async function generationsOf(client: Client, limit: number, since: number) {
  const { active, generations } = await client.config.list({ limit })
  const listed = generations.map((each): ListedGeneration => ({ ...each, id: generationId(each.number) }))
  if (listed.length < limit) {
    const createdAt = Math.min(since, generations.at(-1)?.createdAt ?? since)
    listed.push({ id: generationId(0), description: 'initial config', trigger: 'init', createdAt })
  }
  return { active: generationId(active), generations: listed }
}

/** Makes a generation active again, by moving the pointer: none is added and none goes. Returns its id. */
export async function rollBack(client: Client, id: number): Promise<number> {
  const missing = () => configErrors.GENERATION_NOT_FOUND({ message: `Generation ${id} does not exist` })
  if (!Number.isSafeInteger(id) || id < generationId(0)) throw missing()
  try {
    const change = { generation: id - generationId(0), numbering: 'reuse', trigger: 'rollback' } as const
    return generationId((await client.config.rollback(change)).generation.number)
  } catch (error) {
    throw isKeelsonError(error) && error.code === 'GENERATION_NOT_FOUND' ? missing() : error
  }
}

export const configRoutes = (settings: Settings, since: ReturnType<typeof startTime>): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/config',
    section,
    summary: 'The configuration as it is now',
    response: configAnswer,
    handle: async ({ client }) => ({ json: await configOf(client, settings) }),
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/config/generations',
    section,
    summary: 'List config generations, newest first',
    response: z.strictObject({
      active_id: z.int().nullable(),
      generations: z.array(
        z.strictObject({
          id: z.int(),
          description: z.string().nullable(),
          trigger: z.string(),
          created_at: timeText,
          is_active: z.boolean(),
        }),
      ),
    }),
    async handle({ client }) {
      const { active, generations } = await generationsOf(client, mostGenerations, await since(client))
      return {
        json: {
          active_id: active,
          generations: generations.map(({ createdAt, description, id, trigger }) => ({
            id,
            description: description === '' ? null : description,
            trigger,
            created_at: rowTime(createdAt),
            is_active: id === active,
          })),
        },
      }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/config/rollback',
    section,
    summary: 'Make an earlier, or later, generation the active one',
    body: rollbackBody,
    response: z.strictObject({ status: z.literal('rolled_back'), active_generation: z.int() }),
    async handle({ client, body: { generation, generation_id } }) {
      const active = await rollBack(client, generation_id ?? generation ?? Number.NaN)
      return { json: { status: 'rolled_back', active_generation: active } }
    },
  }),
]
