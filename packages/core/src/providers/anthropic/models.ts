import type { ModelInfo, ModelPrice } from '../../capabilities/models/index.ts'

const perMillion = 1_000_000

/** Dollars per million tokens; the price of a cache write is that of the shorter of the two lifetimes. */
const price = (input: number, output: number, cacheRead: number): ModelPrice => ({
  input: input * perMillion,
  output: output * perMillion,
  cacheRead: Math.round(cacheRead * perMillion),
  cacheWrite: Math.round(input * 1.25 * perMillion),
})

const large = { contextTokens: 1_000_000, maxOutputTokens: 128_000, structuredOutput: true }
const small = { contextTokens: 200_000, maxOutputTokens: 64_000, structuredOutput: true }

/** As their documentation describes them. Those whose prices depend on the length of the prompt have none here. */
const shipped: readonly ModelInfo[] = [
  { name: 'claude-fable-5-1', ...large, price: price(10, 50, 0.25) },
  { name: 'claude-opus-5-5', ...large, price: price(4, 20, 0.2) },
  { name: 'claude-sonnet-5-5', ...large, price: price(2, 10, 0.2) },
  { name: 'claude-haiku-5-5', ...large },
  { name: 'claude-opus-5', ...large, price: price(5, 25, 0.5) },
  { name: 'claude-sonnet-5', ...large, price: price(2, 10, 0.2) },
  { name: 'claude-opus-4-8', ...large, price: price(5, 25, 0.5) },
  { name: 'claude-haiku-4-5', ...small, price: price(1, 5, 0.1) },
]

/** The shipped facts, replaced or joined by the given ones. `long`: entries of the cache live for an hour, and cost more. */
export function claudeModels(given: readonly ModelInfo[], long: boolean): readonly ModelInfo[] {
  const byName = new Map(shipped.map((info) => [info.name, long ? withLongCache(info) : info]))
  for (const info of given) byName.set(info.name, { ...byName.get(info.name), ...info })
  return [...byName.values()]
}

const withLongCache = (info: ModelInfo): ModelInfo =>
  info.price ? { ...info, price: { ...info.price, cacheWrite: info.price.input * 2 } } : info

/** What a model accepts in a request; the vendor refuses a request that asks for anything else. */
export interface Traits {
  /** Thinking with a budget of tokens. */
  readonly budget: boolean
  /** Thinking as the model sees fit. */
  readonly adaptive: boolean
  /** How thinking is turned off; null when a request that does not mention it does not think, or it cannot be. */
  readonly off: 'disabled' | 'between_tools' | null
}

const unknown: Traits = { budget: true, adaptive: true, off: 'disabled' }

/** By the name of a model, dated or not. What is named otherwise is taken to accept everything. */
export function traitsOf(model: string): Traits {
  const named = /^claude-([a-z]+)-(\d{1,2})(?:-(\d{1,2}))?(?:-\d{8})?$/.exec(model)
  if (!named) {
    if (/^claude-[1-3]\b/.test(model)) return { budget: true, adaptive: false, off: null }
    return model.startsWith('claude-') ? { ...unknown, budget: false, off: null } : unknown
  }
  const [, line = '', major, minor = '0'] = named
  const version = Number(major) * 100 + Number(minor)
  if (version < 406) return { budget: true, adaptive: false, off: null }
  if (version < 407) return { budget: true, adaptive: true, off: null }
  const adaptive = { budget: false, adaptive: true }
  if (version < 500) return { ...adaptive, off: null }
  if (line === 'sonnet' && version >= 505) return { ...adaptive, off: 'between_tools' }
  const alwaysOn = line === 'fable' || line === 'mythos' || (line === 'opus' && version >= 505)
  return { ...adaptive, off: alwaysOn ? null : 'disabled' }
}
