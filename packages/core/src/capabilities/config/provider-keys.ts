import type { Implementation } from '../../contract/invoke.ts'
import { providerKeyEntry, providerKeyErrors, type providerKeyOperations, settingErrors } from './contract.ts'
import type { SecretVault } from './vault.ts'

const longestKey = 8_192
const suffix = providerKeyEntry('')

export interface ProviderKeysDependencies {
  readonly vault: SecretVault | null
  /** Whether a provider of this name is registered. */
  has(provider: string): boolean
}

export function createProviderKeys({
  vault,
  has,
}: ProviderKeysDependencies): Implementation<typeof providerKeyOperations> {
  function vaultFor(provider: string): SecretVault {
    if (!/^[\w.-]{1,128}$/.test(provider) || !has(provider)) {
      throw providerKeyErrors.PROVIDER_NOT_FOUND({ message: `no such provider: ${provider.slice(0, 64)}` })
    }
    if (!vault) throw settingErrors.VAULT_MISSING()
    return vault
  }

  return {
    async list({ principal: { tenant } }) {
      const entries = (await vault?.list(tenant)) ?? []
      const names = entries.map((each) => (typeof each === 'string' ? each : each.name))
      return names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length))
    },

    async set({ principal: { tenant } }, { provider, key }) {
      const keeper = vaultFor(provider)
      const trimmed = typeof key === 'string' ? key.trim() : ''
      // It is sent as a header: anything else in it would be refused there, or worse.
      if (!/^[\x21-\x7e]+$/.test(trimmed) || trimmed.length > longestKey) {
        throw providerKeyErrors.PROVIDER_KEY_INVALID({
          message: `a key has 1 to ${longestKey} characters, all printable ASCII without spaces`,
        })
      }
      await keeper.put(tenant, providerKeyEntry(provider), trimmed)
    },

    remove: ({ principal: { tenant } }, { provider }) => vaultFor(provider).remove(tenant, providerKeyEntry(provider)),
  }
}
