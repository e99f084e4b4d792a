import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { Vault } from '../vault/index.ts'
import { providerKeyEntry, providerKeyErrors, type providerKeyOperations } from './contract.ts'

const longestKey = 8_192
const suffix = providerKeyEntry('')
/** How long this process goes by what it has read: a key that was set elsewhere is used within this time at the latest. */
const freshMs = 5_000
const mostKept = 1_000

export interface ProviderKeysDependencies {
  readonly vault: Vault
  readonly clock: Clock
  /** Whether a provider of this name is registered. */
  has(provider: string): boolean
}

export interface ProviderKeys {
  readonly operations: Implementation<typeof providerKeyOperations>
  /** Told of an entry of the vault that another instance has written. */
  changed(tenant: string, entry: string): void
  /** The key that the tenant has set for a provider, or null. Rejects as the vault does when there is one it cannot open. */
  keyOf(tenant: string, provider: string): string | null | Promise<string | null>
}

interface Kept {
  readonly key: string | null
  readonly until: number
}

export function createProviderKeys({ vault, clock, has }: ProviderKeysDependencies): ProviderKeys {
  const kept = new Map<string, Kept>()
  const reading = new Map<string, Promise<string | null>>()
  const placeOf = (tenant: string, provider: string) => JSON.stringify([tenant, provider])

  async function read(place: string, tenant: string, provider: string, mine: () => boolean): Promise<string | null> {
    const key = await vault.get(tenant, providerKeyEntry(provider)).catch((error) => {
      // Without a vault nobody can have set one.
      if (isKeelsonError(error) && error.code === 'VAULT_UNCONFIGURED') return null
      throw error
    })
    // Whoever has changed it meanwhile has taken this reading away.
    if (!mine()) return key
    kept.delete(place)
    kept.set(place, { key, until: clock.now() + freshMs })
    const [oldest] = kept.keys()
    if (kept.size > mostKept && oldest !== undefined) kept.delete(oldest)
    return key
  }

  /** What is still being read may be what was there before. */
  const forget = (tenant: string, provider: string) => {
    const place = placeOf(tenant, provider)
    kept.delete(place)
    reading.delete(place)
  }

  async function changing<Result>(tenant: string, provider: string, change: () => Promise<Result>): Promise<Result> {
    try {
      return await change()
    } finally {
      forget(tenant, provider)
    }
  }

  const check = (provider: string) => {
    if (/^[\w.-]{1,128}$/.test(provider) && has(provider)) return
    throw providerKeyErrors.PROVIDER_NOT_FOUND({ message: `no such provider: ${provider.slice(0, 64)}` })
  }

  return {
    changed(tenant, entry) {
      if (entry.endsWith(suffix)) forget(tenant, entry.slice(0, -suffix.length))
    },

    keyOf(tenant, provider) {
      const place = placeOf(tenant, provider)
      const known = kept.get(place)
      if (known && clock.now() < known.until) return known.key
      const asked = reading.get(place)
      if (asked !== undefined) return asked
      const mine = () => reading.get(place) === asking
      const asking: Promise<string | null> = read(place, tenant, provider, mine).finally(() => {
        if (mine()) reading.delete(place)
      })
      reading.set(place, asking)
      return asking
    },

    operations: {
      async list({ principal: { tenant } }) {
        const names = (await vault.list(tenant)).map(({ name }) => name)
        return names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length))
      },

      async set({ principal: { tenant } }, { provider, key }) {
        check(provider)
        const trimmed = typeof key === 'string' ? key.trim() : ''
        // It is sent as a header: anything else in it would be refused there, or worse.
        if (!/^[\x21-\x7e]+$/.test(trimmed) || trimmed.length > longestKey) {
          throw providerKeyErrors.PROVIDER_KEY_INVALID({
            message: `a key has 1 to ${longestKey} characters, all printable ASCII without spaces`,
          })
        }
        await changing(tenant, provider, () => vault.put(tenant, providerKeyEntry(provider), trimmed))
      },

      async remove({ principal: { tenant } }, { provider }) {
        check(provider)
        return await changing(tenant, provider, () => vault.remove(tenant, providerKeyEntry(provider)))
      },
    },
  }
}
