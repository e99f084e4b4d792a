import type { Json, JsonObject } from '../../kernel/json.ts'

export type SessionStatus = 'active' | 'archived' | 'expired'

/** A conversation: an ordered list of messages that one subject has with one agent. */
export interface Session {
  readonly id: string
  readonly tenant: string
  readonly subject: string
  readonly agent: string
  /** At most one active session per owner, agent and scope; without a scope there may be any number. */
  readonly scope: string | null
  readonly status: SessionStatus
  readonly title: string | null
  /** `provider/model` that overrides the agent's choice. */
  readonly model: string | null
  readonly metadata: JsonObject | null
  /** Sequence of the newest message; 0 when there is none. */
  readonly lastSequence: number
  readonly turnCount: number
  /** Messages of users and answers to them: without those that call tools and their results. */
  readonly messageCount: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly updatedAt: number
}

export type Role = 'system' | 'user' | 'assistant' | 'tool'

/**
 * A picture: its bytes as base64, or an https address that the model's provider reads itself. Media types that a user
 * may send: `image/png`, `image/jpeg`, `image/gif`, `image/webp`.
 */
export type ImagePart =
  | { readonly type: 'image'; readonly mediaType: string; readonly data: string }
  | { readonly type: 'image'; readonly url: string }

/** A piece of a message. Tool arguments stay the JSON text the model sent, so that a hash of them is exact. */
export type Part =
  /** `modelText`: what models are given in place of the text, e.g. a sanitised form of it. */
  | { readonly type: 'text'; readonly text: string; readonly modelText?: string }
  | ImagePart
  /** `state`: what the model's provider needs back with it, such as a signature. Nobody else reads it. */
  | { readonly type: 'reasoning'; readonly text: string; readonly state?: JsonObject }
  | { readonly type: 'tool-call'; readonly call: string; readonly tool: string; readonly arguments: string }
  | {
      readonly type: 'tool-result'
      readonly call: string
      readonly tool: string
      readonly output: Json
      readonly isError?: boolean
    }

/** Tokens in disjoint buckets: their sum is what the provider counted. */
export interface Usage {
  /** Prompt tokens that were neither read from nor written to the provider's cache. */
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  /** Answer tokens without reasoning. */
  readonly output: number
  readonly reasoning: number
}

export interface NewMessage {
  readonly id: string
  /** The turn that wrote it; null for one that was appended by hand. */
  readonly turn: string | null
  readonly role: Role
  readonly parts: readonly Part[]
  readonly usage: Usage | null
  readonly createdAt: number
}

export interface Message extends NewMessage {
  readonly session: string
  /** 1, 2, 3 ... within the session. The only order there is. */
  readonly sequence: number
}

/** True for a message that people see as one: what a user said, or an answer that calls no tool. */
export const isSpoken = ({ role, parts }: Pick<NewMessage, 'role' | 'parts'>): boolean =>
  role === 'user' || (role === 'assistant' && !parts.some(({ type }) => type === 'tool-call'))

/** The text of a message, without reasoning and tool traffic. */
export function textOf(parts: readonly Part[]): string {
  let text = ''
  for (const part of parts) if (part.type === 'text') text += part.text
  return text
}
