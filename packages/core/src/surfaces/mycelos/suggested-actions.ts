import type { Json, JsonObject } from '../../kernel/json.ts'
import type { ChatEvent } from './chat-events.ts'

export type Action = Extract<ChatEvent, { event: 'suggested-actions' }>['data']['actions'][number]

const mostActions = 5
const longestLabel = 37
const names = 'agent|config|connector|credential|memory|model|mount|reload|restart|schedule|workflow'
const quoted = new RegExp(`\`(/(?:${names})(?: [^\`\\n]{1,200})?)\``, 'g')
const alone = new RegExp(`^[ \\t]*(/(?:${names})(?: [^\\n]{1,200})?)$`, 'gm')

/** The slash commands that an answer mentions, each once: between backticks, or on a line of their own. */
export function actionsIn(answer: string): Action[] {
  const found = [...answer.matchAll(quoted), ...answer.matchAll(alone)]
    .sort((one, other) => one.index - other.index)
    .map(([, command = '']) => command.trim())
  return [...new Set(found)].slice(0, mostActions).map((command) => ({ label: labelOf(command), command }))
}

const labelOf = (text: string): string => {
  const characters = [...text]
  return characters.length > longestLabel ? `${characters.slice(0, longestLabel).join('')}...` : text
}

/** The link that a tool offers beside its result, as `{ link: { label, url } }`; null for anything else. */
export function linkIn(output: Json): Action | null {
  const link = fieldOf(output, 'link')
  const [label, url] = [fieldOf(link, 'label'), fieldOf(link, 'url')]
  if (typeof label !== 'string' || typeof url !== 'string' || !/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
    return null
  }
  return { label: labelOf(label), kind: 'link', url }
}

/** Clients show these as the server's own questions: a tool that showed one could ask for something else. */
const reserved: ReadonlySet<string> = new Set(['permission_prompt', 'action_confirm'])

/** The block that a tool shows beside its result, as `{ widget: { type, ... } }`; null for anything else. */
export function widgetIn(output: Json): (JsonObject & { readonly type: string }) | null {
  const widget = fieldOf(output, 'widget')
  const type = fieldOf(widget, 'type')
  if (typeof type !== 'string' || reserved.has(type)) return null
  return { ...(widget as JsonObject), type }
}

const fieldOf = (value: Json | undefined, name: string): Json | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, Json>>)[name]
    : undefined
