import type { Implementation } from '../../contract/invoke.ts'
import { type Clock, systemClock } from '../../kernel/clock.ts'
import type { Selection, Usage } from '../sessions/index.ts'
import { type Completion, modelErrors, type modelOperations, type RegisteredModel } from './contract.ts'
import { Discovery, modelId } from './discovery.ts'
import { createMedia } from './media.ts'
import { isModelFailure, type ModelInfo, type ModelPrice, noUsage, type Provider } from './provider.ts'

const defaultContextTokens = 128_000
const defaultMaxOutputTokens = 4_096
const completionTimeoutMs = 60_000

/** A model that can be called. */
export interface Model {
  /** `provider/model`, as it was asked for. */
  readonly id: string
  /** The part after the slash. */
  readonly name: string
  readonly provider: Provider
  readonly contextTokens: number
  readonly maxOutputTokens: number
  readonly tools: boolean
  readonly vision: boolean
  /** Null when it is not known. */
  readonly structuredOutput: boolean | null
  readonly price: ModelPrice | null
}

export interface Models extends Implementation<typeof modelOperations> {
  /** Null when no provider is registered under the id's prefix. */
  find(id: string): Model | null
  /** The models to try, best first, and why. Throws `MODEL_UNKNOWN` when none can be called. */
  select(models: readonly string[], override: string | null): { selection: Selection; candidates: readonly Model[] }
}

/** Pico-dollars of a call, each bucket at its own price; null when the price is unknown. */
export function costOf(usage: Usage, price: ModelPrice | null): number | null {
  if (!price) return null
  return Math.ceil(
    usage.input * price.input +
      usage.cacheRead * (price.cacheRead ?? price.input) +
      usage.cacheWrite * (price.cacheWrite ?? price.input) +
      (usage.output + usage.reasoning) * price.output,
  )
}

/** The registry of providers. A provider with the id `*` serves every prefix that no other one does. */
export function createModels(providers: readonly Provider[], clock: Clock = systemClock): Models {
  const byId = new Map<string, Provider>()
  for (const provider of providers) {
    if (!/^(\*|[\w.-]+)$/.test(provider.id)) {
      throw modelErrors.PROVIDER_INVALID({ message: `provider id ${JSON.stringify(provider.id)} is not a plain name` })
    }
    if (byId.has(provider.id)) {
      throw modelErrors.PROVIDER_INVALID({ message: `two providers are called "${provider.id}"` })
    }
    byId.set(provider.id, provider)
  }
  const discovery = new Discovery(clock)
  const known = new Map<string, Model>()
  const describe = (id: string, name: string, provider: Provider, info: ModelInfo | undefined): Model => ({
    id,
    name,
    provider,
    contextTokens: info?.contextTokens ?? defaultContextTokens,
    maxOutputTokens: info?.maxOutputTokens ?? defaultMaxOutputTokens,
    tools: info?.tools ?? true,
    vision: info?.vision ?? true,
    structuredOutput: info?.structuredOutput ?? null,
    price: info?.price ?? null,
  })
  /** What was registered counts more than what was found since. */
  const learn = () => {
    for (const provider of providers) {
      for (const info of provider.models ?? []) {
        const id = modelId(provider, info.name)
        known.set(id, describe(id, info.name, provider, { ...discovery.infoOf(id), ...info }))
      }
    }
  }
  learn()

  const find = (id: string): Model | null => {
    const registered = known.get(id)
    if (registered) return registered
    const slash = id.indexOf('/')
    if (slash < 1 || slash === id.length - 1) return null
    const provider = byId.get(id.slice(0, slash))
    if (provider) return describe(id, id.slice(slash + 1), provider, discovery.infoOf(id))
    const any = byId.get('*')
    return any ? describe(id, id, any, discovery.infoOf(id)) : null
  }

  const select: Models['select'] = (ids, override) => {
    const wanted = override === null ? ids : [override, ...ids.filter((id) => id !== override)]
    const candidates: Model[] = []
    const notes = wanted.map((id) => {
      const model = find(id)
      if (model) candidates.push(model)
      return { model: id, usable: model !== null, note: model ? 'provider registered' : 'no provider for this prefix' }
    })
    const chosen = candidates[0]
    if (!chosen) {
      throw modelErrors.MODEL_UNKNOWN({ message: `no provider is registered for ${wanted.join(', ')}` })
    }
    const position = wanted.indexOf(chosen.id)
    const fallback = override === null ? position : position - 1
    const strategy = override === chosen.id ? 'override' : fallback === 0 ? 'primary' : `fallback_${fallback}`
    return { selection: { chosen: chosen.id, strategy, candidates: notes }, candidates }
  }

  const shown =
    (discovered: boolean) =>
    (model: Model): RegisteredModel => ({
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
  const list = () => [
    ...Array.from(known.values(), shown(false)),
    ...Array.from(discovery.ids).flatMap((id) => {
      const model = known.has(id) ? null : find(id)
      return model ? [shown(true)(model)] : []
    }),
  ]

  return {
    find,
    select,
    list,
    ...createMedia(find),

    async discover({ signal }) {
      const asked = providers.filter(({ discover }) => discover !== undefined)
      const answers = await discovery.ask(asked, signal)
      learn()
      return { models: list(), providers: answers }
    },

    async complete({ signal }, { models, instructions, prompt, maxOutputTokens }): Promise<Completion> {
      const { candidates } = select(models, null)
      const timeout = AbortSignal.timeout(completionTimeoutMs)
      const abort = signal ? AbortSignal.any([signal, timeout]) : timeout
      let cause: unknown
      for (const model of candidates) {
        try {
          let text = ''
          let usage: Usage = noUsage
          const request = {
            instructions,
            messages: [{ role: 'user', parts: [{ type: 'text', text: prompt }] }],
            tools: [],
            maxOutputTokens,
          } as const
          for await (const part of model.provider.stream(model.name, request, abort)) {
            if (part.type === 'text') text += part.text
            else if (part.type === 'finish') usage = part.usage
          }
          return { text, model: model.id, usage }
        } catch (error) {
          if (abort.aborted) throw modelErrors.MODEL_FAILED({ cause: error })
          cause = error
        }
      }
      const details = isModelFailure(cause) ? { failure: cause.failure } : {}
      throw modelErrors.MODEL_FAILED({ cause, details })
    },
  }
}
