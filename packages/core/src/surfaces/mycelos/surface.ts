import { z } from 'zod'
import type { Surface } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { admission, isTrusted } from './admission.ts'
import { agentRoutes, startTime } from './agents.ts'
import { authentication } from './auth.ts'
import { chatRoutes } from './chat.ts'
import { configRoutes } from './config.ts'
import { connectorRoutes } from './connectors.ts'
import { costRoutes } from './cost.ts'
import { encodeError } from './errors.ts'
import { healthRoutes } from './health.ts'
import { translationRoutes } from './i18n.ts'
import { knowledgeRoutes } from './knowledge.ts'
import { loginRoutes } from './login.ts'
import { cookieName } from './login-cookie.ts'
import { modelRoutes } from './models.ts'
import { type MycelosOptions, settingsOf } from './options.ts'
import { sessionRoutes } from './sessions.ts'

export type { MycelosOptions } from './options.ts'

const bodyLimit = 1_048_576

const errorBody = z.union([z.looseObject({ error: z.string() }), z.strictObject({ detail: z.unknown() })])

/**
 * The HTTP API of the Mycelos gateway: one owner, HTTP Basic or a login cookie, snake_case JSON. Throws
 * `SURFACE_OPTIONS_INVALID` when an option will not do.
 */
export function mycelos(options: MycelosOptions = {}): Surface<Client> {
  const settings = settingsOf(options)
  const auth = authentication(settings)
  const since = startTime()
  return {
    id: 'mycelos',
    routes: [
      ...chatRoutes(settings),
      ...sessionRoutes(settings),
      ...knowledgeRoutes(settings),
      ...agentRoutes(settings, since),
      ...modelRoutes(settings, since),
      ...connectorRoutes(since),
      ...costRoutes(),
      ...configRoutes(settings, since),
      ...healthRoutes(settings),
      ...translationRoutes(settings),
      ...loginRoutes(auth, settings),
    ],
    bodyLimit,
    headers: { 'x-content-type-options': 'nosniff' },
    admit: admission(settings),
    trustsOrigin: (origin, host) => isTrusted(origin, host, settings),
    authenticate: auth.authenticate,
    unprotected: settings.password === null,
    encodeError,
    security: {
      basic: { type: 'http', scheme: 'basic', description: 'The password; the user name does not matter' },
      cookie: { type: 'apiKey', in: 'cookie', name: cookieName },
    },
    errorSchema: errorBody,
  }
}
