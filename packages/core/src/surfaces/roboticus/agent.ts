import { z } from 'zod'
import { loopErrors, type TurnOutcome } from '../../capabilities/loop/index.ts'
import type { Turn } from '../../capabilities/sessions/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { shownBreakers } from './breakers.ts'
import { currentAgent } from './current-agent.ts'
import { isProviderFailure } from './errors.ts'
import { authorityName, dollars, nameOfAuthority, providerOf } from './formats.ts'
import { streamFrame, streamMessage } from './message-stream.ts'
import { ruleTitle } from './nickname.ts'
import type { Settings } from './options.ts'
import { acceptMessage, messageBody } from './pipeline.ts'

const section = 'Agent'

const providerState = z.enum(['closed', 'open', 'halfopen'])

const statusAnswer = z.strictObject({
  state: z.literal('running'),
  name: z.string(),
  agent_name: z.string(),
  agent_id: z.string(),
  primary_model: z.string(),
  active_model: z.string(),
  primary_provider_state: providerState,
  cache_entries: z.int(),
  cache_hit_rate_pct: z.number(),
  diagnostics: z.strictObject({
    uptime_seconds: z.int(),
    primary_model: z.string(),
    active_model: z.string(),
    primary_provider: z.string(),
    primary_provider_state: providerState,
    breaker_open_count: z.int(),
    breaker_half_open_count: z.int(),
    cache_entries: z.int(),
    cache_hit_rate_pct: z.number(),
    pending_approvals: z.int(),
    taskable_subagents_total: z.int(),
    taskable_subagents_enabled: z.int(),
    taskable_subagents_booting: z.int(),
    taskable_subagents_running: z.int(),
    taskable_subagents_error: z.int(),
    taskable_subagents_hollow: z.int(),
    delegation_tools_available: z.boolean(),
    channels_total: z.int(),
    channels_with_errors: z.int(),
  }),
})

const messageAnswer = z.strictObject({
  session_id: z.uuid(),
  nickname: z.string().nullable(),
  user_message_id: z.uuid(),
  assistant_message_id: z.uuid(),
  content: z.string(),
  selected_model: z.string(),
  model: z.string(),
  model_shift_from: z.string().nullable(),
  cached: z.boolean(),
  tokens_saved: z.int(),
  tokens_in: z.int(),
  tokens_out: z.int(),
  /** Dollars. */
  cost: z.number(),
  threat_score: z.number().min(0).max(1),
  reduced_authority: z.boolean(),
  authority: authorityName,
  react_turns: z.int(),
})

async function status(client: Client, settings: Settings): Promise<z.infer<typeof statusAnswer>> {
  const [agent, pending, { breakers }] = await Promise.all([
    currentAgent(client, settings),
    client.approvals.count({ status: 'pending' }),
    shownBreakers(client),
  ])
  const stateOf = (model: string) => breakers.find(({ provider }) => provider === providerOf(model))?.state ?? 'closed'
  const inState = (state: string) => breakers.filter((breaker) => breaker.state === state).length
  const primary = stateOf(agent.primary)
  const shared = {
    primary_model: agent.primary,
    // What a message would go to now.
    active_model: agent.models.find((model) => stateOf(model) !== 'open') ?? agent.primary,
    primary_provider_state: primary === 'half-open' ? 'halfopen' : primary,
    cache_entries: 0,
    cache_hit_rate_pct: 0,
  } as const
  return {
    state: 'running',
    name: agent.name,
    agent_name: agent.name,
    agent_id: agent.id,
    ...shared,
    diagnostics: {
      ...shared,
      uptime_seconds: Math.floor(agent.health.uptimeMs / 1000),
      primary_provider: providerOf(agent.primary),
      breaker_open_count: inState('open'),
      breaker_half_open_count: inState('half-open'),
      pending_approvals: pending,
      taskable_subagents_total: 0,
      taskable_subagents_enabled: 0,
      taskable_subagents_booting: 0,
      taskable_subagents_running: 0,
      taskable_subagents_error: 0,
      taskable_subagents_hollow: 0,
      delegation_tools_available: false,
      channels_total: 0,
      channels_with_errors: 0,
    },
  }
}

/** The numbers of a turn. An outcome has those of a completed one only. */
const totalsOf = async (client: Client, outcome: TurnOutcome): Promise<Pick<Turn, 'cost' | 'steps' | 'usage'>> =>
  outcome.status === 'completed' ? outcome : await client.sessions.turn({ id: outcome.turn })

/** The outcome with an answer in it. A turn that failed for another reason than its providers throws. */
function answered(outcome: TurnOutcome): TurnOutcome & { readonly message: string } {
  const { error, message, session, status, turn } = outcome
  if (message !== null && (status === 'completed' || (error && isProviderFailure(error.code))))
    return { ...outcome, message }
  const details = { turn, session, ...(error ? { reason: error.code } : {}) }
  if (status === 'cancelled') throw loopErrors.TURN_CANCELLED({ details })
  if (status === 'interrupted') throw loopErrors.TURN_INTERRUPTED({ details })
  throw loopErrors.TURN_FAILED({ details, ...(error ? { message: `the turn failed: ${error.message}` } : {}) })
}

export const agentRoutes = (settings: Settings): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/agent/status',
    section,
    summary: 'Agent state, model, cache statistics',
    response: statusAnswer,
    async handle({ client }) {
      return { json: await status(client, settings) }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/agent/message',
    section,
    summary: 'Send a message through the agent pipeline',
    body: messageBody,
    response: messageAnswer,
    async handle({ client, principal, body, request }) {
      const failureReply = settings.providerFailureReply
      const accepted = await acceptMessage({ client, principal, body, request, settings, failureReply })
      const { authority, handle, session, text, threat } = accepted
      const nickname = session.title ?? (await client.sessions.update({ id: session.id, title: ruleTitle(text) })).title
      const outcome = answered(await handle.outcome)
      const { cost, steps, usage } = await totalsOf(client, outcome)
      const selected = outcome.selected ?? ''
      const model = outcome.model ?? selected
      const answer: z.infer<typeof messageAnswer> = {
        session_id: session.id,
        nickname,
        user_message_id: outcome.userMessage,
        assistant_message_id: outcome.message,
        content: outcome.text,
        selected_model: selected,
        model,
        model_shift_from: model === selected ? null : selected,
        cached: false,
        tokens_saved: 0,
        tokens_in: usage.input + usage.cacheRead + usage.cacheWrite,
        tokens_out: usage.output + usage.reasoning,
        cost: dollars(cost),
        threat_score: threat.score,
        reduced_authority: threat.verdict === 'caution',
        authority: nameOfAuthority(authority),
        react_turns: steps,
      }
      return { json: answer }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/agent/message/stream',
    section,
    summary: "Stream the agent's answer as server-sent events",
    body: messageBody,
    stream: true,
    response: streamFrame,
    async handle({ client, principal, body, request }) {
      const accepted = await acceptMessage({ client, principal, body, request, settings })
      return await streamMessage(accepted, request)
    },
  }),
]
