import type {
  EasyInputMessage,
  FunctionTool,
  ResponseCreateParamsStreaming,
  ResponseInputItem,
  ResponseInputMessageContentList,
} from 'openai/resources/responses/responses'
import type { ModelMessage, ModelRequest, ToolDescription } from '../../capabilities/models/index.ts'
import { type Part, textOf } from '../../capabilities/sessions/index.ts'
import type { JsonObject } from '../../kernel/json.ts'
import { imageURL, objectText, outputFormat, resultText } from '../openai-compatible/request.ts'
import { isReasoningModel } from './models.ts'
import { isStrict } from './strict-schema.ts'
import { isOwnThought } from './thought.ts'

export interface ReasoningOptions {
  /** How much to think. @default the model's own */
  readonly effort?: 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max'
  /** Ask for a summary of the thoughts, shown as reasoning. Some models want a verified organisation for it. */
  readonly summary?: 'auto' | 'concise' | 'detailed'
}

export interface ResponsesOptions {
  /** The provider's id: only thoughts that came from it go back. */
  readonly id: string
  readonly reasoning: ReasoningOptions | undefined
  readonly parallelToolCalls: boolean | undefined
  readonly extraBody: JsonObject
}

/** Makes the body of a request to the Responses API. Nothing is left with the vendor: the history holds all it needs. */
export function responsesWriter(
  options: ResponsesOptions,
): (model: string, request: ModelRequest) => ResponseCreateParamsStreaming {
  const items = new WeakMap<ModelMessage, { readonly model: string; readonly made: readonly ResponseInputItem[] }>()
  const tools = new WeakMap<ToolDescription, FunctionTool>()

  return (model, request) => {
    const input: ResponseInputItem[] = []
    for (const message of request.messages) {
      let known = items.get(message)
      if (known?.model !== model) {
        known = { model, made: itemsOf(message, options.id, model) }
        items.set(message, known)
      }
      for (const item of known.made) input.push(item)
    }
    const described = request.tools.map((tool) => {
      const made = tools.get(tool) ?? toolOf(tool)
      tools.set(tool, made)
      return made
    })
    const thinks = isReasoningModel(model)
    const { output, temperature } = request
    return {
      ...options.extraBody,
      model,
      input,
      stream: true,
      store: false,
      max_output_tokens: request.maxOutputTokens,
      ...(request.instructions === '' ? {} : { instructions: request.instructions }),
      ...(thinks ? { include: ['reasoning.encrypted_content'] } : {}),
      ...(thinks && options.reasoning !== undefined ? { reasoning: { ...options.reasoning } } : {}),
      // A reasoning model refuses it.
      ...(temperature === undefined || thinks ? {} : { temperature }),
      ...(described.length === 0 ? {} : { tools: described }),
      ...(described.length === 0 || options.parallelToolCalls === undefined
        ? {}
        : { parallel_tool_calls: options.parallelToolCalls }),
      ...(output === undefined
        ? {}
        : { text: { format: { type: 'json_schema', ...outputFormat(output, isStrict(output.schema)) } } }),
    }
  }
}

/** Left out, `strict` would be true, and a schema that is not would be refused. */
const toolOf = ({ name, description, parameters }: ToolDescription): FunctionTool => ({
  type: 'function',
  name,
  description,
  parameters: parameters['properties'] === undefined ? { properties: {}, ...parameters } : { ...parameters },
  strict: isStrict(parameters),
})

function itemsOf({ role, parts }: ModelMessage, id: string, model: string): readonly ResponseInputItem[] {
  switch (role) {
    case 'system':
      return [{ role: 'developer', content: textOf(parts) }]
    case 'user':
      return [{ role: 'user', content: contentOf(parts) }]
    case 'tool':
      return parts.flatMap((part): ResponseInputItem[] =>
        part.type === 'tool-result'
          ? [{ type: 'function_call_output', call_id: part.call, output: resultText(part) }]
          : [],
      )
    case 'assistant':
      return answerOf(parts, id, model)
  }
}

function contentOf(parts: readonly Part[]): EasyInputMessage['content'] {
  if (!parts.some(({ type }) => type === 'image')) return textOf(parts)
  return parts.flatMap((part): ResponseInputMessageContentList => {
    if (part.type === 'text') return [{ type: 'input_text', text: part.text }]
    return part.type === 'image' ? [{ type: 'input_image', image_url: imageURL(part), detail: 'auto' }] : []
  })
}

/** A thought must be followed by what came of it; one that led to nothing is refused. */
function answerOf(parts: readonly Part[], id: string, model: string): readonly ResponseInputItem[] {
  const text = textOf(parts)
  const calls = parts.flatMap((part): ResponseInputItem[] =>
    part.type === 'tool-call'
      ? [{ type: 'function_call', call_id: part.call, name: part.tool, arguments: objectText(part.arguments) }]
      : [],
  )
  if (text === '' && calls.length === 0) return []
  const thoughts = parts.flatMap((part): ResponseInputItem[] => {
    if (part.type !== 'reasoning' || !isOwnThought(part.state, id, model)) return []
    const { item, encrypted } = part.state
    const summary = part.text === '' ? [] : [{ type: 'summary_text' as const, text: part.text }]
    return [{ type: 'reasoning', id: item, summary, encrypted_content: encrypted }]
  })
  return [...thoughts, ...(text === '' ? [] : [{ role: 'assistant' as const, content: text }]), ...calls]
}
