import { randomBytes } from 'node:crypto'
import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { VaultRotation, vaultOperations } from './contract.ts'
import { vaultErrors } from './errors.ts'
import type { KeySource, VaultKey, VaultOptions } from './keys.ts'
import type { Resealed, SealedEntry, VaultEntry, VaultPosition, VaultStore, VaultWrite } from './store.ts'

const longestName = 256
const mostValueBytes = 65_536
const mostListed = 1_000
const rotationBatch = 50
/** Far more keys than anybody keeps at once. */
const mostKeys = 1_000

/** The vault as other capabilities use it. Values are texts; a name belongs to one tenant. */
export interface Vault {
  put(tenant: string, name: string, value: string): Promise<VaultEntry>
  /** For another store to write in a transaction of its own. Null leaves no entry, and needs no key. */
  seal(tenant: string, name: string, value: string | null): Promise<VaultWrite>
  /** Null when there is none. Rejects with `VAULT_KEY_WRONG` when it is there and cannot be opened. */
  get(tenant: string, name: string): Promise<string | null>
  remove(tenant: string, name: string): Promise<boolean>
  list(tenant: string, window?: { readonly after?: string; readonly limit?: number }): Promise<VaultEntry[]>
}

export interface VaultDependencies {
  readonly store: VaultStore
  readonly clock: Clock
  readonly options: VaultOptions | undefined
  /**
   * Where the database keeps a key when none is given: a file beside it; null in memory only, which the key then is
   * too; undefined nowhere.
   */
  readonly besideDatabase: () => string | null | undefined
}

export interface VaultService {
  readonly vault: Vault
  readonly operations: Implementation<typeof vaultOperations>
}

type KeyRing = ReadonlyMap<string, VaultKey> & { readonly first: VaultKey }

/** Loads no key and no cipher before it is used. Throws `VAULT_KEY_INVALID` when options exclude each other. */
export function createVault({ store, clock, options = {}, besideDatabase }: VaultDependencies): VaultService {
  const given = sourcesOf(options)
  let ring: KeyRing | undefined
  let loading: Promise<KeyRing> | undefined

  /** A failed try is forgotten: the key may be brought back while the process runs. */
  const keys = (): Promise<KeyRing> => {
    loading ??= load().then(
      (loaded) => {
        ring = loaded
        return loaded
      },
      (error) => {
        loading = undefined
        throw error
      },
    )
    return ring ? Promise.resolve(ring) : loading
  }

  async function load(): Promise<KeyRing> {
    const all = given ? await fetched(given) : await kept()
    const [first] = all
    if (!first) throw vaultErrors.VAULT_UNCONFIGURED()
    const loaded = Object.assign(new Map(all.map((key) => [key.id, key])), { first })
    // A mistyped key must not begin a second set of entries that the right one then cannot open.
    const used = await store.keyIds(mostKeys)
    if (used.length > 0 && !used.some((id) => loaded.has(id))) throw wrongKey(used, loaded)
    return loaded
  }

  const fetched = async (sources: readonly KeySource[]) => (await import('./keys.ts')).fetchKeys(sources)

  /** The keys of the file, which is made only when no entry says that there was one before. */
  async function kept(): Promise<VaultKey[]> {
    const path = options.keyFile ?? besideDatabase()
    if (path === undefined) throw vaultErrors.VAULT_UNCONFIGURED()
    if (path === null) return (await import('./keys.ts')).fetchKeys([randomBytes(32)])
    const { makeKeyFile, readKeyFile } = await import('./key-file.ts')
    const found = await readKeyFile(path)
    if (found) return found
    if ((await store.keyIds(1)).length > 0) {
      const message =
        'the key file of the vault is gone, but there are entries made with it; bring it back from a copy. Nothing was changed'
      throw vaultErrors.VAULT_KEY_MISSING({ message })
    }
    return await makeKeyFile(path)
  }

  async function sealed(tenant: string, name: string, value: string): Promise<SealedEntry> {
    checkEntry(name, value)
    const { first } = await keys()
    const { seal } = await import('./envelope.ts')
    return seal(first, tenant, name, value)
  }

  const vault: Vault = {
    put: async (tenant, name, value) => await store.put(await sealed(tenant, name, value), clock.now()),

    seal: async (tenant, name, value) => ({ name, sealed: value === null ? null : await sealed(tenant, name, value) }),

    async get(tenant, name) {
      const entry = isName(name) ? await store.get(tenant, name) : null
      if (!entry) {
        if (given === null && options.keyFile === undefined && besideDatabase() === undefined)
          throw vaultErrors.VAULT_UNCONFIGURED()
        return null
      }
      const loaded = await keys()
      const key = loaded.get(entry.keyId)
      if (!key) throw wrongKey([entry.keyId], loaded)
      const { unseal } = await import('./envelope.ts')
      const value = unseal(key, entry)
      if (value === null) throw vaultErrors.VAULT_ENTRY_DAMAGED({ details: { name } })
      return value
    },

    remove: async (tenant, name) => isName(name) && (await store.remove(tenant, name)),

    list: (tenant, { after = '', limit = mostListed } = {}) =>
      store.list(tenant, after, Math.min(Math.max(0, Math.trunc(limit)), mostListed)),
  }

  async function rotate(signal: AbortSignal | undefined): Promise<VaultRotation> {
    const loaded = await keys()
    const { seal, unseal } = await import('./envelope.ts')
    const renewed = (entry: SealedEntry): Resealed | null => {
      const key = loaded.get(entry.keyId)
      const value = key ? unseal(key, entry) : null
      return value === null ? null : { ...seal(loaded.first, entry.tenant, entry.name, value), before: entry.envelope }
    }
    let [rotated, unreadable] = [0, 0]
    for (let after: VaultPosition = { tenant: '', name: '' }; ; ) {
      signal?.throwIfAborted()
      const batch = await store.under(loaded.first.id, after, rotationBatch)
      const resealed = batch.map(renewed).filter((entry) => entry !== null)
      unreadable += batch.length - resealed.length
      if (resealed.length > 0) rotated += await store.reseal(resealed)
      const last = batch.at(-1)
      if (!last || batch.length < rotationBatch) return { rotated, unreadable }
      after = last
    }
  }

  return {
    vault,
    operations: {
      list: ({ principal }, window) => vault.list(principal.tenant, window),
      put: ({ principal }, { name, value }) => vault.put(principal.tenant, name, value),
      remove: ({ principal }, { name }) => vault.remove(principal.tenant, name),
      rotate: ({ signal }) => rotate(signal),
    },
  }
}

/** Null when the key is kept in a file or beside the database. */
function sourcesOf({ key, keys, keyFile }: VaultOptions): readonly KeySource[] | null {
  const invalid = (message: string) => vaultErrors.VAULT_KEY_INVALID({ message })
  if ([key, keys, keyFile].filter((option) => option !== undefined).length > 1) {
    throw invalid('the vault takes one of key, keys and keyFile')
  }
  if (keys !== undefined && (!Array.isArray(keys) || keys.length === 0))
    throw invalid('keys of the vault: at least one')
  if (keyFile !== undefined && (typeof keyFile !== 'string' || keyFile === '')) {
    throw invalid('keyFile of the vault is the name of a file')
  }
  return keys ?? (key === undefined ? null : [key])
}

const isName = (name: unknown): name is string =>
  typeof name === 'string' && name !== '' && name.length <= longestName && !/\p{Cc}|\p{Cs}/u.test(name)

function checkEntry(name: string, value: string): void {
  if (!isName(name)) throw vaultErrors.VAULT_NAME_INVALID()
  // Half of a surrogate pair would come back as another character.
  const fits = typeof value === 'string' && utf8Length(value) <= mostValueBytes && !/\p{Cs}/u.test(value)
  if (!fits) throw vaultErrors.VAULT_VALUE_INVALID()
}

const wrongKey = (needed: readonly string[], loaded: KeyRing) =>
  vaultErrors.VAULT_KEY_WRONG({ details: { needed: needed.slice(0, 10), given: [...loaded.keys()] } })
