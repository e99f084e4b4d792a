import type { Reach } from '../../kernel/context.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { ModelMessage } from '../models/index.ts'
import type { Part, Role, SessionStore } from '../sessions/index.ts'

const pageSize = 1_000

/** What a history and each of its messages take besides the text: many short sessions would else outgrow the cache. */
const emptyBytes = 1_024
const messageBytes = 256

/** What vendors count for a large image, whatever its bytes. */
const imageTokens = 1_600

export interface StoredMessage {
  readonly sequence: number
  /** The turn that wrote it. */
  readonly turn: string | null
  readonly role: Role
  readonly parts: readonly Part[]
}

type ToolResult = Extract<Part, { type: 'tool-result' }>

interface UnansweredCall {
  readonly turn: string | null
  readonly call: string
  readonly tool: string
  /** Index of the message with the result it was given instead; null while it may still get its own. */
  readonly repairedAt: number | null
}

/**
 * A session's messages as a model may be given them: in order, every tool call followed by exactly its results. A call
 * without one (a crash, a cancelled turn, a message that came in between) is given an error result, until its own comes
 * and takes that place. Results without a call are left out.
 */
export class History {
  lastSequence = 0
  /** About what it takes in memory. */
  bytes = emptyBytes
  readonly messages: ModelMessage[] = []
  /** Sequence of each message; a repair has that of the message before it. */
  readonly sequences: number[] = []
  /** Tokens of all messages up to and including each one. */
  readonly tokens: number[] = []
  #unanswered: UnansweredCall[] = []

  /** Calls of a turn whose own results have not come. */
  unanswered(turn: string): ReadonlySet<string> {
    return new Set(this.#unanswered.flatMap((call) => (call.turn === turn ? call.call : [])))
  }

  /** True for a call of the newest message, which may still get its result right after it. */
  isOpen(turn: string, call: string): boolean {
    return this.#unanswered.some((each) => each.repairedAt === null && each.turn === turn && each.call === call)
  }

  add({ sequence, turn, role, parts }: StoredMessage): void {
    if (role === 'tool') {
      const results = parts.filter((part) => part.type === 'tool-result' && this.#answer(turn, part))
      if (results.length > 0) this.#push(sequence, { role, parts: results.length === parts.length ? parts : results })
    } else {
      this.#repair()
      this.#push(sequence, { role, parts: asModelSees(parts) })
      if (role === 'assistant') {
        for (const part of parts) {
          if (part.type !== 'tool-call') continue
          this.#unanswered.push({ turn, call: part.call, tool: part.tool, repairedAt: null })
        }
      }
    }
    this.lastSequence = sequence
  }

  /** True when the result has its place at the end; false when it took that of a repair, or has none. */
  #answer(turn: string | null, result: ToolResult): boolean {
    const calls = this.#unanswered
    const isOf = ({ call }: UnansweredCall) => call === result.call
    let index = calls.findLastIndex((call) => call.turn === turn && isOf(call))
    if (index < 0) index = calls.findIndex((call) => call.repairedAt === null && isOf(call))
    const [call] = index < 0 ? [] : calls.splice(index, 1)
    if (!call) return false
    if (call.repairedAt === null) return true
    this.#replace(call.repairedAt, result)
    return false
  }

  #repair(): void {
    if (this.#unanswered.length === 0) return
    const open = this.#unanswered.filter(({ repairedAt }) => repairedAt === null)
    if (open.length === 0) return
    const parts = open.map(
      ({ call, tool }): Part => ({ type: 'tool-result', call, tool, output: 'no result was recorded', isError: true }),
    )
    const repairedAt = this.messages.length
    this.#unanswered = this.#unanswered.map((call) => (call.repairedAt === null ? { ...call, repairedAt } : call))
    this.#push(this.lastSequence, { role: 'tool', parts })
  }

  #replace(index: number, result: ToolResult): void {
    const before = this.messages[index]
    if (!before) return
    const parts = before.parts.map((part) => (part.type === 'tool-result' && part.call === result.call ? result : part))
    this.messages[index] = { role: before.role, parts }
    const [now, then] = [sizeOf(parts), sizeOf(before.parts)]
    const more = now.tokens - then.tokens
    this.bytes += now.bytes - then.bytes
    for (let later = index; later < this.tokens.length; later += 1)
      this.tokens[later] = (this.tokens[later] ?? 0) + more
  }

  #push(sequence: number, message: ModelMessage): void {
    const { bytes, tokens } = sizeOf(message.parts)
    this.bytes += bytes + messageBytes
    this.messages.push(message)
    this.sequences.push(sequence)
    this.tokens.push((this.tokens.at(-1) ?? 0) + tokens)
  }
}

const asModelSees = (parts: readonly Part[]): readonly Part[] =>
  parts.some((part) => part.type === 'text' && part.modelText !== undefined)
    ? parts.map((part) => (part.type === 'text' ? { type: 'text', text: part.modelText ?? part.text } : part))
    : parts

interface Size {
  readonly bytes: number
  readonly tokens: number
}

/** What the parts take of memory, and about what they take of a model's window. */
export function sizeOf(parts: readonly Part[]): Size {
  let bytes = 0
  let pictures = 0
  let images = 0
  for (const part of parts) {
    switch (part.type) {
      case 'text':
        bytes += utf8Length(part.text)
        break
      case 'reasoning':
        bytes += utf8Length(part.text) + (part.state === undefined ? 0 : utf8Length(JSON.stringify(part.state)))
        break
      case 'image':
        pictures += 'url' in part ? part.url.length : part.data.length
        images += 1
        break
      case 'tool-call':
        bytes += utf8Length(part.tool) + utf8Length(part.arguments)
        break
      case 'tool-result':
        bytes += utf8Length(typeof part.output === 'string' ? part.output : JSON.stringify(part.output))
    }
  }
  return { bytes: bytes + pictures, tokens: Math.ceil(bytes / 4) + images * imageTokens }
}

interface Kept {
  readonly history: History
  readonly bytes: number
}

/**
 * Parsed histories of the sessions used last, at most `maxBytes` of them, none of which takes more than half. What is used
 * moves to the young half; when that is full, it becomes the old one, and what the old one still held is forgotten.
 */
export class HistoryCache {
  readonly #store: SessionStore
  readonly #halfBytes: number
  #young = new Map<string, Kept>()
  #youngBytes = 0
  #old = new Map<string, Kept>()

  constructor(store: SessionStore, maxBytes: number) {
    this.#store = store
    this.#halfBytes = maxBytes / 2
  }

  /** The history up to `lastSequence`. Reads only what is newer than what is here, and not `newest` if it is given. */
  load(reach: Reach, session: string, lastSequence: number, newest?: StoredMessage): History | Promise<History> {
    const cached = this.#take(session)
    const history = cached && cached.lastSequence <= lastSequence ? cached : new History()
    if (newest && history.lastSequence === newest.sequence - 1) history.add(newest)
    return history.lastSequence < lastSequence ? this.read(history, reach, session, lastSequence) : history
  }

  /** Adds what is stored after the end of a history. */
  async read(history: History, reach: Reach, session: string, lastSequence: number): Promise<History> {
    while (history.lastSequence < lastSequence) {
      const newer = await this.#store.messages(reach, session, { after: history.lastSequence, limit: pageSize })
      for (const message of newer) history.add(message)
      if (newer.length < pageSize) break
    }
    return history
  }

  /** Hands a history back after use. A caller that took it alone may have added to it. */
  keep(session: string, history: History): void {
    this.#take(session)
    const { bytes } = history
    if (bytes > this.#halfBytes) return
    if (this.#youngBytes + bytes > this.#halfBytes) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(session, { history, bytes })
    this.#youngBytes += bytes
  }

  #take(session: string): History | undefined {
    const young = this.#young.get(session)
    if (young) {
      this.#young.delete(session)
      this.#youngBytes -= young.bytes
      return young.history
    }
    const old = this.#old.get(session)
    this.#old.delete(session)
    return old?.history
  }
}
