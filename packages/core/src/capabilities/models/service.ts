import type { Implementation } from '../../contract/invoke.ts'
import type { Principal } from '../../kernel/context.ts'
import type { Selection, Usage } from '../sessions/index.ts'
import { type Completion, modelErrors, type modelOperations, type RegisteredModel } from './contract.ts'
import {
  isModelFailure,
  type ModelInfo,
  type ModelPrice,
  type ModelRequest,
  noUsage,
  type Provider,
} from './provider.ts'

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
  readonly price: ModelPrice | null
}

export interface Models extends Implementation<typeof modelOperations> {
  /** Null when no provider is registered under the id's prefix. */
  find(id: string): Model | null
  /** The models to try, best first, and why. Throws `MODEL_UNKNOWN` when none can be called. */
  select(models: readonly string[], override: string | null): { selection: Selection; candidates: readonly Model[] }
}

/** What is told of a call outside of any turn before and after it, so that it is paid for. */
export interface MeteredCall {
  /** `usage` as the provider gave it. Resolves with what it counts as. */
  finished(usage: unknown, said: string): Promise<Usage>
  /** What it had said does not count, and may have been paid for. */
  failed(said: string): Promise<void>
}

/** Rejects when the call may not be made. */
export type CallMeter = (principal: Principal, model: Model, request: ModelRequest) => Promise<MeteredCall>

/** The registry of providers. A provider with the id `*` serves every prefix that no other one does. */
export function createModels(providers: readonly Provider[], meter: CallMeter): Models {
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
  const known = new Map<string, Model>()
  const describe = (id: string, name: string, provider: Provider, info: ModelInfo | undefined): Model => ({
    id,
    name,
    provider,
    contextTokens: info?.contextTokens ?? defaultContextTokens,
    maxOutputTokens: info?.maxOutputTokens ?? defaultMaxOutputTokens,
    tools: info?.tools ?? true,
    price: info?.price ?? null,
  })
  for (const provider of providers) {
    for (const info of provider.models ?? []) {
      const id = `${provider.id}/${info.name}`
      known.set(id, describe(id, info.name, provider, info))
    }
  }

  const find = (id: string): Model | null => {
    const registered = known.get(id)
    if (registered) return registered
    const slash = id.indexOf('/')
    if (slash < 1 || slash === id.length - 1) return null
    const provider = byId.get(id.slice(0, slash))
    if (provider) return describe(id, id.slice(slash + 1), provider, undefined)
    const any = byId.get('*')
    return any ? describe(id, id, any, undefined) : null
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

  const list = [...known.values()].map(
    ({ id, provider, contextTokens, maxOutputTokens, tools }): RegisteredModel => ({
      id,
      provider: provider.id,
      local: provider.local ?? false,
      contextTokens,
      maxOutputTokens,
      tools,
    }),
  )

  return {
    find,
    select,
    list: () => list,

    async complete({ principal, signal }, { models, instructions, prompt, maxOutputTokens }): Promise<Completion> {
      const { candidates } = select(models, null)
      const timeout = AbortSignal.timeout(completionTimeoutMs)
      const abort = signal ? AbortSignal.any([signal, timeout]) : timeout
      let cause: unknown
      const request: ModelRequest = {
        instructions,
        messages: [{ role: 'user', parts: [{ type: 'text', text: prompt }] }],
        tools: [],
        maxOutputTokens,
      }
      for (const model of candidates) {
        const metered = await meter(principal, model, request)
        let text = ''
        let usage: unknown = noUsage
        try {
          for await (const part of model.provider.stream(model.name, request, abort)) {
            if (part.type === 'text') text += part.text
            else if (part.type === 'finish') usage = part.usage
          }
        } catch (error) {
          await metered.failed(text)
          if (abort.aborted) throw modelErrors.MODEL_FAILED({ cause: error })
          cause = error
          continue
        }
        return { text, model: model.id, usage: await metered.finished(usage, text) }
      }
      const details = isModelFailure(cause) ? { failure: cause.failure } : {}
      throw modelErrors.MODEL_FAILED({ cause, details })
    },
  }
}
