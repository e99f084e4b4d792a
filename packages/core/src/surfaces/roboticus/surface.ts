import { z } from 'zod'
import type { Surface } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { agentRoutes } from './agent.ts'
import { approvalRoutes } from './approvals.ts'
import { authenticator } from './auth.ts'
import { breakerRoutes } from './breakers.ts'
import { configRoutes } from './config.ts'
import { encodeError } from './errors.ts'
import { healthRoutes } from './health.ts'
import { modelRoutes } from './models.ts'
import { observatoryRoutes } from './observatory.ts'
import { type RoboticusOptions, settingsOf } from './options.ts'
import { providerRoutes } from './providers.ts'
import { sessionRoutes } from './sessions.ts'
import { statsRoutes } from './stats.ts'
import { websocketRoutes } from './websocket.ts'

export type { RoboticusOptions } from './options.ts'

const bodyLimit = 1_048_576

const errorBody = z.looseObject({
  error: z.string(),
  message: z.string().optional(),
  reason: z.string().optional(),
  threat_score: z.number().optional(),
})

/**
 * The HTTP API of the Roboticus agent runtime: one main agent, a static API key, snake_case JSON. Throws
 * `SURFACE_OPTIONS_INVALID` when an option will not do.
 */
export function roboticus(options: RoboticusOptions = {}): Surface<Client> {
  const settings = settingsOf(options)
  return {
    id: 'roboticus',
    routes: [
      ...healthRoutes(settings),
      ...configRoutes(settings),
      ...agentRoutes(settings),
      ...sessionRoutes(settings),
      ...providerRoutes(),
      ...modelRoutes(settings),
      ...breakerRoutes(),
      ...observatoryRoutes(),
      ...approvalRoutes(),
      ...statsRoutes(),
      ...websocketRoutes(),
    ],
    bodyLimit,
    headers: {
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
    },
    authenticate: authenticator(settings),
    unprotected: settings.apiKey === null && settings.trustLoopback,
    closed: settings.apiKey === null && !settings.trustLoopback,
    encodeError,
    security: {
      apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      bearer: { type: 'http', scheme: 'bearer', description: 'The API key as a bearer token' },
    },
    errorSchema: errorBody,
  }
}
