import type {
  ContentBlockParam,
  ImageBlockParam,
  TextBlockParam,
  ToolResultBlockParam,
  ToolUseBlockParam,
} from '@anthropic-ai/sdk/resources/messages'
import type { ModelMessage } from '../../capabilities/models/index.ts'
import type { ImagePart, Part } from '../../capabilities/sessions/index.ts'
import { inOrder, objectOf, type ToolCall } from '../in-order.ts'
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

function answerBlocks(parts: readonly Part[], by: string, withThoughts: boolean): ContentBlockParam[] {
  const blocks = inOrder(parts, (part) => (withThoughts ? blockOfThought(by, part) : null)).flatMap(
    (said): ContentBlockParam[] => {
      if (said.type === 'text') return textBlocks(said.text)
      return [said.type === 'call' ? callBlock(said.call) : said.thought]
    },
  )
  // An answer that was cut off after a thought: a thought may not come last.
  while (isThought(blocks.at(-1))) blocks.pop()
  return blocks
}

const isThought = (block: ContentBlockParam | undefined): boolean =>
  block?.type === 'thinking' || block?.type === 'redacted_thinking'

const callBlock = (call: ToolCall): ToolUseBlockParam => ({
  type: 'tool_use',
  id: wireId(call.call),
  name: call.tool,
  input: objectOf(call.arguments),
})

/** Ids that other providers gave out may hold characters that this one refuses. Different ids stay different. */
const wireId = (id: string): string => id.replace(/[^a-zA-Z0-9_-]/g, (sign) => `_${sign.charCodeAt(0).toString(16)}_`)
