/** What is known of a connector besides its definition. Times are milliseconds. */
export interface ConnectorHealth {
  readonly name: string
  /** Null for one that was never added by an operator. */
  readonly registeredAt: number | null
  readonly lastSuccessAt: number | null
  readonly lastError: string | null
  readonly lastErrorAt: number | null
}

export type ConnectorNote = Pick<ConnectorHealth, 'lastSuccessAt' | 'lastError' | 'lastErrorAt'>

/** How each connector of a tenant does, as its instances tell. */
export interface ConnectorStore {
  /** Begins anew for a connector of this name: what was noted before is forgotten. Atomic. */
  register(tenant: string, name: string, at: number): Promise<void>

  /** Notes the last success and the last error, unless a later one is noted already. Null leaves what is there. Atomic. */
  note(tenant: string, name: string, note: ConnectorNote): Promise<void>

  /** By name. */
  list(tenant: string, limit: number): Promise<ConnectorHealth[]>

  /** False when nothing was noted. Atomic. */
  remove(tenant: string, name: string): Promise<boolean>
}
