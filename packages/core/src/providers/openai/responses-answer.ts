import { ModelFailure, type ModelPart, noUsage } from '../../capabilities/models/index.ts'
import type { FinishReason, Usage } from '../../capabilities/sessions/index.ts'
import { malformed, mostArguments, numberOr, record, textOr } from '../openai-compatible/answer.ts'
import type { AnswerReader } from '../openai-compatible/connection.ts'
import { classOf } from '../openai-compatible/failure.ts'
import { responsesUsage } from '../openai-compatible/usage.ts'
import type { ThoughtState } from './thought.ts'

/** Reads the events of the Responses API. Events it does not know are passed over: new ones come often. */
export function responsesReader(provider: string, model: string): AnswerReader {
  /** Items whose text has come piece by piece; the whole at their end is then no news. */
  const streamed = new Set<number>()
  let usage: Usage = noUsage
  let reason: FinishReason | undefined
  let any = false
  let called = false
  let refused = false
  let argumentLength = 0

  const say = (event: Record<string, unknown>, type: 'text' | 'reasoning', parts: ModelPart[]): void => {
    const { delta } = event
    if (typeof delta !== 'string') throw malformed('a piece of text is no text')
    streamed.add(numberOr(event['output_index']) ?? -1)
    if (delta !== '') parts.push({ type, text: delta })
  }

  const takeItem = (event: Record<string, unknown>, parts: ModelPart[]): void => {
    const item = record(event['item'], 'an item')
    const isNews = !streamed.has(numberOr(event['output_index']) ?? -1)
    switch (item['type']) {
      case 'message':
        if (isNews) for (const text of textsIn(item['content'])) parts.push({ type: 'text', text })
        return
      case 'reasoning': {
        const text = isNews ? textsIn(item['summary']).join('\n\n') : ''
        const state = stateOf(item, provider, model)
        if (state !== undefined) parts.push({ type: 'reasoning', text, state })
        else if (text !== '') parts.push({ type: 'reasoning', text })
        return
      }
      case 'function_call': {
        const [tool, args] = [textOr(item['name']), textOr(item['arguments'])]
        if (tool === '') throw malformed('a tool call has no name')
        argumentLength += args.length
        if (argumentLength > mostArguments) throw malformed('the arguments of the tool calls are too long')
        called = true
        parts.push({ type: 'tool-call', call: textOr(item['call_id']), tool, arguments: args.trim() || '{}' })
      }
    }
  }

  const finish = (event: Record<string, unknown>): void => {
    const response = record(event['response'], 'the response')
    const { error, incomplete_details: details, status } = response
    if (event['type'] === 'response.failed' || (typeof error === 'object' && error !== null)) throw failureIn(error)
    usage = responsesUsage(response['usage'])
    const ended = typeof details === 'object' && details !== null ? record(details, 'a reason')['reason'] : undefined
    reason = reasonOf(event['type'] === 'response.incomplete' ? 'incomplete' : status, ended, called, refused)
  }

  return {
    take(event, parts) {
      const given = record(event, 'an event')
      any = true
      switch (given['type']) {
        case 'response.output_text.delta':
          return say(given, 'text', parts)
        case 'response.refusal.delta':
          refused = true
          return say(given, 'text', parts)
        case 'response.reasoning_summary_text.delta':
        case 'response.reasoning_text.delta':
          return say(given, 'reasoning', parts)
        case 'response.reasoning_summary_part.added':
          // A summary has parts like paragraphs.
          if ((numberOr(given['summary_index']) ?? 0) > 0) parts.push({ type: 'reasoning', text: '\n\n' })
          return
        case 'response.output_item.done':
          return takeItem(given, parts)
        case 'response.completed':
        case 'response.incomplete':
        case 'response.failed':
        case 'response.cancelled':
          return finish(given)
        case 'error':
          throw failureIn(given)
      }
    },
    end() {
      if (reason === undefined) {
        throw any
          ? new ModelFailure('network', 'the stream ended before the answer was finished')
          : malformed('the stream held no answer')
      }
      return [{ type: 'finish', reason, usage }]
    },
  }
}

function reasonOf(status: unknown, ended: unknown, called: boolean, refused: boolean): FinishReason {
  if (status === 'incomplete') {
    return ended === 'content_filter' ? 'content-filter' : ended === 'max_output_tokens' ? 'length' : 'other'
  }
  if (status !== 'completed') return 'other'
  return called ? 'tool-calls' : refused ? 'content-filter' : 'stop'
}

function stateOf(item: Record<string, unknown>, provider: string, model: string): ThoughtState | undefined {
  const [id, encrypted] = [textOr(item['id']), textOr(item['encrypted_content'])]
  return id === '' || encrypted === '' ? undefined : { provider, model, item: id, encrypted }
}

function textsIn(list: unknown): readonly string[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((entry) => {
    const { refusal, text } = record(entry, 'a piece of content')
    const said = textOr(text) || textOr(refusal)
    return said === '' ? [] : [said]
  })
}

function failureIn(error: unknown): ModelFailure {
  const { code, message, type } = typeof error === 'object' && error !== null ? (error as Record<string, unknown>) : {}
  const said = textOr(message) || 'the server said that the answer failed, and not why'
  return new ModelFailure(classOf(undefined, [code, type], said), said)
}
