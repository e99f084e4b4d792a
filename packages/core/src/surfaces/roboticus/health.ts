import { z } from 'zod'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { currentAgent } from './current-agent.ts'
import type { Settings } from './options.ts'

const section = 'Health'

const healthAnswer = z.strictObject({
  status: z.literal('ok'),
  version: z.string(),
  agent: z.string(),
  uptime_seconds: z.int(),
  models: z.strictObject({ primary: z.string(), current: z.string(), fallbacks: z.array(z.string()) }),
})

export const healthRoutes = (settings: Settings): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/health',
    section,
    summary: 'Quick health check: status, uptime, version',
    open: true,
    response: healthAnswer,
    async handle({ client }) {
      const { health, models, name, primary } = await currentAgent(client, settings)
      const answer: z.infer<typeof healthAnswer> = {
        status: health.status,
        version: health.version,
        agent: name,
        uptime_seconds: Math.floor(health.uptimeMs / 1000),
        models: { primary, current: primary, fallbacks: models.slice(1) },
      }
      return { json: answer }
    },
  }),
]
