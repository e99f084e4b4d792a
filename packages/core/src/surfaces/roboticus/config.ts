import { z } from 'zod'
import type { Agent, AgentEntry } from '../../capabilities/agents/index.ts'
import { againOnConflict } from '../../capabilities/config/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { Client } from '../../runtime.ts'
import {
  asObject,
  changedDocument,
  changeOf,
  configAnswer,
  deepMerge,
  differing,
  documentOf,
  immutableSections,
  mutableSections,
  remainder,
} from './config-document.ts'
import { type ApplyStatus, createApplyStatus } from './config-status.ts'
import { currentAgent } from './current-agent.ts'
import { rfc3339Text } from './formats.ts'
import type { Settings } from './options.ts'
import { providersOf } from './providers.ts'

const section = 'Config'
const surface = 'roboticus'
/** The budget that `treasury.daily_inference_budget` is. */
const dailyBudget = 'daily_inference_budget'

export const deferredApply = ['server.bind', 'server.port', 'wallet'] as const

const updateAnswer = z.union([
  z.strictObject({
    updated: z.literal(true),
    persisted: z.literal(true),
    message: z.string(),
    backup_path: z.string(),
    deferred_apply: z.array(z.string()),
    ignored_keys: z.array(z.string()),
  }),
  z.strictObject({
    updated: z.literal(false),
    persisted: z.literal(false),
    message: z.string(),
    ignored_keys: z.array(z.string()),
  }),
])

const statusAnswer = z.strictObject({
  status: z.strictObject({
    config_path: z.string(),
    last_attempt_at: rfc3339Text.nullable(),
    last_success_at: rfc3339Text.nullable(),
    last_error: z.string().nullable(),
    last_backup_path: z.string().nullable(),
    deferred_apply: z.array(z.string()),
  }),
})

/** Everything the document is made of, and the generation it was read from. */
async function read(client: Client, settings: Settings) {
  const { number, content } = await client.config.active()
  const { id } = await currentAgent(client, settings)
  const [agent, providers] = await Promise.all([client.agents.get({ id }), providersOf(client)])
  const stored = content['surfaces']?.[surface] ?? {}
  const amount = content['budgets']?.[dailyBudget]?.['amount']
  const document = documentOf({
    agent,
    stored,
    scopeMode: settings.scopeMode,
    dailyBudget: typeof amount === 'string' ? Number(amount) : null,
    providers,
  })
  return { number, agent, stored, document, entry: (content['agents']?.[id] ?? {}) as AgentEntry }
}

/** What the change says of the agent itself. */
function agentEntry(agent: Agent, entry: AgentEntry, after: JsonObject): AgentEntry {
  const [own, models] = [asObject(after['agent']), asObject(after['models'])]
  const instructions = String(asObject(after['personality'])['instructions'])
  const name = String(own['name'])
  const maxSteps = Number(own['autonomy_max_react_turns'])
  const wanted = [models['primary'], ...(models['fallbacks'] as string[])].map(String)
  return {
    ...entry,
    ...(name === agent.name ? {} : { name }),
    ...(instructions === agent.instructions ? {} : { instructions }),
    ...(maxSteps === agent.maxSteps ? {} : { maxSteps }),
    ...(wanted.join('\n') === agent.models.join('\n') ? {} : { models: wanted }),
  }
}

/** The daily budget as the document has it now, where that is another one. */
function budgetPatch(before: JsonObject, after: JsonObject): { readonly budgets?: Record<string, JsonObject> } {
  const [old, now] = [before, after].map((document) => asObject(document['treasury'])[dailyBudget])
  if (now === old || typeof now !== 'number') return {}
  return { budgets: { [dailyBudget]: { scope: 'tenant', period: 'day', amount: now.toFixed(6) } } }
}

/** Makes the change on what is active. Null when nothing differs; else the generation that was active before. */
async function apply(client: Client, settings: Settings, change: JsonObject): Promise<number | null> {
  return await againOnConflict(async () => {
    const { number, agent, stored, document, entry } = await read(client, settings)
    const after = changedDocument(document, change)
    const kept = deepMerge(stored, remainder(differing(document, after))) as JsonObject
    const patch = {
      agents: { [agent.id]: agentEntry(agent, entry, after) as JsonObject },
      ...budgetPatch(document, after),
      // An entry that says nothing would still be one.
      ...(Object.keys(kept).length === 0 ? {} : { surfaces: { [surface]: kept } }),
    }
    const said = Object.keys(patch.agents[agent.id] ?? {}).length > 0 ? patch : { ...patch, agents: {} }
    const description = `changed ${Object.keys(change).join(', ')}`
    const { outcome } = await client.config.change({ patch: said, expected: number, trigger: surface, description })
    return outcome === 'unchanged' ? null : number
  })
}

export function configRoutes(settings: Settings): readonly AnyRoute<Client>[] {
  const statuses: ApplyStatus = createApplyStatus()
  return [
    route<Client>()({
      method: 'GET',
      path: '/api/config',
      section,
      summary: 'Current configuration, without secrets',
      response: configAnswer,
      async handle({ client }) {
        return { json: (await read(client, settings)).document }
      },
    }),

    route<Client>()({
      method: 'PUT',
      path: '/api/config',
      section,
      summary: 'Change any part of the configuration',
      body: z.record(z.string(), z.unknown()),
      response: updateAnswer,
      async handle({ client, body, principal }) {
        const answer = await statuses.attempt(principal?.tenant ?? '', async () => {
          const { change, ignored } = changeOf(body)
          const before = await apply(client, settings, change)
          return { backup: before === null ? null : `generation:${before}`, ignored }
        })
        const { backup, ignored: ignored_keys } = answer
        if (backup === null) {
          return {
            json: { updated: false, persisted: false, message: 'nothing differs from what is set', ignored_keys },
          }
        }
        const message = 'the configuration is changed and in force'
        const more = { backup_path: backup, deferred_apply: deferredApply, ignored_keys }
        return { json: { updated: true, persisted: true, message, ...more } }
      },
    }),

    route<Client>()({
      method: 'GET',
      path: '/api/config/capabilities',
      section,
      summary: 'Which parts of the configuration can be changed',
      response: z.strictObject({
        immutable_sections: z.array(z.string()),
        mutable_sections: z.array(z.string()),
        notes: z.strictObject({
          runtime_reload: z.string(),
          deferred_apply_examples: z.array(z.string()),
          deferred_apply_behavior: z.string(),
        }),
      }),
      handle: () => ({
        json: {
          immutable_sections: immutableSections,
          mutable_sections: mutableSections,
          notes: {
            runtime_reload: 'a change is in force from the next message on; one that is being answered is not touched',
            deferred_apply_examples: deferredApply,
            deferred_apply_behavior: 'such values are kept, and used when the server is started again',
          },
        },
      }),
    }),

    route<Client>()({
      method: 'GET',
      path: '/api/config/status',
      section,
      summary: 'How the last change of the configuration went',
      response: statusAnswer,
      async handle({ client, principal }) {
        const { number } = await client.config.active()
        const { attemptAt, successAt, error, backup } = statuses.of(principal?.tenant ?? '')
        return {
          json: {
            status: {
              config_path: `generation:${number}`,
              last_attempt_at: attemptAt,
              last_success_at: successAt,
              last_error: error,
              last_backup_path: backup,
              deferred_apply: successAt === null ? [] : deferredApply,
            },
          },
        }
      },
    }),
  ]
}
