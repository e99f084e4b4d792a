import type { VaultWrite } from '../vault/index.ts'

/** Where a tenant's configuration stands. */
export interface ConfigHead {
  readonly tenant: string
  /** The active generation; 0 is the code layer alone. */
  readonly active: number
  /** The highest number that was ever given. */
  readonly latest: number
  /** Goes up with every move of any tenant's pointer, in the order of the commits. */
  readonly revision: number
}

/** A generation without its content. Immutable but for `pinned`. */
export interface Generation {
  /** 1, 2, 3 ... within the tenant; never given twice. */
  readonly number: number
  /** The generation it was made from; 0 is the code layer alone. */
  readonly parent: number
  readonly author: string
  readonly description: string
  /** What made it, e.g. `change`, `rollback`, `deploy`, or a word of the surface's own. */
  readonly trigger: string
  /** SHA-256 of the content as canonical JSON, hex. */
  readonly contentHash: string
  /** Hash of the code layer it was made on. */
  readonly codeHash: string
  /** A pinned one is never pruned. */
  readonly pinned: boolean
  /** Milliseconds since the epoch. */
  readonly createdAt: number
}

/** A content as it is stored. */
export interface StoredContent {
  readonly hash: string
  /** Number of the format that `content` is written in. */
  readonly format: number
  /** Canonical JSON. */
  readonly content: string
}

export type NewGeneration = Omit<Generation, 'number' | 'parent' | 'pinned' | 'contentHash' | 'codeHash'> & {
  readonly content: StoredContent
}

/** The code layer of a process: its hash, and by `section/id` the hash of each definition, as JSON. */
export interface CodeLayer {
  readonly hash: string
  readonly definitions: string
}

export interface AddGeneration {
  readonly generation: NewGeneration
  readonly code: CodeLayer
  /** True for a content that sets nothing, which is also that of generation 0. */
  readonly empty: boolean
  /** The pointer that the content was made from; when it has moved since, nothing is written. */
  readonly base: number
  /** `reuse`: where a generation of the same content exists, the newest of them is activated instead. */
  readonly numbering: 'append' | 'reuse'
  /** False adds the generation and leaves the pointer. */
  readonly activate: boolean
  /** Written to the tenant's vault together with the generation, or not at all. */
  readonly secrets: readonly VaultWrite[]
}

export interface PutSecrets {
  readonly secrets: readonly VaultWrite[]
  /** The pointer that they were made for; when it has moved since, nothing is written. */
  readonly base: number
  /** Milliseconds since the epoch. */
  readonly at: number
}

export type AddedGeneration =
  | { readonly outcome: 'created' | 'reactivated'; readonly head: ConfigHead; readonly number: number }
  | { readonly outcome: 'conflict'; readonly active: number }

export type ActivatedGeneration =
  | { readonly outcome: 'activated'; readonly head: ConfigHead }
  | { readonly outcome: 'conflict'; readonly active: number }
  | { readonly outcome: 'missing' }

export type SecretsPut = { readonly outcome: 'put' } | { readonly outcome: 'conflict'; readonly active: number }

/** Which generations may go. */
export interface Retention {
  /** So many of the newest stay. */
  readonly keep: number
  /** One that the pointer left at or after this time stays: another instance may not have heard of it yet. */
  readonly leftBefore: number
  readonly limit: number
}

/**
 * Generations and the pointer to the active one, by tenant. Writes happen one after the other, whatever the tenant, and
 * each is one transaction: a pointer never shows to what is not there.
 */
export interface ConfigStore {
  /** Every tenant's head with a revision above `after`, in that order. */
  heads(after: number, limit: number): Promise<ConfigHead[]>

  /** Null for a tenant that has never had a generation. */
  head(tenant: string): Promise<ConfigHead | null>

  /** Newest first, those with a number below `before`. Reads no content. */
  list(tenant: string, range: { readonly before?: number; readonly limit: number }): Promise<Generation[]>

  get(tenant: string, number: number): Promise<Generation | null>

  content(tenant: string, number: number): Promise<StoredContent | null>

  /** The definitions of a code layer that one of the tenant's generations was made on. */
  definitions(tenant: string, codeHash: string): Promise<string | null>

  /**
   * Adds a generation with the next number, moves the pointer to it and writes its secrets. Atomic; of writers with one
   * base one wins, and no other has written a secret.
   */
  add(tenant: string, add: AddGeneration): Promise<AddedGeneration>

  /** Writes secrets of the tenant's vault, all of them, if the pointer still is at `base`. Atomic. */
  putSecrets(tenant: string, put: PutSecrets): Promise<SecretsPut>

  /** Moves the pointer to a generation, or to 0, if it still is at `base`. Atomic. */
  activate(tenant: string, number: number, base: number, at: number): Promise<ActivatedGeneration>

  /**
   * For each tenant that is not on 0 and has not seen this code layer: a generation with the content of the active one,
   * made active. Atomic; of instances that start at once one makes it. Returns how many were made.
   */
  deploy(code: CodeLayer, made: Pick<Generation, 'author' | 'description' | 'trigger' | 'createdAt'>): Promise<number>

  /** Null when there is no such generation. */
  pin(tenant: string, number: number, pinned: boolean): Promise<Generation | null>

  /**
   * Deletes what the retention lets go: never the active generation, a pinned one, or one that a turn names which is
   * not settled or may still be resumed. Contents that no generation has any more go with them. Atomic; returns how many
   * generations went.
   */
  prune(tenant: string, retention: Retention): Promise<number>
}
