import { z } from 'zod'
import type { LedgerEntry } from '../../capabilities/costs/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { dollars, sqliteUtc, sqliteUtcText } from './formats.ts'
import { page } from './page.ts'

const section = 'Statistics'

const costAnswer = z.strictObject({
  id: z.uuid(),
  model: z.string(),
  provider: z.string(),
  tokens_in: z.int(),
  tokens_out: z.int(),
  /** US dollars; 0 also when the price is unknown. */
  cost: z.number(),
  tier: z.string().nullable(),
  cached: z.boolean(),
  created_at: sqliteUtcText,
})

const answerOf = ({ at, cost, id, model, provider, usage }: LedgerEntry): z.infer<typeof costAnswer> => ({
  id,
  model,
  provider,
  tokens_in: usage.input + usage.cacheRead + usage.cacheWrite,
  tokens_out: usage.output + usage.reasoning,
  cost: dollars(cost),
  tier: null,
  cached: false,
  created_at: sqliteUtc(at),
})

export const statsRoutes = (): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/stats/costs',
    section,
    summary: 'Inference cost history, newest first',
    query: page,
    response: z.strictObject({ costs: z.array(costAnswer) }),
    async handle({ client, query }) {
      return { json: { costs: (await client.costs.entries(query)).map(answerOf) } }
    },
  }),
]
