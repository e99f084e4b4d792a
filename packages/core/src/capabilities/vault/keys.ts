import { createHmac } from 'node:crypto'
import { vaultErrors } from './errors.ts'

export const keyBytes = 32

/** 32 bytes: 64 hexadecimal digits, base64 or base64url, or the bytes themselves. */
export type KeyMaterial = string | Uint8Array

/** A key, or what fetches it, e.g. from a key management service, when the vault is first used. */
export type KeySource = KeyMaterial | (() => KeyMaterial | Promise<KeyMaterial>)

/** Where the vault's key comes from: one of them. */
export interface VaultOptions {
  readonly key?: KeySource | undefined
  /** The first one encrypts, all of them decrypt. */
  readonly keys?: readonly KeySource[]
  /**
   * A file with one key per line, the first one encrypts; made with mode 600 when there is none. Nobody else may be able
   * to read it. @default beside the database where that is a file, else none
   */
  readonly keyFile?: string | undefined
}

/** A key and the name that entries know it by. The name tells nothing about the key. */
export interface VaultKey {
  readonly id: string
  readonly bytes: Uint8Array
}

/** Throws `VAULT_KEY_INVALID`, never with what was given. */
export function keyOf(material: KeyMaterial): VaultKey {
  const bytes = typeof material === 'string' ? decoded(material.trim()) : material
  if (!(bytes instanceof Uint8Array) || bytes.length !== keyBytes) throw vaultErrors.VAULT_KEY_INVALID()
  const own = new Uint8Array(bytes)
  return { id: createHmac('sha256', own).update('keelson vault key').digest('hex').slice(0, 16), bytes: own }
}

function decoded(text: string): Uint8Array | null {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex')
  return /^[\w+/-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : null
}

/** The keys in their order. Rejects with `VAULT_KEY_INVALID`, or `VAULT_KEY_MISSING` when one cannot be fetched. */
export async function fetchKeys(sources: readonly KeySource[]): Promise<VaultKey[]> {
  const fetched = sources.map(async (source) => {
    if (typeof source !== 'function') return source
    try {
      return await source()
    } catch (cause) {
      throw vaultErrors.VAULT_KEY_MISSING({ message: 'the key of the vault could not be fetched; try again', cause })
    }
  })
  return (await Promise.all(fetched)).map(keyOf)
}
