import { ModelFailure, type ModelPart, noUsage } from '../../capabilities/models/index.ts'
import type { FinishReason, Usage } from '../../capabilities/sessions/index.ts'
import { newUuid } from '../../kernel/ids.ts'
import type { AnswerReader } from './connection.ts'
import { usageOf } from './usage.ts'

/** Characters of all tool arguments of one answer. A server that sends more is broken. */
export const mostArguments = 8 * 2 ** 20

interface PendingCall {
  readonly index: number | undefined
  /** As the server said it; empty when it said none. */
  readonly id: string
  tool: string
  arguments: string
}

/** `reasoningFields`: where thoughts may be; the first that holds text counts. */
export function answerReader(reasoningFields: readonly string[] = ['reasoning_content', 'reasoning']): AnswerReader {
  const calls: PendingCall[] = []
  let usage: Usage = noUsage
  let reason: string | undefined
  let any = false
  let argumentLength = 0
  let refused = false

  const takeCall = (entry: unknown): void => {
    const { index, id, function: called } = record(entry, 'a tool call')
    const { name, arguments: args } = called === undefined ? {} : record(called, 'the function of a tool call')
    const found = pendingFor(calls, numberOr(index), textOr(id), textOr(name))
    const call = found ?? { index: numberOr(index), id: textOr(id), tool: '', arguments: '' }
    if (!found) calls.push(call)
    if (call.tool === '') call.tool = textOr(name)
    const piece = typeof args === 'object' && args !== null ? JSON.stringify(args) : textOr(args)
    argumentLength += piece.length
    if (argumentLength > mostArguments) throw malformed('the arguments of the tool calls are too long')
    call.arguments += piece
  }

  return {
    take(chunk, parts) {
      const { choices, usage: counted } = record(chunk, 'a chunk')
      if (counted !== undefined && counted !== null) usage = usageOf(counted)
      if (!Array.isArray(choices) || choices.length === 0) return
      const choice = record(choices[0], 'a choice')
      any = true
      if (typeof choice['finish_reason'] === 'string' && choice['finish_reason'] !== '')
        reason = choice['finish_reason']
      if (choice['delta'] === undefined || choice['delta'] === null) return
      const delta = record(choice['delta'], 'a delta')
      for (const field of reasoningFields) {
        const thought = textOr(delta[field])
        if (thought === '') continue
        parts.push({ type: 'reasoning', text: thought })
        break
      }
      if (delta['refusal']) refused = true
      const content = delta['content'] ?? delta['refusal']
      if (content !== undefined && content !== null && typeof content !== 'string')
        throw malformed('content is no text')
      if (content) parts.push({ type: 'text', text: content })
      const made = delta['tool_calls']
      if (Array.isArray(made)) for (const entry of made) takeCall(entry)
    },
    end() {
      if (reason === undefined) {
        throw any
          ? new ModelFailure('network', 'the stream ended before the answer was finished')
          : malformed('the stream held no answer')
      }
      const used = new Set<string>()
      const parts = calls.map((call): ModelPart => {
        if (call.tool === '') throw malformed('a tool call has no name')
        // Without an id of its own, a call and its result could not be told from another's.
        const id = call.id === '' || used.has(call.id) ? `call_${newUuid()}` : call.id
        used.add(id)
        return { type: 'tool-call', call: id, tool: call.tool, arguments: call.arguments.trim() || '{}' }
      })
      return [...parts, { type: 'finish', reason: finishReason(reason, calls.length > 0, refused), usage }]
    },
  }
}

/** The call that a fragment continues; undefined when it begins a new one. */
function pendingFor(
  calls: readonly PendingCall[],
  index: number | undefined,
  id: string,
  name: string,
): PendingCall | undefined {
  if (index !== undefined) {
    const same = calls.findLast((call) => call.index === index)
    // Some servers number every call 0 and tell them apart by id.
    const another = same !== undefined && id !== '' && same.id !== '' && id !== same.id && name !== ''
    return another ? undefined : same
  }
  const last = calls.at(-1)
  if (id !== '') return calls.find((call) => call.id === id) ?? (name === '' ? last : undefined)
  if (name === '') return last
  // A repeated name continues a call only while its arguments are not whole.
  return last && last.id === '' && last.tool === name && !isJson(last.arguments) ? last : undefined
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** What servers say at the end, each in the words of the vendor behind it. */
const finishReasons: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  eos: 'stop',
  eos_token: 'stop',
  end_turn: 'stop',
  stop_sequence: 'stop',
  tool_calls: 'stop',
  tool_use: 'stop',
  function_call: 'stop',
  length: 'length',
  max_tokens: 'length',
  content_filter: 'content-filter',
  refusal: 'content-filter',
  safety: 'content-filter',
}

function finishReason(said: string, called: boolean, refused: boolean): FinishReason {
  const key = said.toLowerCase()
  const reason = Object.hasOwn(finishReasons, key) ? (finishReasons[key] ?? 'other') : 'other'
  if (reason !== 'stop') return reason
  return called ? 'tool-calls' : refused ? 'content-filter' : 'stop'
}

export const malformed = (what: string): ModelFailure =>
  new ModelFailure('malformed', `the server sent nonsense: ${what}`)

export function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw malformed(`${what} is no object`)
  return value as Record<string, unknown>
}

export const textOr = (value: unknown): string => (typeof value === 'string' ? value : '')

export const numberOr = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
