import type { Model } from './model.ts'
import { isModelFailure, ModelFailure, type Provider } from './provider.ts'

/** Providers that are kept with one tenant's key each, of one provider. */
const mostKept = 256

/** The key that a tenant has set for a provider, by its name; null for none. */
export type KeySource = (tenant: string, provider: string) => string | null | Promise<string | null>

/** Providers with the keys that their tenants have set. */
export interface KeyedProviders {
  /**
   * Who answers a tenant's call of a model: its provider with the tenant's own key, or as the host made it. A key that is
   * set and cannot be read fails with a `ModelFailure`: nobody else is to pay for the call.
   */
  of(model: Pick<Model, 'prefix' | 'provider'>, tenant: string): Provider | Promise<Provider>
}

/** What a call of a model has thrown, said to be its tenant's where that one's key was used. */
export function ofWhoseKey(
  error: unknown,
  { provider }: Pick<Model, 'provider'>,
  asked: Provider | undefined,
): unknown {
  if (asked === undefined || asked === provider || !isModelFailure(error)) return error
  const { cause, failure, message, retryAfterMs, status } = error
  return new ModelFailure(failure, message, { retryAfterMs, status, ownKey: true, cause })
}

export function createKeyed(keyOf: KeySource): KeyedProviders {
  /** By key; the ones used last are at the end. Goes with the provider. */
  const kept = new WeakMap<Provider, Map<string, Provider>>()

  function withKey(provider: Provider, key: string | null): Provider {
    if (key === null || provider.withKey === undefined) return provider
    const own = kept.get(provider) ?? new Map<string, Provider>()
    kept.set(provider, own)
    const keyed = own.get(key) ?? provider.withKey(key)
    own.delete(key)
    own.set(key, keyed)
    const [oldest] = own.keys()
    if (own.size > mostKept && oldest !== undefined) own.delete(oldest)
    return keyed
  }

  const unreadable = (provider: string, cause: unknown) =>
    new ModelFailure('auth', `the key that was set for ${provider} cannot be read from the vault`, {
      ownKey: true,
      cause,
    })

  async function asked(provider: Provider, prefix: string, key: Promise<string | null>): Promise<Provider> {
    try {
      return withKey(provider, await key)
    } catch (error) {
      throw unreadable(prefix, error)
    }
  }

  return {
    of({ prefix, provider }, tenant) {
      if (provider.withKey === undefined) return provider
      const key = keyOf(tenant, prefix)
      return key instanceof Promise ? asked(provider, prefix, key) : withKey(provider, key)
    },
  }
}
