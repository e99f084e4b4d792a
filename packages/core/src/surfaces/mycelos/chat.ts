import { z } from 'zod'
import type { Agent } from '../../capabilities/agents/index.ts'
import type { TurnHandle } from '../../capabilities/loop/index.ts'
import type { Session } from '../../capabilities/sessions/index.ts'
import { route } from '../../http/route.ts'
import type { Answer, AnyRoute } from '../../http/surface.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { Client } from '../../runtime.ts'
import { remember } from './agent-changes.ts'
import { answerChat, type ChatEvent, chatEvent, doneForFree, type Send } from './chat-events.ts'
import { showTurn } from './chat-stream.ts'
import { isCommand, runCommand, withoutSecret } from './commands.ts'
import { createCostNotices } from './cost-notices.ts'
import { pickDefault, systemAgents } from './current-agent.ts'
import { answerIn, type Answer as Permission } from './decision-words.ts'
import { excerpt } from './formats.ts'
import type { Settings } from './options.ts'
import { topicOf } from './sessions.ts'
import { fill, type Texts, textsIn } from './texts.ts'

const toolRounds = 5
const toolRoundsAfterHandOver = 10
const longestTitle = 60
/** Characters of a tool's result that the model gets. */
const toolResultCharacters = 4_000

/** Named by the server or, for a session that began offline, by its client. */
const sessionId = z
  .string()
  .max(200)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must have no control characters')

const chatBody = z.object({
  message: z.string(),
  session_id: sessionId.nullish(),
  channel: z.string().nullish(),
  target_agent_id: z.string().nullish(),
  workflow_run_id: z.string().nullish(),
  user_id: z.string().nullish(),
})

type ChatBody = z.infer<typeof chatBody>

/** What is known of a chat before its turn. */
interface Chat {
  readonly client: Client
  readonly settings: Settings
  /** Null for one that begins with the message. */
  readonly session: Session | null
  readonly message: string
  readonly agents: readonly Agent[]
  readonly standard: Agent | undefined
}

export function chatRoutes(settings: Settings): readonly AnyRoute<Client>[] {
  const costNotices = createCostNotices()
  return [
    route<Client>()({
      method: 'POST',
      path: '/api/chat',
      section: 'Chat',
      summary: 'Send a message; the answer is streamed as server-sent events',
      body: chatBody,
      stream: true,
      response: chatEvent,
      async handle({ client, principal, body }) {
        const message = body.message.toWellFormed()
        const [agents, session] = await Promise.all([client.agents.list(), find(client, body.session_id)])
        const chat = { client, settings, session, message, agents, standard: pickDefault(agents, settings) }
        return isCommand(message)
          ? await answerCommand(chat, body)
          : await answerMessage(chat, body, (texts) => costNotices(client, principal, texts))
      },
    }),
  ]
}

async function find(client: Client, id: string | null | undefined): Promise<Session | null> {
  if (id == null || id === '') return null
  return await client.sessions.get({ id }).catch((error: unknown) => {
    if (isKeelsonError(error) && error.code === 'SESSION_NOT_FOUND') return null
    throw error
  })
}

const opening = (id: string): ChatEvent => ({ event: 'session', data: { session_id: id, resumed: false } })

const sends = (events: readonly ChatEvent[]): Answer =>
  answerChat(async (send) => {
    for (const event of events) await send(event)
  }, false)

const says = (content: string): ChatEvent => ({ event: 'system-response', data: { content } })

/** A slash command goes past the model. It and its answer are kept as messages of the session. */
async function answerCommand({ agents, client, message, session, settings, standard }: Chat, body: ChatBody) {
  const agent = standard?.id ?? 'mycelos'
  const id = session?.id ?? (await client.sessions.create({ agent, ...named(body.session_id) })).id
  await client.sessions.append({ session: id, role: 'user', parts: [{ type: 'text', text: withoutSecret(message) }] })
  return answerChat(async (send) => {
    await send(opening(id))
    const content = await runCommand({ agents, client, message, session: id, settings, standard })
    await client.sessions.append({ session: id, role: 'assistant', parts: [{ type: 'text', text: content }] })
    await send(says(content))
    await send(doneForFree)
  }, false)
}

const named = (id: string | null | undefined): { id?: string } => (id == null || id === '' ? {} : { id })

async function answerMessage(
  chat: Chat,
  body: ChatBody,
  costNotices: (texts: Texts) => Promise<string[]>,
): Promise<Answer> {
  const { client, message, session, settings } = chat
  const texts = textsIn(settings.user.language)
  const id = session?.id ?? (body.session_id || globalThis.crypto.randomUUID())
  const chosen = choose(chat, body.target_agent_id)
  if (chosen === 'unknown') {
    return sends([
      opening(id),
      says(fill(texts.chat.unknownAgent, { agent: excerpt(body.target_agent_id ?? '', longestTitle) })),
    ])
  }
  const setUp: readonly ChatEvent[] = [
    opening(id),
    { event: 'system-response', data: { content: texts.chat.setup, widget: 'setup_required' } },
    doneForFree,
  ]
  if (chosen === undefined) return sends(setUp)
  const { agent, handedOver } = chosen

  const answers = new Map<string, Permission & { readonly tool: string }>()
  const handle = client.run(agent.id, {
    session: id,
    message,
    whenMissing: 'create',
    whenEmpty: 'answer',
    whenClosed: 'answer',
    approvals: 'suspend',
    maxToolRounds: agent === chat.standard ? toolRounds : toolRoundsAfterHandOver,
    toolResultCharacters,
    beforeQueue({ turn, approvals: [approval] }) {
      const answer = answerIn(message)
      if (answer === null) return 'cancel'
      if (approval) answers.set(turn, { ...answer, tool: approval.tool })
      return answer.decision
    },
  })
  const turn = await handle.accepted.catch((error: unknown) => {
    if (isKeelsonError(error) && error.code === 'MODEL_UNKNOWN') return null
    throw error
  })
  if (turn === null) return sends(setUp)
  if (handedOver) await client.sessions.update({ id, metadataEntries: { agent: agent.id } })
  const title = await nameSession(chat, id)
  const notices = (await costNotices(texts)).map(says)
  const answer = answers.get(turn.id)
  if (answer && answer.remember !== null) notices.push(...(await keep(client, answer, turn.agent, texts)).map(says))
  if (handedOver) notices.push(says(fill(texts.chat.handOver, { agent: agent.name })))
  const shown = {
    client,
    handle: handle as TurnHandle,
    session: id,
    // The terminal client would print the pieces, and then all of it once more.
    pieces: body.channel !== 'terminal',
    title,
    topic: session ? topicOf(session) : '',
    texts,
  }

  return answerChat(async (send: Send, signal) => {
    await send(opening(id))
    for (const notice of notices) await send(notice)
    if (notices.length === 0) await send({ event: 'agent', data: { agent: agent.name } })
    await showTurn(shown, send, signal)
  }, true)
}

/** What there is to say when an answer could not be made to hold for good. */
async function keep(client: Client, answer: Permission & { readonly tool: string }, agent: string, texts: Texts) {
  try {
    await remember(client, answer, agent, answer.tool)
    return []
  } catch (error) {
    if (!isKeelsonError(error) || error.kind === 'internal') throw error
    return [fill(texts.approval.notKept, { reason: error.message })]
  }
}

/** Who answers: whom the client asks for, else whom it was handed over to last. */
function choose(
  { agents, session, standard }: Chat,
  target: string | null | undefined,
): { readonly agent: Agent; readonly handedOver: boolean } | 'unknown' | undefined {
  const remembered = session?.metadata?.['agent'] ?? session?.agent
  const active = agents.find(({ id }) => id === remembered) ?? standard
  if (target == null || target === '') return active && { agent: active, handedOver: false }
  const agent = agents.find(({ id }) => id === target) ?? (systemAgents.has(target) ? standard : undefined)
  if (agent === undefined) return standard === undefined ? undefined : 'unknown'
  return { agent, handedOver: agent !== active }
}

/** The first message names its session. What it is called then, or was already. */
async function nameSession({ client, message, session }: Chat, id: string): Promise<string> {
  if (session?.title != null) return session.title
  const title = excerpt(message, longestTitle)
  if (title !== '') await client.sessions.nameUntitled({ id, title })
  return title
}
