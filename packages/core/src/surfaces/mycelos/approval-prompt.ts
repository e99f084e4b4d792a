import type { Agent } from '../../capabilities/agents/index.ts'
import type { Approval } from '../../capabilities/approvals/index.ts'
import type { ChatEvent } from './chat-events.ts'
import { choices } from './decision-words.ts'
import { excerpt, rowTime } from './formats.ts'
import { fill, type Texts } from './texts.ts'

const longestTarget = 200
const names = Object.keys(choices) as (keyof typeof choices)[]

/** The question for a person, as text and as a block; the next message of the session answers it. */
export function permissionPrompt(
  approval: Approval,
  agent: Pick<Agent, 'id' | 'name'>,
  { approval: texts }: Texts,
): ChatEvent[] {
  const target = excerpt(visible(approval.arguments), longestTarget)
  const options = names.map((name) => ({ id: choices[name].id, label: fill(texts[name], { agent: agent.name }) }))
  const lines = [
    `**${texts.title}**`,
    '',
    `[${agent.name}] \`${approval.tool}\``,
    // Backticks would end the quotation.
    `\`${target.replaceAll('`', '´')}\``,
    ...(approval.reason === null ? [] : [`_${approval.reason}_`]),
    '',
    ...options.map(({ id, label }) => `${id}. ${label}`),
    '',
    texts.choose,
  ]
  const widget = {
    type: 'permission_prompt',
    tool: approval.tool,
    action: 'execute',
    reason: approval.reason ?? '',
    target,
    agent: agent.id,
    permission_id: approval.id,
    arguments: approval.arguments,
    options,
    expires_at: rowTime(approval.expiresAt),
  }
  return [
    { event: 'system-response', data: { content: lines.join('\n') } },
    { event: 'widget', data: { widget } },
  ]
}

/** Signs that turn writing round or hide some of it are spelled out: who decides must see what there is. */
const visible = (text: string): string =>
  text.replace(/\p{Cf}/gu, (sign) => `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`)
