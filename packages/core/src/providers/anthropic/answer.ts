import { ModelFailure, type ModelPart } from '../../capabilities/models/index.ts'
import type { FinishReason } from '../../capabilities/sessions/index.ts'
import { newUuid } from '../../kernel/ids.ts'
import { endOfThought } from './thought.ts'
import { usageCounter } from './usage.ts'

/** Characters of all tool arguments of one answer. A server that sends more is broken. */
const mostArguments = 8 * 2 ** 20

interface Call {
  readonly id: string
  readonly tool: string
  arguments: string
}

/** A block while it is being written. Blocks of other kinds, such as those of the server's own tools, are passed over. */
type OpenBlock =
  | { readonly type: 'text' }
  | { readonly type: 'thinking'; signature: string }
  | { readonly type: 'redacted'; readonly data: string }
  | { readonly type: 'call'; readonly call: Call }
  | { readonly type: 'other' }

/** Puts an answer together from the events of its stream. Nothing in an event is trusted to have the right type. */
export interface AnswerReader {
  /** Adds what can be shown at once to `parts`. Throws a `ModelFailure` for an event that makes no sense. */
  take(event: unknown, parts: ModelPart[]): void
  /** What is left at the end: whole tool calls and the finish. Throws when the stream was cut, or the answer refused. */
  end(): readonly ModelPart[]
}

/** `by` is the id of the provider, which its thoughts carry. */
export function answerReader(by: string): AnswerReader {
  const calls: Call[] = []
  const open = new Map<unknown, OpenBlock>()
  const counter = usageCounter()
  let reason: string | undefined
  let refusal = ''
  let begun = false
  let textLength = 0
  let argumentLength = 0

  const addArguments = (call: Call, piece: string) => {
    argumentLength += piece.length
    if (argumentLength > mostArguments) throw malformed('the arguments of the tool calls are too long')
    call.arguments += piece
  }

  const say = (text: string, parts: ModelPart[]) => {
    if (text === '') return
    textLength += text.length
    parts.push({ type: 'text', text })
  }

  const think = (text: string, parts: ModelPart[]) => {
    if (text !== '') parts.push({ type: 'reasoning', text })
  }

  const start = (index: unknown, block: Record<string, unknown>, parts: ModelPart[]) => {
    switch (block['type']) {
      case 'text':
        say(textOr(block['text']), parts)
        return open.set(index, { type: 'text' })
      case 'thinking':
        think(textOr(block['thinking']), parts)
        return open.set(index, { type: 'thinking', signature: textOr(block['signature']) })
      case 'redacted_thinking':
        return open.set(index, { type: 'redacted', data: textOr(block['data']) })
      case 'tool_use': {
        const tool = textOr(block['name'])
        if (tool === '') throw malformed('a tool call has no name')
        const call = { id: textOr(block['id']) || `call_${newUuid()}`, tool, arguments: '' }
        const input = block['input']
        // Servers that do not stream the arguments give them at once.
        if (typeof input === 'object' && input !== null && Object.keys(input).length > 0) {
          addArguments(call, JSON.stringify(input))
        }
        calls.push(call)
        return open.set(index, { type: 'call', call })
      }
      default:
        return open.set(index, { type: 'other' })
    }
  }

  const change = (block: OpenBlock | undefined, delta: Record<string, unknown>, parts: ModelPart[]) => {
    switch (delta['type']) {
      case 'text_delta':
        if (typeof delta['text'] !== 'string') throw malformed('text that is none')
        return say(delta['text'], parts)
      case 'thinking_delta':
        if (typeof delta['thinking'] !== 'string') throw malformed('a thought that is no text')
        return think(delta['thinking'], parts)
      case 'signature_delta':
        if (block?.type === 'thinking') block.signature += textOr(delta['signature'])
        return
      case 'input_json_delta':
        if (block?.type === 'call') addArguments(block.call, textOr(delta['partial_json']))
    }
  }

  const stop = (block: OpenBlock | undefined, parts: ModelPart[]) => {
    const place = { text: textLength, calls: calls.length }
    if (block?.type === 'redacted') parts.push(endOfThought(by, place, { redacted: block.data }))
    if (block?.type !== 'thinking') return
    parts.push(endOfThought(by, place, block.signature === '' ? null : { signature: block.signature }))
  }

  return {
    take(value, parts) {
      const event = record(value, 'an event')
      switch (event['type']) {
        case 'message_start':
          begun = true
          counter.take(record(event['message'], 'a message')['usage'])
          return
        case 'content_block_start':
          begun = true
          start(event['index'], record(event['content_block'], 'a block'), parts)
          return
        case 'content_block_delta':
          change(open.get(event['index']), record(event['delta'], 'a delta'), parts)
          return
        case 'content_block_stop':
          stop(open.get(event['index']), parts)
          open.delete(event['index'])
          return
        case 'message_delta': {
          const delta = record(event['delta'], 'a delta')
          if (typeof delta['stop_reason'] === 'string') reason = delta['stop_reason']
          refusal = explanationIn(delta['stop_details']) || refusal
          counter.take(event['usage'])
        }
      }
    },
    end() {
      if (reason === undefined) {
        throw begun
          ? new ModelFailure('network', 'the stream ended before the answer was finished')
          : malformed('the stream held no answer')
      }
      if (reason === 'refusal' && textLength === 0 && calls.length === 0) {
        throw new ModelFailure('content-refused', refusal || 'the model refused to answer')
      }
      const cutOff = reason === 'max_tokens' || reason === 'model_context_window_exceeded'
      const parts = calls.map(
        (call, index): ModelPart => ({
          type: 'tool-call',
          call: call.id,
          tool: call.tool,
          arguments: call.arguments.trim() || (cutOff && index === calls.length - 1 ? '{' : '{}'),
        }),
      )
      return [...parts, { type: 'finish', reason: finishReason(reason, calls.length > 0), usage: counter.total() }]
    },
  }
}

function finishReason(reason: string, called: boolean): FinishReason {
  switch (reason) {
    case 'end_turn':
    case 'stop_sequence':
    case 'tool_use':
      return called ? 'tool-calls' : 'stop'
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return 'length'
    case 'refusal':
      return 'content-filter'
    default:
      return 'other'
  }
}

function explanationIn(details: unknown): string {
  if (typeof details !== 'object' || details === null) return ''
  const { category, explanation } = details as Record<string, unknown>
  return [textOr(category), textOr(explanation)].filter((text) => text !== '').join(': ')
}

const malformed = (what: string): ModelFailure => new ModelFailure('malformed', `the server sent nonsense: ${what}`)

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw malformed(`${what} is no object`)
  return value as Record<string, unknown>
}

const textOr = (value: unknown): string => (typeof value === 'string' ? value : '')
