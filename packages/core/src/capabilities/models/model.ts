import type { Metered } from './capacity.ts'
import type { ModelInfo, ModelPrice, Provider } from './provider.ts'

const defaultContextTokens = 128_000
const defaultMaxOutputTokens = 4_096
const unlimited = {}

/** A model that can be called. */
export interface Model extends Metered {
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

export const modelOf = (id: string, name: string, provider: Provider, info: ModelInfo | undefined): Model => ({
  id,
  name,
  prefix: id.slice(0, id.indexOf('/')),
  provider,
  contextTokens: info?.contextTokens ?? defaultContextTokens,
  maxOutputTokens: info?.maxOutputTokens ?? defaultMaxOutputTokens,
  tools: info?.tools ?? true,
  vision: info?.vision ?? true,
  structuredOutput: info?.structuredOutput ?? null,
  price: info?.price ?? null,
  capacity: info?.capacity ?? unlimited,
  providerCapacity: provider.capacity ?? unlimited,
})
