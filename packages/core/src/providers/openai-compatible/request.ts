import type {
  ChatCompletionAssistantMessageParam,
  ChatCompletionContentPart,
  ChatCompletionCreateParamsStreaming,
  ChatCompletionFunctionTool,
  ChatCompletionMessageFunctionToolCall,
  ChatCompletionMessageParam,
} from 'openai/resources/chat/completions'
import {
  ModelFailure,
  type ModelMessage,
  type ModelRequest,
  type ToolDescription,
} from '../../capabilities/models/index.ts'
import { type ImagePart, type Part, textOf } from '../../capabilities/sessions/index.ts'
import type { JsonObject } from '../../kernel/json.ts'

export interface WireOptions {
  readonly maxTokensField: 'max_tokens' | 'max_completion_tokens'
  readonly systemRole: 'system' | 'developer'
  /** How a stream is asked for its usage. */
  readonly usage: 'stream_options' | 'usage' | 'none'
  /** Field in which earlier reasoning goes back; null when it does not. */
  readonly returnReasoning: 'reasoning_content' | 'reasoning' | null
  /** False for a server that does not know `response_format: json_schema`. */
  readonly structuredOutput: boolean
  /** False for a server that does not read images from addresses, or should not. */
  readonly imageURLs: boolean
  /** Sent as `parallel_tool_calls`; undefined leaves it out. */
  readonly parallelToolCalls: boolean | undefined
  /** True for a model that refuses a temperature. */
  fixedTemperature?(model: string): boolean
  /** True for a schema that may be sent as strict. */
  isStrict?(schema: JsonObject): boolean
  readonly extraBody: JsonObject
}

/**
 * Makes the body of a request. What it made of a message or a tool is remembered by the object's identity, so that a
 * long history is converted once.
 */
export function requestWriter(
  options: WireOptions,
): (model: string, request: ModelRequest) => ChatCompletionCreateParamsStreaming {
  const messages = new WeakMap<ModelMessage, readonly ChatCompletionMessageParam[]>()
  const tools = new WeakMap<ToolDescription, ChatCompletionFunctionTool>()
  return (model, request) => {
    const written: ChatCompletionMessageParam[] = []
    if (request.instructions !== '') written.push({ role: options.systemRole, content: request.instructions })
    for (const message of request.messages) {
      let made = messages.get(message)
      if (made === undefined) {
        made = messageOf(message, options)
        messages.set(message, made)
      }
      for (const one of made) written.push(one)
    }
    const described = request.tools.map((tool) => {
      const made = tools.get(tool) ?? toolOf(tool)
      tools.set(tool, made)
      return made
    })
    const { output, temperature } = request
    return {
      ...options.extraBody,
      model,
      messages: written,
      stream: true,
      [options.maxTokensField]: request.maxOutputTokens,
      ...(options.usage === 'stream_options' ? { stream_options: { include_usage: true } } : {}),
      ...(options.usage === 'usage' ? { usage: { include: true } } : {}),
      ...(temperature === undefined || options.fixedTemperature?.(model) ? {} : { temperature }),
      // An empty list is refused by some servers.
      ...(described.length === 0 ? {} : { tools: described }),
      ...(described.length === 0 || options.parallelToolCalls === undefined
        ? {}
        : { parallel_tool_calls: options.parallelToolCalls }),
      ...(output === undefined || !options.structuredOutput
        ? {}
        : {
            response_format: {
              type: 'json_schema',
              json_schema: outputFormat(output, options.isStrict?.(output.schema) ?? false),
            },
          }),
    }
  }
}

/** The name may hold letters, digits, "_" and "-" only. */
export const outputFormat = ({ name, schema }: NonNullable<ModelRequest['output']>, strict: boolean) => ({
  name: name.replace(/[^\w-]/g, '_').slice(0, 64) || 'answer',
  schema: { ...schema },
  strict,
})

const toolOf = ({ name, description, parameters }: ToolDescription): ChatCompletionFunctionTool => ({
  type: 'function',
  function: { name, description, parameters },
})

function messageOf({ role, parts }: ModelMessage, options: WireOptions): readonly ChatCompletionMessageParam[] {
  switch (role) {
    case 'system':
      return [{ role: options.systemRole, content: textOf(parts) }]
    case 'user':
      return [
        {
          role: 'user',
          content: parts.some(({ type }) => type === 'image') ? seenOf(parts, options.imageURLs) : textOf(parts),
        },
      ]
    case 'tool':
      return parts.flatMap((part) =>
        part.type === 'tool-result'
          ? [{ role: 'tool' as const, tool_call_id: part.call, content: resultText(part) }]
          : [],
      )
    case 'assistant':
      return assistantOf(parts, options.returnReasoning)
  }
}

const seenOf = (parts: readonly Part[], imageURLs: boolean): ChatCompletionContentPart[] =>
  parts.flatMap((part): ChatCompletionContentPart[] => {
    if (part.type === 'text') return [{ type: 'text', text: part.text }]
    if (part.type === 'image' && 'url' in part && !imageURLs) {
      throw new ModelFailure('bad-request', 'this server is given images as bytes only, not by their address')
    }
    return part.type === 'image' ? [{ type: 'image_url', image_url: { url: imageURL(part) } }] : []
  })

export const imageURL = (image: ImagePart): string =>
  'url' in image ? image.url : `data:${image.mediaType};base64,${image.data}`

function assistantOf(
  parts: readonly Part[],
  returnReasoning: WireOptions['returnReasoning'],
): readonly ChatCompletionMessageParam[] {
  const text = textOf(parts)
  const calls = parts.flatMap((part): ChatCompletionMessageFunctionToolCall[] =>
    part.type === 'tool-call'
      ? [{ id: part.call, type: 'function', function: { name: part.tool, arguments: objectText(part.arguments) } }]
      : [],
  )
  // An empty message is refused by some servers, and says nothing.
  if (text === '' && calls.length === 0) return []
  const message: ChatCompletionAssistantMessageParam & { reasoning_content?: string; reasoning?: string } = {
    role: 'assistant',
    content: text === '' ? null : text,
  }
  if (calls.length > 0) message.tool_calls = calls
  if (returnReasoning !== null) {
    const reasoning = parts.flatMap((part) => (part.type === 'reasoning' ? [part.text] : [])).join('')
    if (reasoning !== '') message[returnReasoning] = reasoning
  }
  return [message]
}

/** Servers reject a history with arguments that are no JSON object, however the model came to write them. */
export function objectText(text: string): string {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? text : '{}'
  } catch {
    return '{}'
  }
}

export function resultText({ output, isError }: Extract<Part, { type: 'tool-result' }>): string {
  if (!isError) return typeof output === 'string' ? output : JSON.stringify(output)
  return typeof output === 'string' ? `Error: ${output}` : JSON.stringify({ error: output })
}
