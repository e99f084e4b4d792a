import { z } from 'zod'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { generationId } from './config.ts'
import type { Settings } from './options.ts'

const section = 'Health'

const healthAnswer = z.strictObject({
  status: z.literal('ok'),
  uptime_seconds: z.number(),
  generation_id: z.int().nullable(),
  scheduler: z.boolean(),
  user: z.strictObject({
    id: z.string(),
    name: z.string(),
    email: z.string().nullable(),
    language: z.string(),
    timezone: z.string().nullable(),
  }),
  security: z.strictObject({
    bind_host: z.string(),
    network_exposed: z.boolean(),
    password_protected: z.boolean(),
    client_ip: z.string().nullable(),
    warning: z.string().nullable(),
  }),
})

export const healthRoutes = (settings: Settings): readonly AnyRoute<Client>[] => {
  const { bindHost, onLoopback, password, user } = settings
  const exposed = !onLoopback
  return [
    route<Client>()({
      method: 'GET',
      path: '/api/health',
      section,
      summary: 'Health check: status, uptime, active generation, how it is protected',
      open: true,
      response: healthAnswer,
      async handle({ client, principal, request }) {
        const { status, uptimeMs } = await client.system.health()
        const generations = principal === null ? null : await client.config.list({ limit: 1 }).catch(() => null)
        const answer: z.infer<typeof healthAnswer> = {
          status,
          uptime_seconds: Math.round(uptimeMs / 100) / 10,
          generation_id: generations && generationId(generations.active),
          scheduler: false,
          // Probes need no password; whose server it is, is for those who have it.
          user: principal === null ? { ...user, name: 'Owner', email: null, timezone: null } : user,
          security: {
            bind_host: bindHost,
            network_exposed: exposed,
            password_protected: password !== null,
            client_ip: request.remoteAddress ?? null,
            warning:
              exposed && password === null ? 'The server can be reached from elsewhere without a password' : null,
          },
        }
        return { json: answer }
      },
    }),

    route<Client>()({
      method: 'GET',
      path: '/healthz',
      section: 'Authentication',
      summary: 'Liveness probe',
      open: true,
      response: z.strictObject({ status: z.literal('ok') }),
      handle: () => ({ json: { status: 'ok' } }),
    }),
  ]
}
