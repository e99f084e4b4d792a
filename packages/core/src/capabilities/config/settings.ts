import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Json, JsonObject } from '../../kernel/json.ts'
import { settingErrors } from './contract.ts'
import type { ConfigSection } from './section.ts'

/** A setting as its author writes it. */
export interface SettingDefinition<Schema extends StandardSchemaV1 = StandardSchemaV1> {
  /** Any Standard Schema (zod, valibot, arktype ...). It is given JSON. */
  readonly schema: Schema
  /** What holds while nothing is set: input of the schema. */
  readonly default: StandardSchemaV1.InferInput<Schema>
  readonly description?: string
  /** Kept in the vault, never in a generation, and shown masked. @default false */
  readonly secret?: boolean
  /** When a change takes effect: at once, or at the next start. @default 'live' */
  readonly applies?: 'live' | 'restart'
}

export type SettingDefinitions = Readonly<Record<string, SettingDefinition>>

/** What code gets for each key. */
export type SettingValues<Definitions extends SettingDefinitions> = {
  readonly [Key in keyof Definitions]: StandardSchemaV1.InferOutput<Definitions[Key]['schema']>
}

/** Stands for a secret that is set; given back as a value it changes nothing. */
export const settingMask = '••••••••'

const longestProblem = 300

/** Gives the settings their types and checks what can be checked now. Throws `SETTINGS_INVALID`. */
export function defineSettings<const Definitions extends Record<string, SettingDefinition>>(
  definitions: Definitions,
): Definitions {
  const problems: Record<string, string> = {}
  for (const [key, { applies = 'live', schema, secret = false }] of Object.entries(definitions)) {
    if (!/^[\w.-]{1,128}$/.test(key) || key in Object.prototype) {
      problems[key] = 'a key takes letters, digits, "_", "-" and ".", at most 128'
    } else if (schema?.['~standard']?.validate === undefined) problems[key] = 'it needs a Standard Schema'
    else if (typeof secret !== 'boolean') problems[key] = 'secret must be true or false'
    else if (applies !== 'live' && applies !== 'restart') problems[key] = "applies must be 'live' or 'restart'"
  }
  if (Object.keys(problems).length > 0) throw invalidSettings(problems)
  return Object.freeze(definitions)
}

/** `SETTINGS_INVALID` with one problem per key. */
export function invalidSettings(problems: Readonly<Record<string, string>>) {
  const [[key, problem] = ['', '']] = Object.entries(problems)
  return settingErrors.SETTINGS_INVALID({
    message: `the setting ${key} is not valid: ${problem}; nothing was changed`,
    details: { problems },
  })
}

/** What the schema makes of a value, or what is wrong with it; the value itself is never in the text. */
export async function parseSetting(
  { schema }: SettingDefinition,
  value: Json,
): Promise<{ readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: string }> {
  const { issues, value: output } = (await schema['~standard'].validate(value)) as {
    issues?: readonly StandardSchemaV1.Issue[]
    value?: unknown
  }
  if (!issues) return { ok: true, value: output }
  const texts = issues.slice(0, 5).map(({ message, path = [] }) => {
    const where = path.map((segment) => String(typeof segment === 'object' ? segment.key : segment)).join('.')
    return where === '' ? message : `${where}: ${message}`
  })
  return { ok: false, problem: texts.join('; ').slice(0, longestProblem) }
}

/** The `settings` section: by key `{ value }`, of the settings that are no secret. */
export function settingsSection(definitions: SettingDefinitions): ConfigSection {
  return {
    name: 'settings',
    code: () =>
      Object.fromEntries(
        Object.entries(definitions).map(
          ([key, { applies = 'live', default: value, secret = false }]): [string, JsonObject] => [
            key,
            { applies, secret, default: secret ? null : jsonOf(value) },
          ],
        ),
      ),
    async check(key, entry) {
      const definition = Object.hasOwn(definitions, key) ? definitions[key] : undefined
      if (!definition) return ['there is no such setting']
      if (definition.secret) return ['a secret is kept in the vault, not in the configuration']
      const { value, ...rest } = entry
      if (value === undefined || Object.keys(rest).length > 0) return ['a setting is { value }']
      const parsed = await parseSetting(definition, value)
      return parsed.ok ? [] : [parsed.problem]
    },
  }
}

/** A value as JSON; null for one that has no such form. */
export const jsonOf = (value: unknown): Json =>
  value === undefined ? null : (JSON.parse(JSON.stringify(value)) as Json)
