/** What may be known of an entry without its key. Times are milliseconds. */
export interface VaultEntry {
  readonly name: string
  /** Which key it is encrypted with. */
  readonly keyId: string
  readonly createdAt: number
  readonly updatedAt: number
}

/** An entry as it is kept. The envelope is text that only the holder of the key can open. */
export interface SealedEntry {
  readonly tenant: string
  readonly name: string
  readonly keyId: string
  readonly envelope: string
}

export interface Resealed extends SealedEntry {
  /** The envelope that is replaced. */
  readonly before: string
}

/** What an entry of a tenant is to be: an envelope, or null for none at all. */
export interface VaultWrite {
  readonly name: string
  readonly sealed: Pick<SealedEntry, 'keyId' | 'envelope'> | null
}

/** Where the next batch begins: after this entry. */
export interface VaultPosition {
  readonly tenant: string
  readonly name: string
}

/** Keeps envelopes. It never sees a key or a value. */
export interface VaultStore {
  /** Adds the entry, or replaces its envelope. Atomic: of writers that race the last one's envelope stays, whole. */
  put(entry: SealedEntry, at: number): Promise<VaultEntry>

  get(tenant: string, name: string): Promise<SealedEntry | null>

  /** False when there was none. Atomic. */
  remove(tenant: string, name: string): Promise<boolean>

  /** In the byte order of their names, from after `after` on. */
  list(tenant: string, after: string, limit: number): Promise<VaultEntry[]>

  /** The distinct keys of all entries of all tenants. */
  keyIds(limit: number): Promise<string[]>

  /** Entries of all tenants that are under another key, in the order of tenant and name, from after a position on. */
  under(otherThan: string, after: VaultPosition, limit: number): Promise<SealedEntry[]>

  /**
   * Replaces those envelopes that are still what they were `before`, leaving times alone, and gives how many. An entry
   * that was changed or removed since stays so. Atomic.
   */
  reseal(entries: readonly Resealed[]): Promise<number>
}
