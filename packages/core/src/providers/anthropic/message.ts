import type {
  ContentBlockParam,
  ImageBlockParam,
  TextBlockParam,
  ToolResultBlockParam,
  ToolUseBlockParam,
} from '@anthropic-ai/sdk/resources/messages'
import type { ModelMessage } from '../../capabilities/models/index.ts'
import type { ImagePart, Part } from '../../capabilities/sessions/index.ts'
import { blockOfThought } from './thought.ts'

/** A message on the wire, always with a list of blocks. */
export interface WireMessage {
  readonly role: 'user' | 'assistant'
  readonly content: ContentBlockParam[]
}

/** Null for a message that has nothing to say to this provider. `withThoughts` is false for one whose thoughts it refused. */
export function messageOf({ role, parts }: ModelMessage, by: string, withThoughts: boolean): WireMessage | null {
  const content = role === 'assistant' ? answerBlocks(parts, by, withThoughts) : inputBlocks(parts)
  return content.length === 0 ? null : { role: role === 'assistant' ? 'assistant' : 'user', content }
}

/** Blank text is refused. */
const textBlocks = (text: string): TextBlockParam[] => (text.trim() === '' ? [] : [{ type: 'text', text }])

const imageBlock = (part: ImagePart): ImageBlockParam => ({
  type: 'image',
  source:
    'url' in part
      ? { type: 'url', url: part.url }
      : { type: 'base64', media_type: part.mediaType as 'image/png', data: part.data },
})

function inputBlocks(parts: readonly Part[]): ContentBlockParam[] {
  return parts.flatMap((part): ContentBlockParam[] => {
    switch (part.type) {
      case 'text':
        return textBlocks(part.text)
      case 'image':
        return [imageBlock(part)]
      case 'tool-result':
        return [resultBlock(part)]
      default:
        return []
    }
  })
}

function resultBlock({ call, output, isError }: Extract<Part, { type: 'tool-result' }>): ToolResultBlockParam {
  const text = typeof output === 'string' ? output : JSON.stringify(output)
  const result = { type: 'tool_result', tool_use_id: wireId(call) } as const
  // An error without words is refused.
  if (isError) return { ...result, content: text.trim() === '' ? 'failed' : text, is_error: true }
  return { ...result, content: text }
}

/**
 * What the assistant said, each thought back in its place: the vendor refuses an answer whose thoughts have been moved.
 * Thoughts of other providers are left out.
 */
function answerBlocks(parts: readonly Part[], by: string, withThoughts: boolean): ContentBlockParam[] {
  let text = ''
  const calls: ToolUseBlockParam[] = []
  const thoughts: NonNullable<ReturnType<typeof blockOfThought>>[] = []
  for (const part of parts) {
    if (part.type === 'text') text += part.text
    else if (part.type === 'tool-call') calls.push(callBlock(part))
    else if (part.type === 'reasoning' && withThoughts) {
      const thought = blockOfThought(by, part)
      if (thought) thoughts.push(thought)
    }
  }
  const blocks: ContentBlockParam[] = []
  let saidText = 0
  let saidCalls = 0
  // All text stands before the calls that came after it; a thought says how much of both stood before itself.
  const sayUpTo = (textEnd: number, callEnd: number) => {
    if (textEnd > saidText) blocks.push(...textBlocks(text.slice(saidText, textEnd)))
    saidText = Math.max(saidText, textEnd)
    for (; saidCalls < Math.min(callEnd, calls.length); saidCalls += 1)
      blocks.push(calls[saidCalls] as ToolUseBlockParam)
  }
  for (const { block, place } of thoughts) {
    sayUpTo(place.text, place.calls)
    blocks.push(block)
  }
  const before = blocks.length
  sayUpTo(text.length, calls.length)
  // An answer that was cut off after a thought: a thought may not come last.
  if (blocks.length === before) while (isThought(blocks.at(-1))) blocks.pop()
  return blocks
}

const isThought = (block: ContentBlockParam | undefined): boolean =>
  block?.type === 'thinking' || block?.type === 'redacted_thinking'

const callBlock = (part: Extract<Part, { type: 'tool-call' }>): ToolUseBlockParam => ({
  type: 'tool_use',
  id: wireId(part.call),
  name: part.tool,
  input: objectOf(part.arguments),
})

/** Ids that other providers gave out may hold characters that this one refuses. Different ids stay different. */
const wireId = (id: string): string => id.replace(/[^a-zA-Z0-9_-]/g, (sign) => `_${sign.charCodeAt(0).toString(16)}_`)

/** The vendor takes objects only, however the model came to write its arguments. */
function objectOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
  } catch {
    return {}
  }
}
