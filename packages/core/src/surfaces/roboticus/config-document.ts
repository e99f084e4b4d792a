import { z } from 'zod'
import type { Agent } from '../../capabilities/agents/index.ts'
import type { Json, JsonObject } from '../../kernel/json.ts'
import { roboticusErrors } from './errors.ts'

export const immutableSections = ['server', 'a2a', 'wallet'] as const

/** What may be changed, in the order of the system's document. */
export const mutableSections = [
  'agent',
  'database',
  'models',
  'providers',
  'circuit_breaker',
  'memory',
  'cache',
  'treasury',
  'self_funding',
  'yield',
  'skills',
  'channels',
  'context',
  'approvals',
  'plugins',
  'browser',
  'daemon',
  'update',
  'tier_adapt',
  'personality',
  'session',
  'digest',
  'learning',
  'multimodal',
  'knowledge',
  'workspace_config',
  'mcp',
  'devices',
  'discovery',
  'obsidian',
  'security',
] as const

const sections: readonly string[] = [...immutableSections, ...mutableSections]

/** What a provider may show: nothing else of it leaves. */
const providerFields = [
  'url',
  'format',
  'chat_path',
  'api_key_env',
  'api_key_ref',
  'auth_mode',
  'auth_header',
  'is_local',
  'cost_per_input_token',
  'cost_per_output_token',
] as const

const text = z.string().nullable()

const providerAnswer = z.strictObject({
  url: z.string(),
  format: text,
  chat_path: text,
  api_key_env: text,
  api_key_ref: text,
  auth_mode: text,
  auth_header: text,
  is_local: z.boolean().nullable(),
  cost_per_input_token: z.number().nullable(),
  cost_per_output_token: z.number().nullable(),
  _key_status: z.enum(['configured', 'missing', 'not_required']),
  _key_source: z.enum(['local', 'oauth', 'keystore', 'env', 'none']),
  _provider_name: z.string(),
})

type ProviderAnswer = z.infer<typeof providerAnswer>

const anything = z.record(z.string(), z.unknown())

const agentSection = z.looseObject({
  name: z.string().min(1),
  id: z.string().min(1),
  workspace: z.string(),
  log_level: z.string(),
  delegation_enabled: z.boolean(),
  delegation_min_complexity: z.number(),
  delegation_min_utility_margin: z.number(),
  specialist_creation_requires_approval: z.boolean(),
  autonomy_max_react_turns: z.int().min(1),
  autonomy_max_turn_duration_seconds: z.int().min(1),
})

const modelSection = z.looseObject({
  primary: z.string().min(1),
  fallbacks: z.array(z.string().min(1)),
  routing: anything,
  model_overrides: anything,
  stream_by_default: z.boolean(),
  tiered_inference: anything,
})

const others = Object.fromEntries(
  sections.filter((name) => !['agent', 'models', 'providers'].includes(name)).map((name) => [name, anything]),
)

export const configAnswer = z.strictObject({
  ...others,
  agent: agentSection,
  models: modelSection,
  providers: z.record(z.string(), providerAnswer),
})

/** The document as a change must leave it. */
const configDocument = z.looseObject({
  ...others,
  agent: agentSection,
  models: modelSection,
  providers: z.record(z.string(), anything),
  memory: anything.refine(sharesAreWhole, 'the budget percentages must sum to 100'),
  session: z.looseObject({ scope_mode: z.enum(['agent', 'peer', 'group']) }),
})

function sharesAreWhole(memory: Readonly<Record<string, unknown>>): boolean {
  const shares = Object.entries(memory).filter(([key]) => key.endsWith('_budget_pct'))
  return shares.every(([, share]) => typeof share === 'number' && share >= 0) && sum(shares.map(([, it]) => it)) === 100
}

const sum = (numbers: readonly unknown[]): number => numbers.reduce((all: number, each) => all + Number(each), 0)

export interface DocumentSources {
  readonly agent: Agent
  /** What clients have set that no capability knows. */
  readonly stored: JsonObject
  readonly scopeMode: string
  readonly providers: readonly { readonly id: string; readonly local: boolean; readonly key: boolean }[]
}

/** The whole configuration as a document: defaults, what was set, and over both what is really in force. */
export function documentOf({ agent, stored, scopeMode, providers }: DocumentSources): JsonObject {
  const [primary = '', ...fallbacks] = agent.models
  const defaults = {
    ...Object.fromEntries(sections.map((section) => [section, {}])),
    agent: {
      workspace: '',
      log_level: 'info',
      delegation_enabled: false,
      delegation_min_complexity: 0,
      delegation_min_utility_margin: 0,
      specialist_creation_requires_approval: true,
      autonomy_max_turn_duration_seconds: 600,
    },
    models: { routing: {}, model_overrides: {}, stream_by_default: false, tiered_inference: {} },
    memory: {
      working_budget_pct: 30,
      episodic_budget_pct: 25,
      semantic_budget_pct: 20,
      procedural_budget_pct: 15,
      relationship_budget_pct: 10,
    },
    session: { scope_mode: scopeMode },
  }
  const inForce = {
    agent: { name: agent.name, id: agent.id, autonomy_max_react_turns: agent.maxSteps },
    models: { primary, fallbacks },
  }
  const named = asObject(stored['providers'])
  const shown = Object.fromEntries(providers.map((each) => [each.id, providerOf(each, asObject(named[each.id]))]))
  return { ...(deepMerge(deepMerge(defaults, stored), inForce) as JsonObject), providers: shown }
}

function providerOf(
  { id, local, key }: DocumentSources['providers'][number],
  stored: JsonObject,
): ProviderAnswer & JsonObject {
  const own = Object.fromEntries(providerFields.map((field) => [field, stored[field] ?? null]))
  return {
    ...own,
    url: String(own['url'] ?? ''),
    is_local: local,
    // Without an entry in the vault, the code that registered it has given it what it needs.
    _key_status: local ? 'not_required' : 'configured',
    _key_source: local ? 'local' : key ? 'keystore' : 'env',
    _provider_name: id,
  } as ProviderAnswer & JsonObject
}

/** The known sections of a change, and the names that are none. Throws `VALUE_INVALID` for a secret. */
export function changeOf(body: Readonly<Record<string, unknown>>): { change: JsonObject; ignored: string[] } {
  const change = Object.fromEntries(Object.entries(body).filter(([name]) => sections.includes(name))) as JsonObject
  const secret = secretIn(change, [])
  if (secret) {
    throw roboticusErrors.VALUE_INVALID({
      message: `${secret} is a secret, which the configuration does not keep; keys of providers have a route of their own`,
    })
  }
  return { change, ignored: Object.keys(body).filter((name) => !sections.includes(name)) }
}

const secretName =
  /^(?:api_key|token|passphrase|(?:\w+_)?(?:mnemonic|password|private_key|secret)|(?:access|app|auth|bearer|bot|refresh|verify)_token)$/i

function secretIn(value: Json, path: readonly string[]): string | null {
  if (typeof value !== 'object' || value === null) return null
  for (const [key, member] of Object.entries(value) as [string, Json][]) {
    const here = [...path, key]
    if (secretName.test(key) && typeof member === 'string' && member !== '') return here.join('.')
    const deeper = secretIn(member, here)
    if (deeper) return deeper
  }
  return null
}

/** The document with the change in it, checked. Throws `VALUE_INVALID`. */
export function changedDocument(before: JsonObject, change: JsonObject): JsonObject {
  const after = deepMerge(before, change) as JsonObject
  const { error } = configDocument.safeParse(after)
  const [issue] = error?.issues ?? []
  if (issue) throw roboticusErrors.VALUE_INVALID({ message: `${issue.path.join('.')}: ${issue.message}` })
  if (asObject(after['agent'])['id'] !== asObject(before['agent'])['id']) {
    throw roboticusErrors.VALUE_INVALID({ message: 'agent.id: sessions belong to the agent by its id, which stays' })
  }
  return after
}

/** What of a change no capability knows: what is in force already is left out, and what the answer adds by itself. */
export function remainder(change: JsonObject): JsonObject {
  const kept = Object.entries(change).map(([section, value]): [string, Json] => {
    if (section === 'agent') return [section, without(asObject(value), ['id', 'name', 'autonomy_max_react_turns'])]
    if (section === 'models') return [section, without(asObject(value), ['primary', 'fallbacks'])]
    if (section !== 'providers') return [section, value]
    const providers = Object.entries(asObject(value)).map(([name, provider]): [string, Json] => [
      name,
      Object.fromEntries(Object.entries(asObject(provider)).filter(([key]) => !key.startsWith('_'))),
    ])
    return [section, Object.fromEntries(providers)]
  })
  return Object.fromEntries(kept.filter(([, value]) => Object.keys(asObject(value)).length > 0))
}

/** What of `after` is not so in `before`. */
export function differing(before: JsonObject, after: JsonObject): JsonObject {
  const changed = Object.entries(after).flatMap(([key, now]): [string, Json][] => {
    const old = before[key]
    const [under, over] = [asObject(old), asObject(now)]
    if (under !== old || over !== now) return JSON.stringify(old) === JSON.stringify(now) ? [] : [[key, now]]
    const deeper = differing(under, over)
    return Object.keys(deeper).length === 0 ? [] : [[key, deeper]]
  })
  return Object.fromEntries(changed)
}

const without = (object: JsonObject, keys: readonly string[]): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)))

export const asObject = (value: unknown): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}

/** Objects are merged, anything else replaces. */
export function deepMerge(below: Json, above: Json): Json {
  const [under, over] = [asObject(below), asObject(above)]
  if (under !== below || over !== above) return above
  const keys = new Set([...Object.keys(under), ...Object.keys(over)])
  return Object.fromEntries(
    [...keys].map((key): [string, Json] => {
      const [old, now] = [under[key], over[key]]
      if (now === undefined) return [key, old ?? null]
      return [key, old === undefined ? now : deepMerge(old, now)]
    }),
  )
}
