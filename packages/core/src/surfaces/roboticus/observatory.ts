import { z } from 'zod'
import { sessionErrors, type ToolCall, type Turn, textOf } from '../../capabilities/sessions/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { Client } from '../../runtime.ts'
import { dollars, sqliteUtc, sqliteUtcText } from './formats.ts'
import { eventOfTurn, selectionEvent } from './selection-events.ts'

const section = 'Context Observatory'
/** Turns are read this many at a time, since each brings its message along. */
const pageOfTurns = 200
/** The document knows no limit; an answer has to have one. */
const mostTurns = 10_000

const numbers = {
  tokens_in: z.int().nullable(),
  tokens_out: z.int().nullable(),
  /** Dollars; null while nothing has answered, or when the price is unknown. */
  cost: z.number().nullable(),
  model: z.string().nullable(),
}

const turnAnswer = z.strictObject({
  id: z.uuid(),
  session_id: z.uuid(),
  thinking: z.string().nullable(),
  ...numbers,
  created_at: sqliteUtcText,
})

const contextAnswer = z.strictObject({
  turn_id: z.uuid(),
  ...numbers,
  token_budget: z.int(),
  system_prompt_tokens: z.int(),
  memory_tokens: z.int(),
  history_tokens: z.int(),
  history_depth: z.int(),
  complexity_level: z.enum(['L0', 'L1', 'L2', 'L3']),
  tool_call_count: z.int(),
  tool_failure_count: z.int(),
})

const toolCallAnswer = z.strictObject({
  id: z.uuid(),
  tool_name: z.string(),
  skill_id: z.string().nullable(),
  skill_name: z.string().nullable(),
  skill_hash: z.string().nullable(),
  status: z.enum(['success', 'error', 'partial_success']),
  duration_ms: z.int().nullable(),
  created_at: sqliteUtcText,
})

const numbersOf = ({ cost, model, usage }: Turn) => ({
  tokens_in: model === null ? null : usage.input + usage.cacheRead + usage.cacheWrite,
  tokens_out: model === null ? null : usage.output + usage.reasoning,
  cost: cost === null ? null : dollars(cost),
  model,
})

/** `thinking` is told of a single turn only: it has to be picked out of all that the turn has said. */
const turnOf = (turn: Turn, thinking: string): z.infer<typeof turnAnswer> => ({
  id: turn.id,
  session_id: turn.session,
  thinking: thinking === '' ? null : thinking,
  ...numbersOf(turn),
  created_at: sqliteUtc(turn.createdAt),
})

async function turnsOf(client: Client, session: string): Promise<z.infer<typeof turnAnswer>[]> {
  const answers: z.infer<typeof turnAnswer>[] = []
  while (answers.length < mostTurns) {
    const turns = await client.sessions.turns({ session, limit: pageOfTurns, offset: answers.length })
    for (const turn of turns) answers.push(turnOf(turn, ''))
    if (turns.length < pageOfTurns) break
  }
  return answers
}

/** What has not ended, or was left for later, is neither a success nor an error. */
const statusOf = ({ status }: ToolCall): z.infer<typeof toolCallAnswer>['status'] =>
  status === 'succeeded' ? 'success' : status === 'waiting' || status === 'started' ? 'partial_success' : 'error'

const toolCallOf = (call: ToolCall): z.infer<typeof toolCallAnswer> => ({
  id: call.id,
  tool_name: call.tool,
  skill_id: null,
  skill_name: null,
  skill_hash: null,
  status: statusOf(call),
  duration_ms: call.endedAt === null ? null : Math.max(0, call.endedAt - call.startedAt),
  created_at: sqliteUtc(call.startedAt),
})

/** How demanding a turn was, by the length of its message, its tool calls and how much was said before. */
function levelOf(bytes: number, tools: number, depth: number): z.infer<typeof contextAnswer>['complexity_level'] {
  const complexity = 0.3 * Math.min(bytes / 1000, 1) + 0.3 * Math.min(tools / 5, 1) + 0.4 * Math.min(depth / 10, 1)
  return complexity < 0.3 ? 'L0' : complexity < 0.6 ? 'L1' : complexity < 0.9 ? 'L2' : 'L3'
}

export const observatoryRoutes = (): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/sessions/:id/turns',
    section,
    summary: 'List all turns of a session, oldest first',
    response: z.strictObject({ turns: z.array(turnAnswer) }),
    async handle({ client, params: { id } }) {
      return { json: { turns: await turnsOf(client, id) } }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/turns/:id',
    section,
    summary: 'Detail of one turn',
    response: turnAnswer,
    async handle({ client, params: { id } }) {
      const { steps, turn } = await client.observatory.turn({ id })
      const thoughts = steps.flatMap(({ reasoning }) => (reasoning === '' ? [] : reasoning))
      return { json: turnOf(turn, thoughts.join('\n\n')) }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/turns/:id/context',
    section,
    summary: 'Context snapshot of a turn',
    response: contextAnswer,
    async handle({ client, params: { id } }) {
      const [turn, context, calls] = await Promise.all([
        client.sessions.turn({ id }),
        client.observatory.context({ id }),
        client.sessions.toolCalls({ turn: id }),
      ])
      const { budget, messages, tokens } = context
      const answer: z.infer<typeof contextAnswer> = {
        turn_id: turn.id,
        ...numbersOf(turn),
        token_budget: budget,
        // The list of tools is part of the prompt in that system.
        system_prompt_tokens: tokens.instructions + tokens.tools,
        memory_tokens: tokens.memory,
        history_tokens: tokens.history + tokens.message,
        history_depth: messages,
        complexity_level: levelOf(utf8Length(textOf(turn.input)), calls.length, messages),
        tool_call_count: calls.length,
        tool_failure_count: calls.filter((call) => statusOf(call) !== 'success').length,
      }
      return { json: answer }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/turns/:id/tools',
    section,
    summary: 'Tool calls of a turn, without their arguments and results',
    response: z.strictObject({ tool_calls: z.array(toolCallAnswer) }),
    async handle({ client, params: { id } }) {
      return { json: { tool_calls: (await client.sessions.toolCalls({ turn: id })).map(toolCallOf) } }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/turns/:id/model-selection',
    section,
    summary: 'Model selection details of a turn',
    response: selectionEvent,
    async handle({ client, params: { id } }) {
      const turn = await client.sessions.turn({ id })
      const { selection } = turn
      if (!selection) throw sessionErrors.TURN_NOT_FOUND({ message: 'no model was selected for this turn' })
      return { json: eventOfTurn({ ...turn, selection }, textOf(turn.input)) }
    },
  }),
]
