import { z } from 'zod'
import { type Message, type Part, type Session, textOf } from '../../capabilities/sessions/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { checkText, roboticusErrors } from './errors.ts'
import { sqliteUtc, sqliteUtcText } from './formats.ts'
import type { Settings } from './options.ts'
import { page } from './page.ts'
import { titleMaker } from './titles.ts'

const section = 'Sessions'
const longestName = 256
const longestMessage = 4096

const sessionAnswer = z.strictObject({
  id: z.uuid(),
  agent_id: z.string(),
  scope_key: z.string(),
  status: z.enum(['active', 'archived', 'expired']),
  model: z.string().nullable(),
  nickname: z.string().nullable(),
  created_at: sqliteUtcText,
  updated_at: sqliteUtcText,
  /** JSON text. */
  metadata: z.string().nullable(),
})

const messageAnswer = z.strictObject({
  id: z.uuid(),
  session_id: z.uuid(),
  /** The user message that this one answers. */
  parent_id: z.string().nullable(),
  role: z.enum(['user', 'assistant', 'system', 'tool']),
  content: z.string(),
  /** JSON text. */
  usage_json: z.string().nullable(),
  created_at: sqliteUtcText,
})

const answerOf = (session: Session): z.infer<typeof sessionAnswer> => ({
  id: session.id,
  agent_id: session.agent,
  scope_key: session.scope ?? 'agent',
  status: session.status,
  model: session.model,
  nickname: session.title,
  created_at: sqliteUtc(session.createdAt),
  updated_at: sqliteUtc(session.updatedAt),
  metadata: session.metadata === null ? null : JSON.stringify(session.metadata),
})

function messageAnswers(messages: readonly Message[]): z.infer<typeof messageAnswer>[] {
  let question: string | null = null
  return messages.map(({ id, session, role, parts, usage, createdAt }) => {
    if (role === 'user') question = id
    return {
      id,
      session_id: session,
      parent_id: role === 'assistant' || role === 'tool' ? question : null,
      role,
      content: role === 'tool' ? resultsOf(parts) : textOf(parts),
      usage_json:
        usage &&
        JSON.stringify({
          tokens_in: usage.input + usage.cacheRead + usage.cacheWrite,
          tokens_out: usage.output + usage.reasoning,
          cache_read_tokens: usage.cacheRead,
          cache_write_tokens: usage.cacheWrite,
          reasoning_tokens: usage.reasoning,
        }),
      created_at: sqliteUtc(createdAt),
    }
  })
}

const resultsOf = (parts: readonly Part[]): string =>
  JSON.stringify(
    parts.flatMap((part) =>
      part.type === 'tool-result'
        ? { call_id: part.call, tool_name: part.tool, output: part.output, is_error: part.isError ?? false }
        : [],
    ),
  )

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#x27;',
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? character)

export const sessionRoutes = (settings: Settings): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/sessions',
    section,
    summary: 'List sessions, newest first',
    query: page,
    response: z.strictObject({ sessions: z.array(sessionAnswer.extend({ turn_count: z.int() })) }),
    async handle({ client, query }) {
      const sessions = await client.sessions.list(query)
      return { json: { sessions: sessions.map((each) => ({ ...answerOf(each), turn_count: each.turnCount })) } }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/sessions',
    section,
    summary: "Create a session; the agent's active one is archived",
    body: z.object({ agent_id: z.string() }),
    // Older clients of the system read `session_id`, newer ones `id`.
    response: sessionAnswer.extend({ session_id: z.uuid() }),
    async handle({ client, body }) {
      const agent = escapeHtml(checkText('agent_id', body.agent_id, longestName))
      const session = await client.sessions.create({ agent, scope: 'agent' })
      return { json: { ...answerOf(session), session_id: session.id } }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/sessions/backfill-nicknames',
    section,
    summary: 'Give a nickname to every session without one',
    response: z.strictObject({ backfilled: z.int() }),
    async handle({ client }) {
      return { json: { backfilled: await client.sessions.backfillTitles({ titleOf: titleMaker(client, settings) }) } }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/sessions/:id',
    section,
    summary: 'Session detail',
    response: sessionAnswer,
    async handle({ client, params: { id } }) {
      return { json: answerOf(await client.sessions.get({ id })) }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/sessions/:id/messages',
    section,
    summary: 'Message history of a session, oldest first',
    query: page,
    response: z.strictObject({ messages: z.array(messageAnswer) }),
    async handle({ client, params: { id }, query: { limit } }) {
      return { json: { messages: messageAnswers(await client.sessions.messages({ session: id, limit })) } }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/sessions/:id/messages',
    section,
    summary: 'Append a message to a session, without an answer',
    body: z.object({ role: z.string(), content: z.string() }),
    response: z.strictObject({ message_id: z.uuid() }),
    async handle({ client, params: { id }, body: { role, content } }) {
      if (role !== 'user' && role !== 'assistant') {
        throw roboticusErrors.VALUE_INVALID({ message: 'role must be user or assistant' })
      }
      const text = checkText('content', content, longestMessage)
      const { id: message } = await client.sessions.append({ session: id, role, parts: [{ type: 'text', text }] })
      return { json: { message_id: message } }
    },
  }),
]
