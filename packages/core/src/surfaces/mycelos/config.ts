import { z } from 'zod'
import { configErrors } from '../../capabilities/config/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import { promptHash } from './agents.ts'
import { connectorsOf, descriptionOf } from './connectors.ts'
import { pickDefault } from './current-agent.ts'
import { rowTime, timeText } from './formats.ts'
import { modelsInUse, perThousand, tierOf } from './models.ts'
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
  agents: named(
    z.strictObject({
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
    }),
  ),
  policies: nothing,
  llm: z.strictObject({
    models: named(
      z.strictObject({
        provider: z.string(),
        tier: z.string(),
        input_cost_per_1k: z.number().nullable(),
        output_cost_per_1k: z.number().nullable(),
        max_context: z.int().nullable(),
        status: z.string(),
      }),
    ),
    assignments: named(z.array(z.string())),
  }),
  /** Secrets are in the vault, and stay there. */
  credentials: nothing,
  workflows: nothing,
  mounts: nothing,
  channels: nothing,
  scheduled_tasks: nothing,
})

/** The live state, made of what capabilities say now. */
async function configOf(client: Client, settings: Settings): Promise<z.infer<typeof configAnswer>> {
  const [agents, connectors] = await Promise.all([client.agents.list(), connectorsOf(client)])
  const models = await modelsInUse(client, agents)
  const standard = pickDefault(agents, settings)
  const sets = new Map(Object.entries((await client.config.active()).content['agents'] ?? {}))
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
    agents: Object.fromEntries(
      agents.map((agent) => [
        agent.id,
        {
          name: agent.name,
          agent_type: agent === standard ? 'full_model' : 'persona',
          status: 'active',
          policy: null,
          reputation: 0.5,
          code_hash: null,
          tests_hash: null,
          prompt_hash: promptHash(agent),
          capabilities: agent.tools.map(({ name }) => name),
          created_by: sets.has(agent.id) ? 'user' : 'system',
        },
      ]),
    ),
    policies: {},
    llm: {
      models: Object.fromEntries(
        models.map(({ contextTokens, id, price, provider }) => [
          id,
          {
            provider,
            tier: tierOf(id),
            input_cost_per_1k: perThousand(price?.input),
            output_cost_per_1k: perThousand(price?.output),
            max_context: contextTokens,
            status: 'available',
          },
        ]),
      ),
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

/** Makes a generation active again, by moving the pointer: none is added and none goes. Returns its number. */
export async function rollBack(client: Client, generation: number): Promise<number> {
  const missing = () => configErrors.GENERATION_NOT_FOUND({ message: `Generation ${generation} does not exist` })
  // To this system the code layer, which is number 0 elsewhere, is none.
  if (!Number.isSafeInteger(generation) || generation < 1) throw missing()
  try {
    return (await client.config.rollback({ generation, numbering: 'reuse', trigger: 'rollback' })).generation.number
  } catch (error) {
    throw isKeelsonError(error) && error.code === 'GENERATION_NOT_FOUND' ? missing() : error
  }
}

export const configRoutes = (settings: Settings): readonly AnyRoute<Client>[] => [
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
      const { active, generations } = await client.config.list({ limit: mostGenerations })
      return {
        json: {
          active_id: active === 0 ? null : active,
          generations: generations.map(({ createdAt, description, number, trigger }) => ({
            id: number,
            description: description === '' ? null : description,
            trigger,
            created_at: rowTime(createdAt),
            is_active: number === active,
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
