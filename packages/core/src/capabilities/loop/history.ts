import type { Reach } from '../../kernel/context.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { ModelMessage } from '../models/index.ts'
import type { Part, Role, SessionStore } from '../sessions/index.ts'

const pageSize = 1_000

export interface StoredMessage {
  readonly sequence: number
  readonly role: Role
  readonly parts: readonly Part[]
}

/**
 * A session's messages as a model may be given them: in order, every tool call followed by exactly its results. Calls
 * that never got one (a crash, a cancelled turn) are given an error result, results without a call are left out.
 */
export class History {
  lastSequence = 0
  bytes = 0
  readonly messages: ModelMessage[] = []
  /** Sequence of each message; a repair has that of the message before it. */
  readonly sequences: number[] = []
  /** Tokens of all messages up to and including each one. */
  readonly tokens: number[] = []
  #open: { call: string; tool: string }[] = []

  /** Calls of the newest message that have no result yet. */
  get openCalls(): readonly string[] {
    return this.#open.map(({ call }) => call)
  }

  add({ sequence, role, parts }: StoredMessage): void {
    if (role === 'tool') {
      const results = parts.filter((part) => part.type === 'tool-result' && this.#close(part.call))
      if (results.length > 0) this.#push(sequence, { role, parts: results.length === parts.length ? parts : results })
    } else {
      this.#repair()
      this.#push(sequence, { role, parts })
      if (role === 'assistant') {
        for (const part of parts) if (part.type === 'tool-call') this.#open.push({ call: part.call, tool: part.tool })
      }
    }
    this.lastSequence = sequence
  }

  #close(call: string): boolean {
    const index = this.#open.findIndex((open) => open.call === call)
    if (index < 0) return false
    this.#open.splice(index, 1)
    return true
  }

  #repair(): void {
    if (this.#open.length === 0) return
    const parts = this.#open.map(
      ({ call, tool }): Part => ({ type: 'tool-result', call, tool, output: 'no result was recorded', isError: true }),
    )
    this.#open = []
    this.#push(this.lastSequence, { role: 'tool', parts })
  }

  #push(sequence: number, message: ModelMessage): void {
    const bytes = bytesOf(message.parts)
    this.bytes += bytes
    this.messages.push(message)
    this.sequences.push(sequence)
    this.tokens.push((this.tokens.at(-1) ?? 0) + Math.ceil(bytes / 4))
  }
}

function bytesOf(parts: readonly Part[]): number {
  let bytes = 0
  for (const part of parts) {
    if (part.type === 'text' || part.type === 'reasoning') bytes += utf8Length(part.text)
    else if (part.type === 'tool-call') bytes += utf8Length(part.tool) + utf8Length(part.arguments)
    else bytes += utf8Length(typeof part.output === 'string' ? part.output : JSON.stringify(part.output))
  }
  return bytes
}

/** Parsed histories of the sessions used last, at most `maxBytes` of them. */
export class HistoryCache {
  readonly #store: SessionStore
  readonly #maxBytes: number
  #bytes = 0
  /** In order of use: a Map keeps the order of insertion. */
  readonly #entries = new Map<string, { history: History; bytes: number }>()

  constructor(store: SessionStore, maxBytes: number) {
    this.#store = store
    this.#maxBytes = maxBytes
  }

  /** The history up to `lastSequence`. Reads only what is newer than what is here, and not `newest` if it is given. */
  async load(reach: Reach, session: string, lastSequence: number, newest?: StoredMessage): Promise<History> {
    const cached = this.#take(session)
    const history = cached && cached.lastSequence <= lastSequence ? cached : new History()
    if (newest && history.lastSequence === newest.sequence - 1) history.add(newest)
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
    this.#entries.set(session, { history, bytes: history.bytes })
    this.#bytes += history.bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes || oldest === session) break
      this.#take(oldest)
    }
    if (this.#bytes > this.#maxBytes) this.#take(session)
  }

  #take(session: string): History | undefined {
    const entry = this.#entries.get(session)
    if (!entry) return undefined
    this.#entries.delete(session)
    this.#bytes -= entry.bytes
    return entry.history
  }
}
