import type { JsonObject } from '../../kernel/json.ts'

/**
 * What a generation sets over the code layer: section, id, entry. Frozen. Equal contents are the same object for as long
 * as they are in use, so that what was made of one can be kept under it in a `WeakMap`.
 */
export type ConfigContent = { readonly [section: string]: { readonly [id: string]: JsonObject } }

/** What is wrong with an entry, or with a section as a whole when `id` is null. For people; never a secret. */
export interface ConfigProblem {
  readonly section: string
  readonly id: string | null
  readonly problem: string
}

/** A content that is to become active. */
export interface ConfigDraft {
  readonly tenant: string
  readonly content: ConfigContent
  /** What the draft sets, or null where the code layer stands as it is. */
  entry(section: string, id: string): JsonObject | null
}

/** A part of the configuration that one capability understands. Given to the config service in `runtime.ts`. */
export interface ConfigSection {
  /** `agents`, `models`, `tools`, `connectors`, `skills`, `schedules`, `budgets`, `channels`, `settings` ... */
  readonly name: string
  /** What the code layer has, by id: it is hashed to tell one deploy from another, and compared to name what differs. */
  code?(): { readonly [id: string]: JsonObject }
  /** What is wrong with one entry, one line each; empty when nothing is. Never throws for bad input. */
  check(id: string, entry: JsonObject, draft: ConfigDraft): readonly string[] | Promise<readonly string[]>
  /** What is wrong beyond single entries, such as an entry of the code layer that names what the draft takes away. */
  checkDraft?(draft: ConfigDraft): readonly ConfigProblem[] | Promise<readonly ConfigProblem[]>
}

/** A generation's number with its content. Generation 0 is the code layer alone. */
export interface ConfigSnapshot {
  readonly generation: number
  readonly content: ConfigContent
}

/** How other capabilities read the configuration: from memory unless it has changed or is seldom used. */
export interface ConfigReader {
  /** What is active now. Rejects with `CONFIG_TOO_NEW`, or as the store does. */
  active(tenant: string): ConfigSnapshot | Promise<ConfigSnapshot>
  /** The content of a generation, active or not. Rejects also with `GENERATION_NOT_FOUND`. */
  at(tenant: string, generation: number): ConfigContent | Promise<ConfigContent>
}

export const emptyContent: ConfigContent = Object.freeze({})
