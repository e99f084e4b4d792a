import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { reachOf } from '../../kernel/context.ts'
import { paged } from '../../kernel/pages.ts'
import type { Selection, SessionStore } from '../sessions/index.ts'
import { offerOf } from './available.ts'
import { CapacityMeter } from './capacity.ts'
import type { ChargeCall } from './charge.ts'
import { completeOnce } from './complete.ts'
import { modelErrors, type modelOperations, type RegisteredModel } from './contract.ts'
import { Discovery, modelId } from './discovery.ts'
import type { ProviderGate } from './gate.ts'
import { createKeyed, type KeySource } from './keyed.ts'
import { createMedia } from './media.ts'
import { type Model, modelOf } from './model.ts'
import type { Capacity, Provider } from './provider.ts'
import { type ModelNeeds, orderOf, type Selected, selectModels } from './select.ts'

export interface Models extends Implementation<typeof modelOperations> {
  /** Null when no provider is registered under the id's prefix. */
  find(id: string): Model | null
  /** The models to try, best first, and why. Throws `MODEL_UNKNOWN` when none can be called. */
  select(models: readonly string[], override: string | null, needs?: ModelNeeds): Selected
  /** The models of a selection that was made before. Throws `MODEL_UNKNOWN` when none of them can be called any more. */
  candidatesOf(selection: Selection, models: readonly string[]): readonly Model[]
  /** Who answers a tenant's call of the model. Fails as `KeyedProviders.of` does. */
  providerOf(model: Pick<Model, 'prefix' | 'provider'>, tenant: string): Provider | Promise<Provider>
  readonly meter: CapacityMeter
  /** Prefixes of the registered providers, without the one that serves any. */
  readonly prefixes: readonly string[]
}

export interface ModelsDependencies {
  readonly providers: readonly Provider[]
  readonly gate: ProviderGate
  /** For calls outside of turns. */
  readonly charge: ChargeCall
  readonly sessions: Pick<SessionStore, 'selections'>
  readonly clock: Clock
  readonly keyOf: KeySource
}

/** The registry of providers. A provider with the id `*` serves every prefix that no other one does. */
export function createModels({ providers, gate, charge, sessions, clock, keyOf }: ModelsDependencies): Models {
  const byId = new Map<string, Provider>()
  for (const provider of providers) {
    if (!/^(\*|[\w.-]+)$/.test(provider.id)) {
      throw modelErrors.PROVIDER_INVALID({ message: `provider id ${JSON.stringify(provider.id)} is not a plain name` })
    }
    if (byId.has(provider.id)) {
      throw modelErrors.PROVIDER_INVALID({ message: `two providers are called "${provider.id}"` })
    }
    checkCapacity(provider.id, provider.capacity)
    byId.set(provider.id, provider)
  }
  const { of: providerOf } = createKeyed(keyOf)
  const discovery = new Discovery(clock)
  const known = new Map<string, Model>()
  /** What was registered counts more than what was found since. */
  const learn = () => {
    for (const provider of providers) {
      for (const info of provider.models ?? []) {
        const id = modelId(provider, info.name)
        checkCapacity(id, info.capacity)
        known.set(id, modelOf(id, info.name, provider, { ...discovery.infoOf(id), ...info }))
      }
    }
  }
  learn()
  const meter = new CapacityMeter(clock)
  const prefixes = [...byId.keys()].filter((id) => id !== '*')

  const find = (id: string): Model | null => {
    const registered = known.get(id)
    if (registered) return registered
    const slash = id.indexOf('/')
    if (slash < 1 || slash === id.length - 1) return null
    const provider = byId.get(id.slice(0, slash))
    if (provider) return modelOf(id, id.slice(slash + 1), provider, discovery.infoOf(id))
    const any = byId.get('*')
    return any ? modelOf(id, id, any, discovery.infoOf(id)) : null
  }

  const selecting = { find, gate, capacity: meter }
  const select: Models['select'] = (ids, override, needs) => selectModels(selecting, ids, override, needs ?? null)
  const list = () => [
    ...Array.from(known.values(), (model) => registeredOf(model, false)),
    ...Array.from(discovery.ids).flatMap((id) => {
      const model = known.has(id) ? null : find(id)
      return model ? [registeredOf(model, true)] : []
    }),
  ]

  return {
    find,
    select,
    providerOf,
    meter,
    prefixes,
    ...createMedia(find, charge, providerOf),

    candidatesOf(selection, models) {
      const candidates = orderOf(selection, models).flatMap((id) => find(id) ?? [])
      if (candidates.length > 0) return candidates
      throw modelErrors.MODEL_UNKNOWN({ message: `no provider is registered for ${models.join(', ')}` })
    },

    providers: () => providers.map(({ id, local = false }) => ({ id, local })),
    list,

    async discover({ signal }) {
      const asked = providers.filter(({ discover }) => discover !== undefined)
      const answers = await discovery.ask(asked, signal)
      learn()
      return { models: list(), providers: answers }
    },

    get(_, { id }) {
      const model = find(id)
      if (!model) throw modelErrors.MODEL_UNKNOWN({ message: `no provider is registered for ${id}` })
      return registeredOf(model, !known.has(id) && discovery.infoOf(id) !== undefined)
    },

    async available({ principal: { tenant }, signal }, input) {
      const wanted = input?.provider
      const asked = providers.filter(
        ({ id }) => id !== '*' && (wanted === undefined || id.toLowerCase() === wanted.toLowerCase()),
      )
      return await Promise.all(
        asked.map(async (provider) => {
          const registered = (provider.models ?? []).map(({ name }) => `${provider.id}/${name}`)
          const keyed = async () => await providerOf({ prefix: provider.id, provider }, tenant)
          return await offerOf(provider, keyed, registered, clock, signal)
        }),
      )
    },

    selections: ({ principal }, page) => sessions.selections(reachOf(principal), paged(page).window),

    capacity: () => prefixes.map((prefix) => meter.use(prefix, byId.get(prefix)?.capacity ?? {})),

    async complete({ principal, signal }, { models, ...call }) {
      const { candidates } = select(models, null)
      const keyed = (model: Model) => providerOf(model, principal.tenant)
      const given = { ...call, principal, candidates, signal, providerOf: keyed }
      return await completeOnce({ ...given, gate, charge, capacity: meter })
    },
  }
}

const registeredOf = (model: Model, discovered: boolean): RegisteredModel => ({
  id: model.id,
  provider: model.provider.id,
  local: model.provider.local ?? false,
  contextTokens: model.contextTokens,
  maxOutputTokens: model.maxOutputTokens,
  tools: model.tools,
  vision: model.vision,
  structuredOutput: model.structuredOutput,
  price: model.price,
  discovered,
})

function checkCapacity(name: string, capacity: Capacity | undefined): void {
  for (const [limit, value] of Object.entries(capacity ?? {})) {
    if (value === undefined || (Number.isSafeInteger(value) && value > 0)) continue
    throw modelErrors.PROVIDER_INVALID({ message: `${name}: ${limit} must be a whole number above 0` })
  }
}
