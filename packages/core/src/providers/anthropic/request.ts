import type {
  CacheControlEphemeral,
  ContentBlockParam,
  MessageCreateParamsStreaming,
  TextBlockParam,
  ThinkingConfigParam,
  Tool,
} from '@anthropic-ai/sdk/resources/messages'
import type { ModelMessage, ModelRequest, ToolDescription } from '../../capabilities/models/index.ts'
import { textOf } from '../../capabilities/sessions/index.ts'
import type { JsonObject } from '../../kernel/json.ts'
import { messageOf, type WireMessage } from './message.ts'
import { traitsOf } from './models.ts'

/**
 * Whether and how a model thinks before it answers: as it sees fit, with a budget of tokens, only between its tool calls,
 * or not at all. A model that knows no budget thinks as it sees fit, one that only knows budgets does not think without.
 */
export type AnthropicThinking = 'adaptive' | 'between-tools' | 'off' | { readonly budgetTokens: number }

export interface WireOptions {
  /** Id of the provider: thoughts of others are not sent. */
  readonly by: string
  readonly thinking: AnthropicThinking | undefined
  readonly showThinking: boolean | undefined
  readonly effort: 'low' | 'medium' | 'high' | 'xhigh' | 'max' | undefined
  readonly cache: 'off' | '5m' | '1h'
  readonly extraBody: JsonObject
}

export interface RequestWriter {
  write(model: string, request: ModelRequest): MessageCreateParamsStreaming
  /**
   * Takes the thoughts out of what these messages say from now on. False when none of them held any: sending them again
   * would not help.
   */
  forgetThoughts(messages: readonly ModelMessage[]): boolean
}

/** The vendor's own way to make a schema one that it takes. */
export type SchemaFitter = (schema: JsonObject) => JsonObject

/**
 * Makes the body of a request; without a temperature, which the vendor no longer takes. What it made of a message or of a list of tools is remembered by the object's identity, so
 * that a long history is converted once, and reads the same every time.
 */
export function requestWriter(options: WireOptions, fitSchema: SchemaFitter): RequestWriter {
  const messages = new WeakMap<ModelMessage, WireMessage | null>()
  const tools = new WeakMap<readonly ToolDescription[], Tool[]>()
  const schemas = new WeakMap<JsonObject, JsonObject>()
  const refused = new WeakSet<ModelMessage>()
  const marker = markerOf(options.cache)

  const wireOf = (message: ModelMessage): WireMessage | null => {
    let made = messages.get(message)
    if (made === undefined) {
      made = messageOf(message, options.by, !refused.has(message))
      messages.set(message, made)
    }
    return made
  }

  const toolsOf = (described: readonly ToolDescription[]): Tool[] => {
    let made = tools.get(described)
    if (!made) {
      made = described.map(toolOf)
      const last = made.at(-1)
      if (marker && last) last.cache_control = marker
      tools.set(described, made)
    }
    return made
  }

  const formatOf = (schema: JsonObject): JsonObject => {
    let fitted = schemas.get(schema)
    if (!fitted) {
      fitted = fitSchema(schema)
      schemas.set(schema, fitted)
    }
    return fitted
  }

  return {
    write(model, request) {
      const written: WireMessage[] = []
      const system: TextBlockParam[] = []
      if (request.instructions.trim() !== '') system.push({ type: 'text', text: request.instructions })
      const [first] = system
      if (marker && first) first.cache_control = marker
      for (const message of request.messages) {
        if (message.role === 'system') {
          const text = textOf(message.parts)
          if (text.trim() !== '') system.push({ type: 'text', text })
          continue
        }
        const made = wireOf(message)
        if (made) written.push(made)
      }
      const thinking = thinkingOf(model, request, options, written)
      const format = request.output && { type: 'json_schema' as const, schema: formatOf(request.output.schema) }
      const output = { ...(options.effort ? { effort: options.effort } : {}), ...(format ? { format } : {}) }
      return {
        ...options.extraBody,
        model,
        max_tokens: request.maxOutputTokens,
        messages: marker ? marked(written, marker) : written,
        stream: true,
        ...(system.length === 0 ? {} : { system }),
        ...(request.tools.length === 0 ? {} : { tools: toolsOf(request.tools) }),
        ...(thinking ? { thinking } : {}),
        ...(Object.keys(output).length === 0 ? {} : { output_config: output }),
      }
    },

    forgetThoughts(sent) {
      const held = sent.filter((message) => wireOf(message)?.content.some(isThought))
      for (const message of held) {
        refused.add(message)
        messages.delete(message)
      }
      return held.length > 0
    },
  }
}

function markerOf(cache: WireOptions['cache']): CacheControlEphemeral | undefined {
  if (cache === 'off') return undefined
  return cache === '1h' ? { type: 'ephemeral', ttl: '1h' } : { type: 'ephemeral' }
}

const isThought = ({ type }: ContentBlockParam): boolean => type === 'thinking' || type === 'redacted_thinking'

/** The vendor wants an object at the top of a schema, and wants it said. */
const toolOf = ({ name, description, parameters }: ToolDescription): Tool => ({
  name,
  description,
  input_schema: { type: 'object', ...parameters } as Tool['input_schema'],
})

/**
 * Marks the end of the history, and the end that it had when the last answer was made. The server looks for an entry at
 * most 20 blocks before a marker, and one step with many calls is longer than that: the second marker stands exactly
 * where the request before wrote its entry. With those on tools and instructions they are the four that are allowed.
 */
function marked(messages: WireMessage[], marker: CacheControlEphemeral): WireMessage[] {
  const lastAnswer = messages.findLastIndex(({ role }) => role === 'assistant')
  const ends = new Set([messages.length - 1, lastAnswer - 1])
  return messages.map((message, index) => {
    const last = message.content.at(-1)
    if (!ends.has(index) || message.role !== 'user' || last === undefined) return message
    return { ...message, content: [...message.content.slice(0, -1), { ...last, cache_control: marker } as typeof last] }
  })
}

const leastBudget = 1_024

function thinkingOf(
  model: string,
  { maxOutputTokens }: ModelRequest,
  { thinking, showThinking }: WireOptions,
  messages: readonly WireMessage[],
): ThinkingConfigParam | undefined {
  const traits = traitsOf(model)
  if (thinking === undefined) return undefined
  if (thinking === 'off') return traits.off ? { type: traits.off } : undefined
  if (thinking === 'between-tools') return { type: 'between_tools' }
  const display = showThinking === undefined ? {} : ({ display: showThinking ? 'summarized' : 'omitted' } as const)
  if (thinking === 'adaptive' || !traits.budget) return traits.adaptive ? { type: 'adaptive', ...display } : undefined
  const budget = Math.min(thinking.budgetTokens, maxOutputTokens - 1)
  if (budget < leastBudget || continuesForeignAnswer(messages)) return undefined
  return { type: 'enabled', budget_tokens: budget, ...display }
}

/**
 * True when the results of calls are to be answered that this model did not make while it thought: with a budget, the
 * vendor wants such an answer to begin with a thought.
 */
function continuesForeignAnswer(messages: readonly WireMessage[]): boolean {
  for (const { role, content } of messages.toReversed()) {
    if (role === 'user') {
      if (!content.some(({ type }) => type === 'tool_result')) return false
    } else if (content[0] && !isThought(content[0])) return true
  }
  return false
}
