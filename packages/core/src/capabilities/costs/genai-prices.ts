import { costErrors } from './errors.ts'
import { type PriceSource, type Rate, type RateCard, type Rates, shortOf, wholePico } from './rate-card.ts'

export type { PriceSource } from './rate-card.ts'

type Library = typeof import('@pydantic/genai-prices')
type LibraryPrices = NonNullable<ReturnType<Library['calcPrice']>>['model_price']

export interface GenaiPricesOptions {
  /** The data's name for a provider that is registered under another one, e.g. `{ main: 'openai' }`. */
  readonly providers?: Readonly<Record<string, string>>
}

/** Dollars per million tokens are micro-dollars per token. */
const picoPerDollarOfMillion = 1e6
const picoPerDollarOfThousand = 1e9

/**
 * Prices of the package `@pydantic/genai-prices`, which the host installs. Nothing is fetched: prices are those of the
 * installed version, with its tiers and the dates and hours from which they hold. Its `load` rejects with
 * `PRICES_MISSING` when the package is absent.
 */
export function genaiPrices({ providers = {} }: GenaiPricesOptions = {}): PriceSource {
  let library: Library | undefined
  let source = 'genai-prices'
  const cards = new WeakMap<LibraryPrices, RateCard>()

  return {
    async load() {
      if (library !== undefined) return
      try {
        library = await import('@pydantic/genai-prices')
      } catch (cause) {
        throw costErrors.PRICES_MISSING({ cause })
      }
      source = `genai-prices@${await versionOf()}`
    },

    card({ name, provider }, at) {
      const found = library?.calcPrice({}, name, {
        providerId: providers[provider] ?? provider,
        timestamp: new Date(at),
      })
      const prices = found?.model_price
      if (!prices) return null
      let card = cards.get(prices)
      if (card === undefined) {
        const rates = ratesOf(prices)
        if (rates === null) return null
        card = { rates, source, price: shortOf(rates), at }
        cards.set(prices, card)
      }
      return card
    },
  }
}

/** A bucket without a price of its own costs what the wider one costs. Null for a model that no token of is priced. */
function ratesOf(prices: LibraryPrices): Rates | null {
  const input = rateOf(prices['input_mtok'] ?? prices['input_text_mtok'])
  const output = rateOf(prices['output_mtok'] ?? prices['output_text_mtok'])
  const calls = prices['requests_kcount']
  if (input === null && output === null) return null
  return {
    input: input ?? 0,
    cacheRead: rateOf(prices['cache_read_mtok']) ?? input ?? 0,
    cacheWrite: rateOf(prices['cache_write_mtok']) ?? input ?? 0,
    output: output ?? 0,
    reasoning: rateOf(prices['output_reasoning_mtok']) ?? output ?? 0,
    call: typeof calls === 'number' ? wholePico(calls * picoPerDollarOfThousand) : 0,
  }
}

function rateOf(price: LibraryPrices[string]): Rate | null {
  if (price === undefined) return null
  if (typeof price === 'number') return wholePico(price * picoPerDollarOfMillion)
  return {
    base: wholePico(price.base * picoPerDollarOfMillion),
    tiers: price.tiers.map((tier) => ({ over: tier.start, rate: wholePico(tier.price * picoPerDollarOfMillion) })),
  }
}

/** The package's exports leave out its manifest: it is read where the package was found. */
async function versionOf(): Promise<string> {
  try {
    const { readFile } = await import('node:fs/promises')
    const entry = import.meta.resolve('@pydantic/genai-prices')
    const manifest = JSON.parse(await readFile(new URL('../package.json', entry), 'utf8')) as { version?: unknown }
    return typeof manifest.version === 'string' ? manifest.version : 'unknown'
  } catch {
    return 'unknown'
  }
}
