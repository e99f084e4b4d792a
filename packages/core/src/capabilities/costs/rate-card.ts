import type { Model, ModelPrice, Provider } from '../models/index.ts'
import type { Usage } from '../sessions/index.ts'
import { costErrors } from './errors.ts'

/** A rate that depends on how many input tokens the call has: the last tier whose `over` they exceed. */
export interface TieredRate {
  readonly base: number
  readonly tiers: readonly { readonly over: number; readonly rate: number }[]
}

/** Whole pico-dollars (1e-12 USD) per token. */
export type Rate = number | TieredRate

export interface Rates {
  readonly input: Rate
  readonly cacheRead: Rate
  readonly cacheWrite: Rate
  readonly output: Rate
  readonly reasoning: Rate
  /** Pico-dollars of every call, whatever its tokens. */
  readonly call: number
}

/** What a model's tokens cost, and who says so. */
export interface RateCard {
  readonly rates: Rates
  /** `registration`, or the name and version of the price data. */
  readonly source: string
  /** The rates in short, so that a ledger row tells by what it was priced. */
  readonly price: string
  /** When the card was made. */
  readonly at: number
}

/** Prices that are not a model's registration. */
export interface PriceSource {
  /** Loads what it needs. Called once, before the first price. */
  load(): Promise<void>
  /** The card of a model at a moment, the same object for the same prices; null when it is unknown. */
  card(model: { readonly provider: string; readonly name: string }, at: number): RateCard | null
}

export interface Prices {
  load(): Promise<void>
  /** The model's own registration, else the price source, else null. */
  card(model: Model, at: number): RateCard | null
}

/** Fractions of a pico-dollar are rounded up here, so that a row is exact; what is only floating-point noise is not. */
export function wholePico(value: number): number {
  const nearest = Math.round(value)
  return Math.abs(value - nearest) <= Math.max(1e-6, nearest * 1e-12) ? nearest : Math.ceil(value)
}

export function createPrices(source: PriceSource | null, now: () => number): Prices {
  const cards = new WeakMap<ModelPrice, RateCard>()
  return {
    load: async () => await source?.load(),
    card({ price, prefix, name, id }, at) {
      if (price === null) return source?.card({ provider: prefix, name: nameIn(id, name) }, at) ?? null
      let card = cards.get(price)
      if (card === undefined) {
        card = registeredCard(price, now())
        cards.set(price, card)
      }
      return card
    },
  }
}

/** A provider that serves every prefix is given the whole id as a name. */
const nameIn = (id: string, name: string): string => (name === id ? id.slice(id.indexOf('/') + 1) : name)

/** Throws `PRICE_INVALID` for a registration that would make money of nothing. */
export function checkPrices(providers: readonly Provider[]): void {
  for (const { id, models = [] } of providers) {
    for (const { name, price = {} } of models) {
      for (const [bucket, rate] of Object.entries(price)) {
        if (rate === undefined || (typeof rate === 'number' && Number.isFinite(rate) && rate >= 0)) continue
        throw costErrors.PRICE_INVALID({
          message: `the ${bucket} price of ${id}/${name} must be a number of pico-dollars per token, 0 or more`,
        })
      }
    }
  }
}

function registeredCard({ input, output, cacheRead = input, cacheWrite = input }: ModelPrice, at: number): RateCard {
  const rates = {
    input: wholePico(input),
    cacheRead: wholePico(cacheRead),
    cacheWrite: wholePico(cacheWrite),
    output: wholePico(output),
    reasoning: wholePico(output),
    call: 0,
  }
  return { rates, source: 'registration', price: shortOf(rates), at }
}

/** `input 250000, cacheRead 25000, ...`; tiers as `3000000 (over 200000: 6000000)`. */
export const shortOf = (rates: Rates): string =>
  Object.entries(rates)
    .filter(([bucket, rate]) => bucket !== 'call' || rate !== 0)
    .map(([bucket, rate]: [string, Rate]) => `${bucket} ${rateText(rate)}`)
    .join(', ')

const rateText = (rate: Rate): string =>
  typeof rate === 'number'
    ? String(rate)
    : `${rate.base} (${rate.tiers.map((tier) => `over ${tier.over}: ${tier.rate}`).join(', ')})`

const rateFor = (rate: Rate, inputTokens: number): number => {
  if (typeof rate === 'number') return rate
  let current = rate.base
  for (const tier of rate.tiers) if (inputTokens > tier.over) current = tier.rate
  return current
}

const highest = (...rates: readonly Rate[]): number =>
  Math.max(
    ...rates.flatMap((rate) => (typeof rate === 'number' ? rate : [rate.base, ...rate.tiers.map((tier) => tier.rate)])),
  )

/** Pico-dollars of a call, each bucket at its own rate. Not a safe integer when the usage is absurd. */
export function costOf(usage: Usage, { rates }: RateCard): number {
  const inputs = usage.input + usage.cacheRead + usage.cacheWrite
  return (
    rates.call +
    usage.input * rateFor(rates.input, inputs) +
    usage.cacheRead * rateFor(rates.cacheRead, inputs) +
    usage.cacheWrite * rateFor(rates.cacheWrite, inputs) +
    usage.output * rateFor(rates.output, inputs) +
    usage.reasoning * rateFor(rates.reasoning, inputs)
  )
}

/** The most a call may cost: no byte is more than one token, and every token is of the dearest sort. */
export function mostOf({ rates }: RateCard, requestBytes: number, maxOutputTokens: number): number {
  const input = requestBytes * highest(rates.input, rates.cacheRead, rates.cacheWrite)
  const output = maxOutputTokens * highest(rates.output, rates.reasoning)
  return Math.min(rates.call + input + output, Number.MAX_SAFE_INTEGER)
}
