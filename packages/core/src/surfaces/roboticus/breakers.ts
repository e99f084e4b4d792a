import { z } from 'zod'
import type { BreakerStatus } from '../../capabilities/breakers/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'

const section = 'Circuit Breaker'

const state = z.enum(['closed', 'open', 'half_open'])

const statusAnswer = z.strictObject({
  providers: z.record(
    z.string(),
    z.strictObject({
      state,
      blocked: z.boolean(),
      credit_tripped: z.boolean(),
      operator_forced_open: z.boolean(),
    }),
  ),
  config: z.strictObject({
    threshold: z.int(),
    cooldown_seconds: z.number(),
    max_cooldown_seconds: z.number(),
    window_seconds: z.number(),
  }),
})

/** A provider that runs hot shows as half-open here. */
export const shownState = ({ state }: BreakerStatus, hot: boolean): 'closed' | 'open' | 'half-open' =>
  state === 'closed' && hot ? 'half-open' : state

/** The breakers of all configured providers as this API shows them. */
export async function shownBreakers(client: Client) {
  const [{ breakers, policy }, capacity] = await Promise.all([client.breakers.status(), client.models.capacity()])
  const hot = new Set(capacity.flatMap((use) => (use.hot ? use.name : [])))
  return {
    policy,
    breakers: breakers.map((breaker) => ({ ...breaker, state: shownState(breaker, hot.has(breaker.provider)) })),
  }
}

export const breakerRoutes = (): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/breaker/status',
    section,
    summary: 'Breaker state of every provider',
    response: statusAnswer,
    async handle({ client }) {
      const { breakers, policy } = await shownBreakers(client)
      const answer: z.infer<typeof statusAnswer> = {
        providers: Object.fromEntries(
          breakers.map(({ cause, provider, state: shown }) => [
            provider,
            {
              state: shown === 'half-open' ? 'half_open' : shown,
              blocked: shown === 'open',
              credit_tripped: cause === 'billing',
              operator_forced_open: cause === 'operator',
            },
          ]),
        ),
        config: {
          threshold: policy.threshold,
          cooldown_seconds: policy.cooldownMs / 1000,
          max_cooldown_seconds: policy.maxCooldownMs / 1000,
          window_seconds: policy.windowMs / 1000,
        },
      }
      return { json: answer }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/breaker/reset/:provider',
    section,
    summary: 'Reset the breaker of one provider',
    response: z.strictObject({ provider: z.string(), state: z.literal('closed'), reset: z.literal(true) }),
    async handle({ client, params: { provider } }) {
      await client.breakers.reset({ provider })
      return { json: { provider, state: 'closed', reset: true } }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/breaker/open/:provider',
    section,
    summary: 'Open the breaker of one provider until it is reset',
    beyondDocument: true,
    response: z.strictObject({
      provider: z.string(),
      state: z.literal('open'),
      operator_forced_open: z.literal(true),
    }),
    async handle({ client, params: { provider } }) {
      await client.breakers.forceOpen({ provider })
      return { json: { provider, state: 'open', operator_forced_open: true } }
    },
  }),
]
