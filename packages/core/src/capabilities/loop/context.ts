import { utf8Length } from '../../kernel/text.ts'
import type { Agent, AgentOutput } from '../agents/index.ts'
import { frameTokens } from '../memory/index.ts'
import {
  type Model,
  ModelFailure,
  type ModelMessage,
  type ModelNeeds,
  type ModelRequest,
  type ToolDescription,
} from '../models/index.ts'
import type { ContextSegment, Part } from '../sessions/index.ts'
import { type History, sizeOf } from './history.ts'
import type { Recollection } from './recollect.ts'

export interface Assembled {
  readonly request: ModelRequest
  readonly segments: readonly ContextSegment[]
}

const tokensOf = (text: string): number => Math.ceil(utf8Length(text) / 4)

/** Of an agent that says nothing: vendors count what is asked for against rate limits, and budgets reserve it. */
const usualOutputTokens = 16_384

/** The most that an agent lets a model say in one call. */
export const outputBound = (agent: Agent, model: Model): number =>
  Math.min(agent.maxOutputTokens ?? usualOutputTokens, model.maxOutputTokens)

/** What follows the instructions of an agent with an output: not every vendor can promise the schema by itself. */
const outputInstructions = ({ schema }: AgentOutput): string =>
  `Your final answer is one JSON object and nothing else, without a code fence, valid against this JSON Schema:\n${JSON.stringify(schema)}`

/** What every request of an agent begins with. */
interface Preamble {
  readonly instructions: string
  /** What it may say besides. */
  readonly options: Pick<ModelRequest, 'output' | 'temperature'>
  readonly tools: readonly ToolDescription[]
  readonly toolTokens: number
  readonly instructionTokens: number
}

const preambles = new WeakMap<Agent, Preamble>()
const noTools: readonly ToolDescription[] = []

/** Made once per agent: the same array every time is also what keeps a provider's prompt cache warm. */
function preambleOf(agent: Agent): Preamble {
  const known = preambles.get(agent)
  if (known) return known
  const tools = agent.tools.map(({ name, description, parameters }) => ({ name, description, parameters }))
  const { output } = agent
  const instructions = output ? `${agent.instructions}\n\n${outputInstructions(output)}` : agent.instructions
  const made = {
    instructions,
    options: {
      ...(agent.temperature === null ? {} : { temperature: agent.temperature }),
      ...(output ? { output: { name: output.name, schema: output.schema } } : {}),
    },
    tools,
    toolTokens: tools.length === 0 ? 0 : tokensOf(JSON.stringify(tools)),
    instructionTokens: tokensOf(instructions),
  }
  preambles.set(agent, made)
  return made
}

/** What a message of so many bytes asks of a model, whatever else of the session is left out. */
export function needsOf(agent: Agent, messageBytes: number): ModelNeeds {
  const { instructionTokens, toolTokens } = preambleOf(agent)
  return {
    tokens: instructionTokens + toolTokens + Math.ceil(messageBytes / 4),
    maxOutputTokens: agent.maxOutputTokens,
    tools: agent.tools.length > 0,
  }
}

/**
 * What the model is given: instructions and tools always, then what was recalled, then as much history as fits, newest
 * first. Cuts only before a user message, so that no tool call is parted from its result. What was recalled is left out
 * where the newest user message would not fit with it. Throws `context-too-long` when that alone does not fit.
 */
export function assemble(
  agent: Agent,
  model: Model,
  history: History,
  recollection: Recollection | null = null,
): Assembled {
  const maxOutputTokens = outputBound(agent, model)
  const preamble = preambleOf(agent)
  const { instructionTokens } = preamble
  const tools = model.tools ? preamble.tools : noTools
  const toolTokens = model.tools ? preamble.toolTokens : 0
  const budget = model.contextTokens - maxOutputTokens - instructionTokens - toolTokens
  const room = recollection === null ? null : firstThatFits(history, budget - recollection.recalled.tokens)
  const recalls = recollection !== null && room !== null && room <= recollection.index
  const first = recalls ? room : firstThatFits(history, budget)
  if (first === null) {
    throw new ModelFailure('context-too-long', `the newest message does not fit into ${model.contextTokens} tokens`)
  }
  const total = history.tokens.at(-1) ?? 0
  const dropped = first === 0 ? 0 : (history.tokens[first - 1] ?? 0)
  const segments: ContextSegment[] = [{ source: 'instructions', tokens: instructionTokens, kept: true }]
  if (tools.length > 0) segments.push({ source: 'tools', tokens: toolTokens, kept: true })
  if (first > 0) {
    const to = history.sequences[first - 1] ?? 0
    segments.push({
      source: 'history',
      tokens: dropped,
      kept: false,
      from: history.sequences[0] ?? 1,
      to,
      reason: 'over the context budget',
    })
  }
  segments.push({
    source: 'history',
    tokens: total - dropped,
    kept: true,
    from: history.sequences[first] ?? 1,
    to: history.lastSequence,
  })
  const messages = history.messages.slice(first)
  if (recollection !== null) {
    if (recalls && recollection.recalled.text !== '') messages[recollection.index - first] = recollection.message
    for (const { kept, path, reason, tokens } of recollection.recalled.items) {
      const why = kept && !recalls ? 'over the context budget' : reason
      segments.push({
        source: 'memory',
        tokens,
        kept: kept && recalls,
        path,
        ...(why === undefined ? {} : { reason: why }),
      })
    }
  }
  return {
    request: {
      instructions: preamble.instructions,
      messages: model.vision ? messages : withoutImages(messages, model.id),
      tools,
      maxOutputTokens,
      ...preamble.options,
    },
    segments,
  }
}

/** Index of the oldest user message from which on everything fits; null when not even the newest one does. */
function firstThatFits({ messages, tokens }: History, budget: number): number | null {
  const total = tokens.at(-1) ?? 0
  let low = 0
  let high = messages.length
  while (low < high) {
    const middle = (low + high) >> 1
    const after = total - (middle === 0 ? 0 : (tokens[middle - 1] ?? 0))
    if (after <= budget) high = middle
    else low = middle + 1
  }
  if (low === 0) return messages.length === 0 || total <= budget ? 0 : null
  while (low < messages.length && messages[low]?.role !== 'user') low += 1
  return low < messages.length ? low : null
}

/** What a protocol puts around each message. */
const framingBytes = 32

/** About the bytes of an assembled request, and not fewer than its texts have: four for every token that was kept. */
export function requestBytes({ messages, output }: ModelRequest, segments: readonly ContextSegment[]): number {
  let bytes = framingBytes * (messages.length + 1)
  let recalls = false
  for (const { kept, source, tokens } of segments) {
    if (!kept) continue
    bytes += 4 * tokens
    recalls ||= source === 'memory'
  }
  if (recalls) bytes += 4 * frameTokens
  return output === undefined ? bytes : bytes + utf8Length(JSON.stringify(output.schema))
}

/** The same of a request with one new message and nothing before it. */
export const firstRequestBytes = (agent: Agent, parts: readonly Part[]): number => {
  const { instructionTokens, toolTokens } = preambleOf(agent)
  return 4 * (instructionTokens + toolTokens + sizeOf(parts).tokens) + 2 * framingBytes
}

/** What a history adds to that. */
export const historyBytes = ({ messages, tokens }: History): number =>
  4 * (tokens.at(-1) ?? 0) + framingBytes * (messages.length + 1)

const blind = new WeakMap<ModelMessage, ModelMessage>()

/**
 * For a model that cannot see: earlier images become a remark, so that a conversation can go on with another model.
 * Throws `bad-request` when the message to be answered holds one, so that the next candidate is asked.
 */
function withoutImages(messages: readonly ModelMessage[], model: string): readonly ModelMessage[] {
  const newest = messages.findLastIndex(({ role }) => role === 'user')
  return messages.map((message, index) => {
    if (!message.parts.some(({ type }) => type === 'image')) return message
    if (index === newest) throw new ModelFailure('bad-request', `the model ${model} cannot see images`)
    let made = blind.get(message)
    if (!made) {
      const parts = message.parts.map((part) =>
        part.type === 'image' ? { type: 'text' as const, text: '[an image]' } : part,
      )
      made = { role: message.role, parts }
      blind.set(message, made)
    }
    return made
  })
}
