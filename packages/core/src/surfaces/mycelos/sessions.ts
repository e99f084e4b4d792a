import { z } from 'zod'
import { type Session, type SpokenMessage, type SpokenPage, textOf } from '../../capabilities/sessions/index.ts'
import type { HttpStream } from '../../http/message.ts'
import { route } from '../../http/route.ts'
import type { Answer, AnyRoute } from '../../http/surface.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { Client } from '../../runtime.ts'
import { defaultAgent } from './current-agent.ts'
import { recordTime, timeText, tokensOf } from './formats.ts'
import type { Settings } from './options.ts'

const section = 'Sessions'
/** The system has no pages. More than a person makes, and less than a server chokes on. */
const mostSessions = 10_000
/** Messages that are read and written at once. */
const pieceOfMessages = 1_000
const longestTitle = 512

const sessionAnswer = z.strictObject({
  type: z.literal('session_start'),
  session_id: z.string(),
  user_id: z.string(),
  timestamp: timeText,
  title: z.string().optional(),
  topic: z.string().optional(),
  file: z.string(),
  message_count: z.int(),
})

const messageAnswer = z.strictObject({
  type: z.literal('message'),
  session_id: z.string(),
  role: z.enum(['user', 'assistant']),
  content: z.string(),
  timestamp: timeText,
  metadata: z
    .union([z.strictObject({ tokens: z.int(), model: z.string() }), z.strictObject({ agent: z.string() })])
    .optional(),
})

type MessageAnswer = z.infer<typeof messageAnswer>

export const userOf = (subject: string): string => (subject === 'owner' ? 'default' : subject)

export const topicOf = ({ metadata }: Pick<Session, 'metadata'>): string => {
  const topic = metadata?.['topic']
  return typeof topic === 'string' ? topic : ''
}

function answerOf(session: Session): z.infer<typeof sessionAnswer> {
  const topic = topicOf(session)
  return {
    type: 'session_start',
    session_id: session.id,
    user_id: userOf(session.subject),
    timestamp: recordTime(session.createdAt),
    ...(session.title === null ? {} : { title: session.title }),
    ...(topic === '' ? {} : { topic }),
    file: `${session.id}.jsonl`,
    message_count: session.messageCount,
  }
}

function messageAnswerOf({ message, turn }: SpokenMessage, standard: string | null): MessageAnswer {
  const { createdAt, parts, role, session, usage } = message
  const answer: MessageAnswer = {
    type: 'message',
    session_id: session,
    role: role === 'user' ? 'user' : 'assistant',
    content: textOf(parts),
    timestamp: recordTime(createdAt),
  }
  if (role === 'user') return answer
  if (turn === null) return { ...answer, metadata: { agent: 'System' } }
  if (turn.agent !== standard) return { ...answer, metadata: { agent: turn.agent } }
  const tokens = tokensOf(turn.status === 'completed' || usage === null ? turn.usage : usage)
  return { ...answer, metadata: { tokens, model: turn.model ?? '' } }
}

type ReadPage = (after: number) => Promise<SpokenPage>

/** A long session is written as it is read: one piece of it is in memory at a time. */
function messagesAnswer(id: string, first: SpokenPage, read: ReadPage, standard: string | null): Answer {
  const answersOf = ({ messages }: SpokenPage) => messages.map((each) => messageAnswerOf(each, standard))
  if (first.next === null) return { json: { session_id: id, messages: answersOf(first) } }
  const stream: HttpStream = async (sink) => {
    await sink.write(`{"session_id":${JSON.stringify(id)},"messages":[`)
    let separator = ''
    for (let page = first; !sink.signal.aborted; page = await read(page.next)) {
      const text = JSON.stringify(answersOf(page)).slice(1, -1)
      if (text !== '') {
        await sink.write(separator + text)
        separator = ','
      }
      if (page.next === null) break
    }
    await sink.write(']}')
  }
  return { stream, type: 'application/json' }
}

const patchBody = z.object({
  title: z.string().max(longestTitle).nullish(),
  topic: z.string().max(longestTitle).nullish(),
})

/** What a patch leaves out, and null, stays as it is. */
function patchOf({ title, topic }: z.infer<typeof patchBody>) {
  const clean = (text: string) => text.replaceAll('\0', '').toWellFormed()
  const entries: JsonObject | null = topic == null ? null : { topic: topic === '' ? null : clean(topic) }
  return {
    ...(title == null ? {} : { title: title === '' ? null : clean(title) }),
    ...(entries === null ? {} : { metadataEntries: entries }),
  }
}

export const sessionRoutes = (settings: Settings): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/sessions',
    section,
    summary: 'List chat sessions, the last active first',
    response: z.array(sessionAnswer),
    async handle({ client }) {
      const sessions = await client.sessions.list({ limit: mostSessions, offset: 0, order: 'activity' })
      return { json: sessions.map(answerOf) }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/sessions',
    section,
    summary: 'Create a chat session',
    beyondDocument: true,
    response: z.strictObject({ session_id: z.string() }),
    async handle({ client }) {
      const { id } = await client.sessions.create({ agent: (await defaultAgent(client, settings)).id })
      return { json: { session_id: id } }
    },
  }),

  route<Client>()({
    method: 'PATCH',
    path: '/api/sessions/:id',
    section,
    summary: 'Rename a chat session, or say what it is about',
    beyondDocument: true,
    body: patchBody,
    response: z.strictObject({ session_id: z.string(), title: z.string().optional(), topic: z.string().optional() }),
    async handle({ client, params: { id }, body }) {
      const patch = patchOf(body)
      await (Object.keys(patch).length === 0 ? client.sessions.get({ id }) : client.sessions.update({ id, ...patch }))
      return {
        json: {
          session_id: id,
          ...(body.title == null ? {} : { title: body.title }),
          ...(body.topic == null ? {} : { topic: body.topic }),
        },
      }
    },
  }),

  route<Client>()({
    method: 'GET',
    path: '/api/sessions/:id/messages',
    section,
    summary: 'All messages of a chat session, oldest first',
    response: z.strictObject({ session_id: z.string(), messages: z.array(messageAnswer) }),
    async handle({ client, params: { id } }) {
      const read: ReadPage = (after) => client.sessions.spoken({ session: id, after, limit: pieceOfMessages })
      const [session, first, agent] = await Promise.all([
        client.sessions.get({ id }),
        read(0),
        defaultAgent(client, settings).catch(() => null),
      ])
      return messagesAnswer(session.id, first, read, agent?.id ?? null)
    },
  }),
]
