import { operation } from '../../contract/operation.ts'
import type { VaultEntry } from './store.ts'

export interface VaultRotation {
  /** Entries that are under the first key now and were not before. */
  readonly rotated: number
  /** Entries left as they are: their key is not among those given, or they are damaged. */
  readonly unreadable: number
}

/** There is no operation that gives a value back: a secret leaves the vault towards what it was stored for, only. */
export const vaultOperations = {
  /** Names of the caller's tenant in their order, from after `after` on, at most `limit` of them (1,000). */
  list: operation<{ readonly after?: string; readonly limit?: number }, VaultEntry[]>({
    auth: 'operator',
    effect: 'read',
    errors: [],
  }),
  /** Stores a value under a name of the caller's tenant, in place of what was there. */
  put: operation<{ readonly name: string; readonly value: string }, VaultEntry>({
    auth: 'operator',
    effect: 'write',
    errors: ['VAULT_NAME_INVALID', 'VAULT_VALUE_INVALID', 'VAULT_UNCONFIGURED', 'VAULT_KEY_WRONG', 'VAULT_KEY_MISSING'],
  }),
  /** False when there was none. Needs no key. */
  remove: operation<{ readonly name: string }, boolean>({ auth: 'operator', effect: 'write', errors: [] }),
  /**
   * Encrypts every entry of every tenant that is under an older key with the first one, in small batches. An entry that
   * is written meanwhile keeps what was written. After a crash the next call goes on where it ended.
   */
  rotate: operation<void, VaultRotation>({
    auth: 'operator',
    effect: 'write',
    errors: ['VAULT_UNCONFIGURED', 'VAULT_KEY_WRONG', 'VAULT_KEY_MISSING'],
  }),
}
