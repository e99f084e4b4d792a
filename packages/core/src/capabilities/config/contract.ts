import { operation } from '../../contract/operation.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Json, JsonObject } from '../../kernel/json.ts'
import type { ConfigContent, ConfigProblem } from './section.ts'
import type { Generation } from './store.ts'

export const configErrors = defineErrors({
  CONFIG_CONFLICT: {
    kind: 'conflict',
    message: 'the configuration has changed since it was read; read it again and repeat the change',
  },
  /** `details.problems` has each of them. */
  CONFIG_INVALID: { kind: 'unprocessable', message: 'the configuration is not valid; nothing was changed' },
  CONFIG_PATCH_INVALID: {
    kind: 'bad_request',
    message: 'a patch names sections, in each of them ids, and for each id a JSON object or null',
  },
  CONFIG_SECTION_UNKNOWN: { kind: 'unprocessable', message: 'no capability of this runtime has this section' },
  CONFIG_TOO_NEW: {
    kind: 'unavailable',
    message:
      'this generation was made by a newer version of the code; it is kept as it is: update this server to use it',
  },
  CONFIG_TOO_LARGE: { kind: 'too_large', message: 'the configuration is too large' },
  CONFIG_DAMAGED: {
    kind: 'internal',
    message: 'the stored content of this generation is not what its hash says; activate another one',
  },
  GENERATION_NOT_FOUND: { kind: 'not_found', message: 'no such generation' },
})

/** By section and id: what is set there from now on, or null for what the code layer says. */
export type ConfigPatch = { readonly [section: string]: { readonly [id: string]: JsonObject | null } }

/**
 * How numbers are given. `append`: each change and each rollback makes a new generation. `reuse`: a state that an
 * earlier generation has activates that one, and a rollback only moves the pointer.
 */
export type Numbering = 'append' | 'reuse'

/** What is noted of a change, and what it goes by. */
export interface ChangeNote {
  /** The generation that the caller believes to be active; `CONFIG_CONFLICT` when another one is. @default whatever is active */
  readonly expected?: number
  readonly description?: string
  readonly trigger?: string
  /** @default the caller's subject */
  readonly author?: string
  /** @default 'append' */
  readonly numbering?: Numbering
}

export interface ChangeConfig extends ChangeNote {
  readonly patch: ConfigPatch
  /** False stores the generation for later: it is checked when it is activated. @default true */
  readonly activate?: boolean
}

export interface ActivateGeneration extends Pick<ChangeNote, 'expected'> {
  readonly generation: number
}

export interface RollBack extends ChangeNote {
  readonly generation: number
}

/** How the code of this process differs from the code a generation was made on. */
export interface CodeDrift {
  /** What was added, changed or removed since, as `section/id`; null when the older code is not known any more. */
  readonly definitions: readonly string[] | null
}

export interface ConfigChanged {
  /** `unchanged`: the state was the wanted one already. `staged`: stored, and not active. */
  readonly outcome: 'created' | 'reactivated' | 'unchanged' | 'staged'
  readonly generation: Generation
  /** How the code differs from the one the activated generation was made on; null when it does not. */
  readonly drift: CodeDrift | null
}

export interface GenerationContent extends Generation {
  readonly active: boolean
  readonly content: ConfigContent
}

export interface ConfigDifference {
  readonly section: string
  readonly id: string
  readonly kind: 'added' | 'removed' | 'changed'
  /** Null when it is not set. */
  readonly from: JsonObject | null
  readonly to: JsonObject | null
}

export interface GenerationList {
  /** May be outside the page; 0 is the code layer alone. */
  readonly active: number
  /** Newest first. */
  readonly generations: readonly Generation[]
}

const read = { auth: 'operator', effect: 'read' } as const
const write = { auth: 'operator', effect: 'write' } as const
const vaultFailures = ['VAULT_UNCONFIGURED', 'VAULT_KEY_WRONG', 'VAULT_KEY_MISSING'] as const
const changeErrors = ['CONFIG_CONFLICT', 'CONFIG_INVALID', 'CONFIG_SECTION_UNKNOWN', 'CONFIG_TOO_NEW'] as const

export const configOperations = {
  /** Applies a patch to the active content and activates the result, all of it or nothing. */
  change: operation<ChangeConfig, ConfigChanged>({
    ...write,
    errors: [...changeErrors, 'CONFIG_PATCH_INVALID', 'CONFIG_TOO_LARGE'],
  }),
  /** Moves the pointer to a generation that exists, older or newer. 0 is the code layer alone. */
  activate: operation<ActivateGeneration, ConfigChanged>({
    ...write,
    errors: [...changeErrors, 'GENERATION_NOT_FOUND'],
  }),
  /** Makes the content of an earlier generation active again, by the numbering that was chosen. */
  rollback: operation<RollBack, ConfigChanged>({ ...write, errors: [...changeErrors, 'GENERATION_NOT_FOUND'] }),
  /** What is active now, with its content. */
  active: operation<void, GenerationContent>({ ...read, errors: ['CONFIG_TOO_NEW'] }),
  /** One generation with its content. */
  get: operation<{ generation: number }, GenerationContent>({
    ...read,
    errors: ['GENERATION_NOT_FOUND', 'CONFIG_TOO_NEW'],
  }),
  /** Generations before a number, newest first; at most `limit`, 50 by default. */
  list: operation<{ limit?: number; before?: number } | undefined, GenerationList>({ ...read, errors: [] }),
  /** By section and id. */
  diff: operation<{ from: number; to: number }, readonly ConfigDifference[]>({
    ...read,
    errors: ['GENERATION_NOT_FOUND', 'CONFIG_TOO_NEW'],
  }),
  /** Keeps a generation for good. */
  pin: operation<{ generation: number }, Generation>({ ...write, errors: ['GENERATION_NOT_FOUND'] }),
  /** Lets a generation be pruned like any other. */
  unpin: operation<{ generation: number }, Generation>({ ...write, errors: ['GENERATION_NOT_FOUND'] }),
  /** What is wrong with a patch, without changing anything. */
  check: operation<{ patch: ConfigPatch }, readonly ConfigProblem[]>({
    ...read,
    errors: ['CONFIG_PATCH_INVALID', 'CONFIG_SECTION_UNKNOWN', 'CONFIG_TOO_NEW'],
  }),
}

export const settingErrors = defineErrors({
  /** `details.problems` has one text per key. */
  SETTINGS_INVALID: { kind: 'bad_request', message: 'a setting is not valid; nothing was changed' },
  SETTING_UNKNOWN: { kind: 'not_found', message: 'there is no such setting' },
})

/** A setting as it may be shown. */
export interface SettingState {
  readonly key: string
  readonly description: string
  readonly secret: boolean
  /** When a change takes effect. */
  readonly applies: 'live' | 'restart'
  /** True when it was set; otherwise the value is the default. */
  readonly set: boolean
  /** What is in effect; of a secret that is set its mask, and null of one that is not. */
  readonly value: Json
  /** Present when another value takes effect at the next start. */
  readonly pending?: Json
}

export interface SetSettings extends ChangeNote {
  /** By key: a value, or null for the default. All of them or none. */
  readonly values: { readonly [key: string]: Json }
}

export const settingOperations = {
  /** One setting, of a secret its mask. */
  get: operation<{ key: string }, SettingState>({ ...read, errors: ['SETTING_UNKNOWN'] }),
  /** In the order of their definition. */
  list: operation<void, readonly SettingState[]>({ ...read, errors: [] }),
  /** Keys that wait for the next start. */
  pending: operation<void, readonly string[]>({ ...read, errors: [] }),
  /** A secret whose value is the mask stays as it is. Returns what they are now. */
  set: operation<SetSettings, readonly SettingState[]>({
    ...write,
    errors: [...changeErrors, 'SETTINGS_INVALID', ...vaultFailures],
  }),
  /** The value in effect, secret or not: for code, never to be shown. */
  reveal: operation<{ key: string }, Json>({ ...read, errors: ['SETTING_UNKNOWN', ...vaultFailures] }),
}

export const providerKeyErrors = defineErrors({
  PROVIDER_NOT_FOUND: { kind: 'not_found', message: 'no such provider' },
  PROVIDER_KEY_INVALID: { kind: 'bad_request', message: 'a key is a text that is not empty' },
})

/** Names of the vault's entries for API keys, `<provider>_api_key`. */
export const providerKeyEntry = (provider: string): string => `${provider}_api_key`

/** API keys of model providers. They are kept in the vault and never shown. */
export const providerKeyOperations = {
  /** The providers with a key in the vault. */
  list: operation<void, readonly string[]>({ ...read, errors: [] }),
  /** Calls of the tenant use it from the next one on. */
  set: operation<{ provider: string; key: string }, void>({
    ...write,
    errors: ['PROVIDER_NOT_FOUND', 'PROVIDER_KEY_INVALID', ...vaultFailures],
  }),
  /** False when there was none. */
  remove: operation<{ provider: string }, boolean>({ ...write, errors: ['PROVIDER_NOT_FOUND'] }),
}
