import { z } from 'zod'
import { inspectMessage, type Threat } from '../../capabilities/guards/index.ts'
import type { TurnHandle } from '../../capabilities/loop/index.ts'
import type { Session, Turn } from '../../capabilities/sessions/index.ts'
import type { Authority } from '../../capabilities/tools/index.ts'
import type { HttpRequest } from '../../http/message.ts'
import { isOperator, type Principal } from '../../kernel/context.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { Client } from '../../runtime.ts'
import { currentAgent } from './current-agent.ts'
import { checkText, roboticusErrors } from './errors.ts'
import type { Settings } from './options.ts'

const longestContent = 32_768
const longestScopeName = 256
const duplicateWithinMs = 120_000

export const messageBody = z.object({
  content: z.string(),
  session_id: z.string().nullish(),
  /** @default web */
  channel: z.string().nullish(),
  sender_id: z.string().nullish(),
  peer_id: z.string().nullish(),
  group_id: z.string().nullish(),
  is_group: z.boolean().nullish(),
})

export type MessageBody = z.infer<typeof messageBody>

export interface AcceptedMessage {
  readonly handle: TurnHandle
  readonly turn: Turn
  readonly session: Session
  readonly threat: Threat
  readonly authority: Authority
  /** What the caller sent, as the session keeps it. */
  readonly text: string
}

interface Asked {
  readonly client: Client
  readonly request: HttpRequest
  readonly principal: Principal | null
  readonly body: MessageBody
  readonly settings: Settings
  /** Left out, a turn that no model answers fails. */
  readonly failureReply?: string
}

/** The stages before the model: validation, injection check, session, duplicates. The turn runs when it resolves. */
export async function acceptMessage({
  client,
  principal,
  body,
  request,
  settings,
  failureReply,
}: Asked): Promise<AcceptedMessage> {
  const content = checkContent(body.content)
  const scope = scopeOf(body, settings.scopeMode)
  const threat = inspectMessage(content)
  if (threat.verdict === 'block') {
    throw roboticusErrors.MESSAGE_BLOCKED({ details: { threatScore: threat.score, kinds: threat.kinds } })
  }
  const operator = principal !== null && isOperator(principal)
  const authority = threat.verdict === 'caution' || !operator ? 'external' : settings.authority
  const agent = await currentAgent(client, settings)
  const handle = client.run(agent.id, {
    ...(body.session_id == null ? { scope } : { session: body.session_id }),
    message: [
      { type: 'text', text: content, ...(threat.verdict === 'caution' ? { modelText: threat.sanitized } : {}) },
    ],
    sameAgent: true,
    whenClosed: 'answer',
    refuseDuplicateWithinMs: duplicateWithinMs,
    approvals: 'defer',
    authority,
    turnMs: settings.turnMs,
    ...(failureReply === undefined ? {} : { failureReply }),
    ...keyOf(request),
  })
  const turn = await handle.accepted
  return { handle, turn, session: await client.sessions.get({ id: turn.session }), threat, authority, text: content }
}

/** A client that repeats a request under its `Idempotency-Key` gets the same turn. */
function keyOf(request: HttpRequest): { idempotencyKey?: string } {
  const key = request.header('idempotency-key')
  if (key === undefined) return {}
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw roboticusErrors.VALUE_INVALID({ message: 'Idempotency-Key must have 1 to 255 printable ASCII characters' })
  }
  return { idempotencyKey: key }
}

function checkContent(content: string): string {
  const bytes = utf8Length(content)
  if (bytes > longestContent) {
    throw roboticusErrors.CONTENT_TOO_LONG({ message: `content must have at most ${longestContent} bytes` })
  }
  return checkText('content', content, longestContent)
}

/** Whose session a message without one belongs to. Throws `VALUE_INVALID` when an id that the mode needs is missing. */
export function scopeOf(body: MessageBody, mode: Settings['scopeMode']): string {
  if (mode === 'agent') return 'agent'
  const channel = checkText('channel', body.channel ?? 'web', longestScopeName).toLowerCase()
  // Otherwise two channels could be made to share a scope.
  if (channel.includes(':')) throw roboticusErrors.VALUE_INVALID({ message: 'channel must not contain a colon' })
  if (mode === 'group' && (body.is_group ?? body.group_id != null)) {
    return `group:${channel}:${needId('group_id', body.group_id)}`
  }
  return `peer:${channel}:${needId('peer_id or sender_id', body.peer_id ?? body.sender_id)}`
}

const needId = (name: string, value: string | null | undefined): string =>
  checkText(name, value ?? '', longestScopeName)
