/** A call that tries whether a provider answers again. */
export interface BreakerProbe {
  readonly instance: string
  /** Whoever looks after this may try instead. */
  readonly until: number
}

/** What is stored of a provider's breaker. */
export interface BreakerRecord {
  readonly provider: string
  /** 1, 2, 3 ... with every change. */
  readonly version: number
  readonly state: 'closed' | 'open'
  /** What opened it; null while it is closed. */
  readonly cause: 'failures' | 'billing' | 'operator' | null
  /** Times of the failures that count, oldest first. */
  readonly failures: readonly number[]
  /** Class of the newest one; null when there was none since the last reset. */
  readonly lastFailure: string | null
  /** Of the next or present cool-down. */
  readonly cooldownMs: number
  readonly openedAt: number | null
  /** From when on a call may try; null when only a reset closes it. */
  readonly retryAt: number | null
  readonly probe: BreakerProbe | null
  readonly changedAt: number
}

/**
 * Breakers belong to providers, which all tenants of a runtime share: no method takes an owner. A provider that has
 * never failed has no row.
 */
export interface BreakerStore {
  /** Up to `limit` breakers whose providers' names come after `after`, by name. One query. */
  list(after: string, limit: number): Promise<BreakerRecord[]>

  /**
   * Writes a breaker if what is stored is the version before it (for version 1: nothing is). Atomic, one statement: of
   * those who race with the same version exactly one gets true.
   */
  swap(record: BreakerRecord): Promise<boolean>
}
