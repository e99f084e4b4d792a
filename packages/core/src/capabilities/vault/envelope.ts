import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { VaultKey } from './keys.ts'
import type { SealedEntry } from './store.ts'

const algorithm = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16
const version = '1'

/** What the envelope is bound to: moved to another tenant or name, or given another key's id, it no longer opens. */
const boundTo = (tenant: string, name: string, keyId: string): Buffer =>
  Buffer.from(JSON.stringify(['keelson vault', version, keyId, tenant, name]))

/** `1.<key id>.<base64url of nonce, tag and ciphertext>`. The nonce is new each time. */
export function seal(key: VaultKey, tenant: string, name: string, value: string): SealedEntry {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv(algorithm, key.bytes, nonce, { authTagLength: tagBytes })
  cipher.setAAD(boundTo(tenant, name, key.id))
  const text = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
  const body = Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url')
  return { tenant, name, keyId: key.id, envelope: `${version}.${key.id}.${body}` }
}

/** The value, or null when the envelope is not one that this key has made for this tenant and name. */
export function unseal(key: VaultKey, { tenant, name, envelope }: SealedEntry): string | null {
  const [format, keyId, body = ''] = envelope.split('.')
  if (format !== version || keyId !== key.id) return null
  const bytes = Buffer.from(body, 'base64url')
  if (bytes.length < nonceBytes + tagBytes) return null
  const decipher = createDecipheriv(algorithm, key.bytes, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
  decipher.setAAD(boundTo(tenant, name, key.id))
  decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes))
  try {
    const text = Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()])
    return text.toString('utf8')
  } catch {
    return null
  }
}
