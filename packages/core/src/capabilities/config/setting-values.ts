import type { Implementation } from '../../contract/invoke.ts'
import type { Json, JsonObject } from '../../kernel/json.ts'
import type { Vault } from '../vault/index.ts'
import { type SettingState, settingErrors, type settingOperations } from './contract.ts'
import { type ConfigContent, emptyContent } from './section.ts'
import type { Config } from './service.ts'
import {
  invalidSettings,
  jsonOf,
  parseSetting,
  type SettingDefinition,
  type SettingDefinitions,
  type SettingValues,
  settingMask,
} from './settings.ts'

export interface SettingsDependencies {
  readonly definitions: SettingDefinitions
  readonly config: Pick<Config, 'edit' | 'firstOf' | 'reader'>
  readonly vault: Vault
}

/** Where a secret setting is in the vault. */
const entryOf = (key: string): string => `${entryPrefix}${key}`
const entryPrefix = 'setting:'

export function createSettings({
  definitions,
  config,
  vault,
}: SettingsDependencies): Implementation<typeof settingOperations> {
  const keys = Object.keys(definitions)
  const hasSecrets = keys.some((key) => definitions[key]?.secret)
  const hasDeferred = keys.some((key) => definitions[key]?.applies === 'restart')

  function definitionOf(key: string): SettingDefinition {
    const definition = Object.hasOwn(definitions, key) ? definitions[key] : undefined
    if (!definition) throw settingErrors.SETTING_UNKNOWN({ message: `there is no setting ${JSON.stringify(key)}` })
    return definition
  }

  /** What this process goes by for settings that take effect at a start. */
  async function startedWith(tenant: string): Promise<ConfigContent> {
    const first = await config.firstOf(tenant)
    try {
      return await config.reader.at(tenant, first)
    } catch {
      // It was pruned since: what is set now is the nearest that is known.
      return first === 0 ? emptyContent : (await config.reader.active(tenant)).content
    }
  }

  async function view(tenant: string) {
    const { content } = await config.reader.active(tenant)
    const started = hasDeferred ? await startedWith(tenant) : content
    const stored = hasSecrets ? await vault.list(tenant, { after: entryPrefix }) : []
    const secrets = new Set(stored.map(({ name }) => name))
    return (key: string): SettingState => {
      const { applies = 'live', default: preset, description = '', secret = false } = definitionOf(key)
      const shared = { key, description, secret, applies }
      if (secret) {
        const set = secrets.has(entryOf(key))
        return { ...shared, set, value: set ? settingMask : null }
      }
      const [now, then] = [content, started].map((each) => each['settings']?.[key]?.['value'])
      const value = (given: Json | undefined) => (given === undefined ? jsonOf(preset) : given)
      const state = { ...shared, set: now !== undefined }
      if (applies === 'live') return { ...state, value: value(now) }
      const pends = JSON.stringify(value(now)) !== JSON.stringify(value(then))
      return pends ? { ...state, value: value(then), pending: value(now) } : { ...state, value: value(now) }
    }
  }

  return {
    async get({ principal }, { key }) {
      definitionOf(key)
      return (await view(principal.tenant))(key)
    },

    async list({ principal }) {
      return keys.map(await view(principal.tenant))
    },

    async pending({ principal }) {
      const stateOf = await view(principal.tenant)
      return keys.filter((key) => stateOf(key).pending !== undefined)
    },

    async set(context, { values, ...wanted }) {
      const { tenant } = context.principal
      const problems: Record<string, string> = {}
      const entries: Record<string, JsonObject | null> = {}
      const given: (readonly [key: string, text: string | null])[] = []
      const checks = Object.entries(values).map(async ([key, value]) => {
        const definition = Object.hasOwn(definitions, key) ? definitions[key] : undefined
        if (!definition) {
          problems[key] = 'there is no such setting'
          return
        }
        if (definition.secret && value === settingMask) return
        if (value !== null) {
          const parsed = await parseSetting(definition, value)
          if (!parsed.ok) problems[key] = parsed.problem
        }
        if (definition.secret) given.push([key, value === null ? null : JSON.stringify(value)])
        else entries[key] = value === null ? null : { value }
      })
      await Promise.all(checks)
      if (Object.keys(problems).length > 0) throw invalidSettings(problems)
      const secrets = await Promise.all(given.map(([key, text]) => vault.seal(tenant, entryOf(key), text)))
      await config.edit(context, { trigger: 'settings', ...wanted }, () => ({ patch: { settings: entries }, secrets }))
      return Object.keys(values).map(await view(tenant))
    },

    async reveal({ principal: { tenant } }, { key }) {
      const definition = definitionOf(key)
      if (!definition.secret) return (await view(tenant))(key).value
      const stored = await vault.get(tenant, entryOf(key))
      return stored === null ? jsonOf(definition.default) : (JSON.parse(stored) as Json)
    },
  }
}

/** What reads settings: a client's `settings`. */
interface SettingReader {
  readonly settings: { reveal(input: { readonly key: string }): Promise<Json> }
}

/** The value in effect as its schema makes it, typed. Throws `SETTINGS_INVALID` when the stored one fits no more. */
export async function readSetting<Definitions extends SettingDefinitions, Key extends keyof Definitions & string>(
  client: SettingReader,
  definitions: Definitions,
  key: Key,
): Promise<SettingValues<Definitions>[Key]> {
  const definition = definitions[key]
  if (!definition) throw settingErrors.SETTING_UNKNOWN()
  const parsed = await parseSetting(definition, await client.settings.reveal({ key }))
  if (!parsed.ok) throw invalidSettings({ [key]: parsed.problem })
  return parsed.value as SettingValues<Definitions>[Key]
}
