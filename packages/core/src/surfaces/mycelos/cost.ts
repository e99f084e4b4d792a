import { z } from 'zod'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { systemClock } from '../../kernel/clock.ts'
import type { Client } from '../../runtime.ts'
import { dollars, recordTime, tokensOf } from './formats.ts'

const dayMs = 86_400_000
const mostModels = 10_000

/** Where a period begins. Any other word means everything there is. */
export function periodStart(period: string, now: number): number {
  if (period === 'today') return now - (now % dayMs)
  if (period === 'week') return now - 7 * dayMs
  if (period === 'month') return now - 30 * dayMs
  return Date.UTC(2020, 0, 1)
}

const costAnswer = z.strictObject({
  period: z.string(),
  since: z.string(),
  models: z.array(
    z.strictObject({
      model: z.string(),
      input_tokens: z.int(),
      output_tokens: z.int(),
      total_tokens: z.int(),
      /** Dollars. */
      total_cost: z.number(),
      calls: z.int(),
    }),
  ),
  total_cost: z.number(),
  total_tokens: z.int(),
})

/** What model calls of a period took, the dearest model first. Whole hours: a sliding period begins with its hour. */
export async function costOf(client: Client, period: string): Promise<z.infer<typeof costAnswer>> {
  const now = systemClock.now()
  const from = periodStart(period, now)
  const rows = await client.costs.report({ from, to: now + 1, groupBy: ['model'], limit: mostModels })
  const models = rows.map(({ calls, cost, model = '', usage }) => ({
    model,
    input_tokens: usage.input + usage.cacheRead + usage.cacheWrite,
    output_tokens: usage.output + usage.reasoning,
    total_tokens: tokensOf(usage),
    total_cost: dollars(cost),
    calls,
  }))
  return {
    period,
    // Whole seconds are written without a fraction.
    since: recordTime(from).replace('.000000', ''),
    models,
    total_cost: dollars(rows.reduce((sum, { cost }) => sum + cost, 0n)),
    total_tokens: models.reduce((sum, { total_tokens }) => sum + total_tokens, 0),
  }
}

export const costRoutes = (): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/cost',
    section: 'Cost',
    summary: 'Tokens and cost of a period, by model',
    query: z.object({ period: z.string().max(64).default('today') }),
    response: costAnswer,
    handle: async ({ client, query: { period } }) => ({ json: await costOf(client, period) }),
  }),
]
