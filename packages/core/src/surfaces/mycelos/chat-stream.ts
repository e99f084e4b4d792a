import type { TurnHandle } from '../../capabilities/loop/index.ts'
import { ShownText } from '../../capabilities/realtime/index.ts'
import type { TurnEvent } from '../../capabilities/sessions/index.ts'
import type { Client } from '../../runtime.ts'
import { permissionPrompt } from './approval-prompt.ts'
import { type ChatEvent, internal, type Send } from './chat-events.ts'
import { dollars, tokensOf } from './formats.ts'
import { topicOf } from './sessions.ts'
import { type Action, actionsIn, linkIn, widgetIn } from './suggested-actions.ts'
import type { Texts } from './texts.ts'

/** What a client sees of a turn, once it is accepted. */
export interface ShownTurn {
  readonly client: Client
  readonly handle: TurnHandle
  readonly session: string
  /** Whether the client gets the answer piece by piece, too. */
  readonly pieces: boolean
  /** What the session was called before the turn; changed ones are told of. */
  readonly title: string
  readonly topic: string
  readonly texts: Texts
}

type TurnEnd = Extract<
  TurnEvent,
  { type: 'turn.completed' | 'turn.failed' | 'turn.waiting' | 'turn.cancelled' | 'turn.interrupted' }
>

/** Sends a turn's events to its end, or until it waits. It runs on whether or not anybody listens. */
export async function showTurn(shown: ShownTurn, send: Send, signal: AbortSignal): Promise<void> {
  const text = new ShownText()
  const links: Action[] = []
  let tools = 0
  let end: TurnEnd | undefined
  for await (const event of shown.handle.events({ signal })) {
    switch (event.type) {
      case 'step.started':
        text.begin()
        break
      case 'step.restarted':
        text.restart()
        break
      case 'text.delta': {
        const delta = text.add(event.text)
        if (shown.pieces && delta !== '') await send({ event: 'text-delta', data: { delta } })
        break
      }
      case 'tool.started':
        tools += 1
        await send(progress(event.tool, 'running'))
        break
      case 'approval.requested':
        await send(progress(event.tool, 'permission_needed'))
        break
      case 'tool.finished': {
        tools += 1
        await send(progress(event.tool, 'done'))
        const widget = widgetIn(event.output)
        if (widget !== null) await send({ event: 'widget', data: { widget } })
        const link = linkIn(event.output)
        if (link !== null) links.push(link)
        break
      }
      case 'turn.completed':
      case 'turn.failed':
      case 'turn.waiting':
      case 'turn.cancelled':
      case 'turn.interrupted':
        end = event
        break
    }
  }
  if (signal.aborted) return
  for (const event of await endOf(shown, end, { links, said: text.said, tools })) await send(event)
}

const progress = (tool: string, status: 'running' | 'done' | 'permission_needed'): ChatEvent => ({
  event: 'step-progress',
  data: { step_id: tool, status },
})

interface Seen {
  readonly links: readonly Action[]
  readonly said: string
  readonly tools: number
}

async function endOf(shown: ShownTurn, end: TurnEnd | undefined, { links, said, tools }: Seen): Promise<ChatEvent[]> {
  const { client, handle } = shown
  const events: ChatEvent[] = tools > 0 ? await renamed(shown) : []
  switch (end?.type) {
    case 'turn.completed': {
      events.push({ event: 'text', data: { content: said } })
      const actions = [...links, ...actionsIn(said)]
      if (actions.length > 0) events.push({ event: 'suggested-actions', data: { actions: actions.slice(0, 5) } })
      const { cost, model, usage } = end
      events.push({ event: 'done', data: { tokens: tokensOf(usage), model, cost: dollars(cost) } })
      return events
    }
    case 'turn.failed':
      // Clients know a model that failed by the stream that just ends.
      if (end.error.code === 'MODEL_FAILED' || end.error.code === 'MODEL_UNAVAILABLE') {
        return [...events, { event: 'error', data: { message: `LLM error: ${end.error.message}` } }]
      }
      events.push({ event: 'error', data: { message: end.error.code === 'INTERNAL' ? internal : end.error.message } })
      break
    case 'turn.cancelled':
      events.push({ event: 'error', data: { message: 'The turn was cancelled.' } })
      break
    case 'turn.interrupted':
      events.push({ event: 'error', data: { message: `The turn was interrupted: ${end.error.message}` } })
      break
    default:
      events.push(...(await waiting(shown, said)))
  }
  const { id } = await handle.accepted
  const { cost, model, usage } = await client.sessions.turn({ id })
  events.push({ event: 'done', data: { tokens: tokensOf(usage), model: model ?? '', cost: dollars(cost) } })
  return events
}

/** The question that the turn waits with. */
async function waiting({ client, handle, texts }: ShownTurn, said: string): Promise<ChatEvent[]> {
  const { agent, id: turn } = await handle.accepted
  const [approval] = await client.approvals.list({ turn, status: 'pending', limit: 1, offset: 0 })
  // Clients put a text in the place of what the system said before it.
  return [
    ...(said === '' ? [] : [{ event: 'text', data: { content: said } } as const]),
    ...(approval === undefined ? [] : permissionPrompt(approval, await agentOf(client, agent), texts)),
  ]
}

/** What it is called, also when it is switched off by now. */
const agentOf = async (client: Client, id: string): Promise<{ readonly id: string; readonly name: string }> =>
  await client.agents.get({ id }).catch(() => ({ id, name: id }))

async function renamed({ client, session: id, title, topic }: ShownTurn): Promise<ChatEvent[]> {
  const session = await client.sessions.get({ id })
  const now = { title: session.title ?? '', topic: topicOf(session) }
  return now.title === title && now.topic === topic ? [] : [{ event: 'session-meta', data: { session_id: id, ...now } }]
}
