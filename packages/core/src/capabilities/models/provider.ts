import type { JsonObject } from '../../kernel/json.ts'
import type { FinishReason, Message, Usage } from '../sessions/index.ts'

/** What a model must be told of a tool. */
export interface ToolDescription {
  readonly name: string
  readonly description: string
  /** JSON Schema of the arguments. */
  readonly parameters: JsonObject
}

export interface ModelRequest {
  readonly instructions: string
  /** Oldest first; every tool call is followed by its result. */
  readonly messages: readonly ModelMessage[]
  readonly tools: readonly ToolDescription[]
  /** Always sent: a budget needs a bound. */
  readonly maxOutputTokens: number
  readonly temperature?: number
  /** The answer is to be JSON of this schema. A provider whose vendor cannot promise that leaves it out. */
  readonly output?: { readonly name: string; readonly schema: JsonObject }
}

/** A message as a provider needs it. The same object stays the same message: a provider may cache what it made of it. */
export type ModelMessage = Pick<Message, 'role' | 'parts'>

export type ModelPart =
  | { readonly type: 'text'; readonly text: string }
  /** With `state` the thought is complete: state and text go back to the provider with the history. */
  | { readonly type: 'reasoning'; readonly text: string; readonly state?: JsonObject }
  /** A whole call; `arguments` is the JSON text the model wrote, which may be broken. */
  | { readonly type: 'tool-call'; readonly call: string; readonly tool: string; readonly arguments: string }
  /** Last part. A stream that ends without it was cut. */
  | { readonly type: 'finish'; readonly reason: FinishReason; readonly usage: Usage }

/** Prices in pico-dollars (1e-12 USD) per token. */
export interface ModelPrice {
  readonly input: number
  readonly output: number
  /** Default: `input`. */
  readonly cacheRead?: number
  /** Default: `input`. */
  readonly cacheWrite?: number
}

/** Most that is asked of a model or provider within a minute. Counted by each instance for itself. */
export interface Capacity {
  readonly requestsPerMinute?: number
  /** Of all sorts: input, cached, output and reasoning. */
  readonly tokensPerMinute?: number
}

/** What is known of a model. Everything may be left out. */
export interface ModelInfo {
  /** Name without the provider's prefix. */
  readonly name: string
  /** Context window in tokens. Default 128,000. */
  readonly contextTokens?: number
  /** Most tokens of one answer. Default 4,096. */
  readonly maxOutputTokens?: number
  /** False for a model that cannot call tools. Default true. */
  readonly tools?: boolean
  /** False for a model that cannot see images. Default true. */
  readonly vision?: boolean
  /** True when the vendor promises JSON of a schema, false when it cannot. Default: not known. */
  readonly structuredOutput?: boolean
  readonly price?: ModelPrice
  /** A model that has reached it is passed over, or waited for when there is no other. */
  readonly capacity?: Capacity
}

export interface EmbeddingRequest {
  /** At least one, none empty. Any number: the provider sends as many at once as its vendor takes. */
  readonly inputs: readonly string[]
  /** Length of the vectors, for models that can shorten them. */
  readonly dimensions?: number
}

export interface Embedded {
  /** One for each input, in its order. */
  readonly vectors: readonly (readonly number[])[]
  /** Input tokens, as the vendor counts them. */
  readonly tokens: number
}

/** Turns texts into vectors. Throws a `ModelFailure`; stops and throws soon after `signal` is aborted. */
export interface EmbeddingProvider {
  embed(model: string, request: EmbeddingRequest, signal: AbortSignal): Promise<Embedded>
}

export interface TranscriptionRequest {
  readonly audio: Uint8Array
  /** E.g. `audio/mpeg`, `audio/wav`, `audio/webm`. */
  readonly mediaType: string
  /** ISO 639-1; the model guesses without it. */
  readonly language?: string
  /** What came before, or words that are likely to occur. */
  readonly prompt?: string
}

export interface Transcript {
  readonly text: string
  /** As the vendor counts them; 0 where it bills by time. */
  readonly tokens: { readonly input: number; readonly output: number }
  /** Length of the audio, where the vendor says it. */
  readonly seconds: number | null
}

/** Turns speech into text. Throws a `ModelFailure`; stops and throws soon after `signal` is aborted. */
export interface TranscriptionProvider {
  transcribe(model: string, request: TranscriptionRequest, signal: AbortSignal): Promise<Transcript>
}

/** A service that runs models. It may turn text into vectors and speech into text as well. */
export interface Provider extends Partial<EmbeddingProvider>, Partial<TranscriptionProvider> {
  /** Prefix of its models: `openai` in `openai/gpt-5-mini`. */
  readonly id: string
  /** True when it runs on this machine and needs no key. */
  readonly local?: boolean
  /** Known models; others are passed on under the name that was asked for. */
  readonly models?: readonly ModelInfo[]
  /** Of all its models together. */
  readonly capacity?: Capacity
  /** The same provider with another key: one that was set in the vault while the server runs. Absent where it takes none. */
  withKey?(apiKey: string): Provider
  /** Asks the service which models it has, and what they can do as far as it says so. Throws a `ModelFailure`. */
  discover?(signal: AbortSignal): Promise<readonly ModelInfo[]>
  /**
   * Answers a request piece by piece. Throws a `ModelFailure`; stops and throws soon after `signal` is aborted.
   */
  stream(model: string, request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelPart>
}

/** Why a model call failed; decides whether to wait, to try another model, or to give up. */
export type FailureClass =
  | 'rate-limit'
  | 'overload'
  | 'server'
  | 'timeout'
  | 'auth'
  | 'billing'
  | 'context-too-long'
  | 'content-refused'
  | 'bad-request'
  | 'network'
  | 'malformed'

/** Thrown by providers. The message is for logs; callers get the class alone. */
export class ModelFailure extends Error {
  readonly failure: FailureClass
  readonly retryAfterMs: number | undefined
  readonly status: number | undefined
  /** The call was made with the key of its tenant. Not for providers to say. */
  readonly ownKey: boolean

  constructor(
    failure: FailureClass,
    message: string,
    detail: {
      retryAfterMs?: number | undefined
      status?: number | undefined
      ownKey?: boolean
      cause?: unknown
    } = {},
  ) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.name = 'ModelFailure'
    this.failure = failure
    this.retryAfterMs = detail.retryAfterMs
    this.status = detail.status
    this.ownKey = detail.ownKey ?? false
    Object.defineProperty(this, failureBrand, { value: true })
  }
}

const failureBrand = Symbol.for('keelson.model-failure')

/** True for a `ModelFailure` of any copy of this package. */
export const isModelFailure = (value: unknown): value is ModelFailure =>
  typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[failureBrand] === true

export const noUsage: Usage = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 }
