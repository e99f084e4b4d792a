import { type Clock, systemClock } from '../../kernel/clock.ts'
import type { Principal } from '../../kernel/context.ts'
import type { Client } from '../../runtime.ts'
import { periodStart } from './cost.ts'
import { dollars } from './formats.ts'
import { fill, type Texts } from './texts.ts'

/** Dollars of one day. */
const thresholds = [5, 10, 25] as const
/** Callers whose notices are remembered; the one seen longest ago is forgotten, and may be told again. */
const mostCallers = 1_000

/** What a caller is told before an answer when the day has become dear. */
export type CostNotices = (client: Client, principal: Principal | null, texts: Texts) => Promise<string[]>

/** Each threshold is told of once a day by this process, when it has been reached. */
export function createCostNotices(clock: Clock = systemClock): CostNotices {
  const told = new Map<string, { readonly day: number; readonly highest: number }>()
  return async (client, principal, texts) => {
    if (principal === null) return []
    const now = clock.now()
    const day = periodStart('today', now)
    const [sum] = await client.costs.report({ from: day, to: now + 1 })
    const cost = dollars(sum?.cost ?? null)
    const key = JSON.stringify([principal.tenant, principal.subject])
    const before = told.get(key)
    const highest = before?.day === day ? before.highest : 0
    const reached = thresholds.filter((threshold) => threshold > highest && cost >= threshold)
    const newest = reached.at(-1)
    if (newest === undefined) return []
    told.delete(key)
    told.set(key, { day, highest: newest })
    const [oldest] = told.keys()
    if (told.size > mostCallers && oldest !== undefined) told.delete(oldest)
    return [fill(texts.chat.spent, { threshold: newest, cost: cost.toFixed(2) })]
  }
}
