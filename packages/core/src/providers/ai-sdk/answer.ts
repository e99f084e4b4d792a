import { ModelFailure, type ModelPart } from '../../capabilities/models/index.ts'
import type { FinishReason } from '../../capabilities/sessions/index.ts'
import type { StreamPart } from './model.ts'
import { type Metadata, stateOf } from './state.ts'
import { usageOf } from './usage.ts'

/** Turns the parts of a stream into those of an answer. */
export interface AnswerReader {
  /** Adds what can be shown at once to `parts`. Throws what a part says went wrong. */
  take(part: StreamPart, parts: ModelPart[]): void
  /** What is left at the end. Throws when the stream was cut. */
  end(): readonly ModelPart[]
}

interface OpenThought {
  text: string
  metadata: Metadata | undefined
}

/** `by` is the id of the provider here, `from` the AI SDK's name of the vendor. */
export function answerReader(by: string, from: string): AnswerReader {
  const calls: Extract<ModelPart, { type: 'tool-call' }>[] = []
  const callMetadata: Record<string, Metadata> = {}
  const thoughts = new Map<string, OpenThought>()
  const texts = new Map<string, Metadata | undefined>()
  let finish: Extract<StreamPart, { type: 'finish' }> | undefined
  let textLength = 0
  /** What the runtime takes for the text of the next thought that ends. */
  let thinking = ''
  let any = false

  const open = (id: string): OpenThought => {
    const thought = thoughts.get(id) ?? { text: '', metadata: undefined }
    thoughts.set(id, thought)
    return thought
  }

  const close = (id: string, thought: OpenThought): ModelPart => {
    thoughts.delete(id)
    const { text, metadata } = thought
    const state = stateOf({
      by,
      from,
      text: textLength,
      calls: calls.length,
      ...(metadata === undefined ? {} : { metadata }),
      ...(text === thinking ? {} : { thought: text }),
    })
    thinking = ''
    return { type: 'reasoning', text: '', state }
  }

  const reason = (part: { id: string; providerMetadata?: unknown }, delta: string, parts: ModelPart[]): OpenThought => {
    const thought = open(part.id)
    thought.metadata = (part.providerMetadata as Metadata | undefined) ?? thought.metadata
    if (delta !== '') {
      thought.text += delta
      thinking += delta
      parts.push({ type: 'reasoning', text: delta })
    }
    return thought
  }

  return {
    take(part, parts) {
      switch (part.type) {
        case 'text-start':
        case 'text-end':
          texts.set(part.id, (part.providerMetadata as Metadata | undefined) ?? texts.get(part.id))
          return
        case 'text-delta':
          if (typeof part.delta !== 'string') throw malformed('text that is none')
          if (part.delta === '') return
          any = true
          textLength += part.delta.length
          parts.push({ type: 'text', text: part.delta })
          return
        case 'reasoning-start':
          reason(part, '', parts)
          return
        case 'reasoning-delta':
          any = true
          reason(part, part.delta, parts)
          return
        case 'reasoning-end':
          parts.push(close(part.id, reason(part, '', parts)))
          return
        case 'tool-call': {
          // The vendor runs its own tools itself.
          if (part.providerExecuted) return
          any = true
          const { toolCallId: call, toolName: tool, input } = part
          if (typeof call !== 'string' || typeof tool !== 'string' || tool === '')
            throw malformed('a call without a name')
          calls.push({ type: 'tool-call', call, tool, arguments: (typeof input === 'string' && input.trim()) || '{}' })
          if (part.providerMetadata !== undefined) callMetadata[call] = part.providerMetadata as Metadata
          return
        }
        case 'finish':
          finish = part
          return
        case 'error':
          throw part.error
      }
    },

    end() {
      const reason = finish && reasonOf(finish.finishReason)
      if (finish === undefined || reason === null || reason === undefined) {
        throw any
          ? new ModelFailure('network', 'the stream ended before the answer was finished')
          : malformed('a stream without an answer')
      }
      if (reason === 'error') throw new ModelFailure('server', 'the server failed in the middle of its answer')
      const left = [...thoughts].map(([id, thought]) => close(id, thought))
      const finished = reason === 'stop' && calls.length > 0 ? 'tool-calls' : reason
      return [...left, ...rest(), ...calls, { type: 'finish', reason: finished, usage: usageOf(finish.usage) }]
    },
  }

  /** What is wanted back with text and calls travels with a thought that has no words. */
  function rest(): readonly ModelPart[] {
    // Texts are kept as one: of several, none can be told apart any more.
    const [text] = texts.size === 1 ? texts.values() : []
    if (text === undefined && Object.keys(callMetadata).length === 0) return []
    const kept = { ...(text === undefined ? {} : { text }), calls: callMetadata }
    const state = stateOf({ by, from, text: textLength, calls: calls.length, rest: kept })
    return [{ type: 'reasoning', text: '', state }]
  }
}

/** Null when the vendor gave none, because its stream was cut. */
function reasonOf(value: unknown): FinishReason | 'error' | null {
  const { unified, raw } =
    typeof value === 'object' && value !== null
      ? (value as { unified?: unknown; raw?: unknown })
      : { unified: value, raw: value }
  switch (unified) {
    case 'stop':
    case 'length':
    case 'content-filter':
    case 'tool-calls':
    case 'error':
      return unified
    case 'interrupted':
    case 'unknown':
      return null
    case 'other':
      return raw === undefined ? null : 'other'
    default:
      return 'other'
  }
}

const malformed = (what: string): ModelFailure => new ModelFailure('malformed', `the model gave nonsense: ${what}`)
