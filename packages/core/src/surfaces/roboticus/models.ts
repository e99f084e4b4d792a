import { z } from 'zod'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { currentAgent } from './current-agent.ts'
import { providerOf } from './formats.ts'
import type { Settings } from './options.ts'
import { eventOf, selectionEvent } from './selection-events.ts'
import { limitOf } from './whole-number.ts'

const section = 'Models'

const offerAnswer = z.strictObject({
  status: z.enum(['ok', 'error', 'unreachable', 'skipped']),
  models: z.array(z.string()),
  count: z.int(),
  error: z.string().optional(),
  reason: z.string().optional(),
})

const availableAnswer = z.strictObject({
  models: z.array(z.string()),
  count: z.int(),
  validation_level: z.string(),
  proxy: z.strictObject({ mode: z.literal('in_process') }),
  providers: z.record(z.string(), offerAnswer),
})

export const modelRoutes = (settings: Settings): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/models/available',
    section,
    summary: 'List available LLM models, as their providers tell',
    query: z.object({ provider: z.string().optional(), validation_level: z.string().default('zero') }),
    response: availableAnswer,
    async handle({ client, query: { provider, validation_level } }) {
      const asked = provider === undefined || provider === '' ? undefined : provider
      const [offers, agent] = await Promise.all([
        client.models.available({ provider: asked }),
        currentAgent(client, settings),
      ])
      const isAsked = (model: string) => asked === undefined || providerOf(model).toLowerCase() === asked.toLowerCase()
      const models = [...new Set([...offers.flatMap((offer) => offer.models), ...agent.models.filter(isAsked)])].sort()
      const answer: z.infer<typeof availableAnswer> = {
        models,
        count: models.length,
        validation_level,
        proxy: { mode: 'in_process' },
        providers: Object.fromEntries(
          offers.map((offer) => [
            offer.provider,
            {
              status: offer.status,
              models: [...offer.models],
              count: offer.models.length,
              ...(offer.error === null ? {} : { error: offer.error }),
              // It has no address to ask at.
              ...(offer.status === 'skipped' ? { reason: 'missing_url' } : {}),
            },
          ]),
        ),
      }
      return { json: answer }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/models/selections',
    section,
    summary: 'Model selection event log, newest first',
    query: z.object({ limit: limitOf(100, 500) }),
    response: z.strictObject({ events: z.array(selectionEvent), count: z.int() }),
    async handle({ client, query: { limit } }) {
      const events = (await client.models.selections({ limit, offset: 0 })).map(eventOf)
      return { json: { events, count: events.length } }
    },
  }),
]
