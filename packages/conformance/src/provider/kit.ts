import type { FailureClass, FinishReason, Provider, Usage } from '@keelson/core'

/** Something a fake server says, in the words of no vendor. */
export type FakeItem =
  | { readonly type: 'text'; readonly chunks: readonly string[] }
  /** `state` is what the vendor wants back with the thought, e.g. as its signature or as its encrypted form. */
  | { readonly type: 'reasoning'; readonly chunks: readonly string[]; readonly state: string }
  | { readonly type: 'call'; readonly call: string; readonly tool: string; readonly arguments: string }

export interface FakeEnd {
  readonly reason: FinishReason
  readonly usage: Usage
}

/** How a vendor's servers write what they have to say. The kit's own server does all that is HTTP. */
export interface WireProtocol {
  /** @default 'text/event-stream' */
  readonly contentType?: string
  /**
   * The pieces of a stream that says the items in their order; each piece is written on its own, each chunk is one
   * piece at least. Without an end they stop before the first piece that tells of it.
   */
  stream(items: readonly FakeItem[], end: FakeEnd | null): readonly string[]
  /** A piece that no client can parse. */
  readonly malformed: string
  /** Refuses a request with this class: a body with the message, as JSON. Null when the protocol cannot say it. */
  failure(failure: FailureClass, message: string): { readonly status: number; readonly body: unknown } | null
  /** A piece by which a running stream says that it fails. Null when the protocol cannot say it there. */
  streamFailure(failure: FailureClass, message: string): string | null
}

/** What `describeProvider` needs to know of a provider. */
export interface ProviderKit {
  /** Name of the model, without the provider's prefix. */
  readonly model: string
  /** The key the provider is given. It may appear in no failure; the kit's server quotes it in its refusals. */
  readonly secret: string
  /** The provider under test, for a server at this origin (`http://127.0.0.1:1234`); it adds its own path. */
  provider(origin: string): Provider
  readonly wire: WireProtocol
  /** A number of its own for each bucket that the protocol tells apart. @default all but `cacheWrite` */
  readonly usage?: Usage
  /** `text`: the protocol has thoughts; `state`: they come with something that must be sent back. @default 'none' */
  readonly reasoning?: 'none' | 'text' | 'state'
  /** Images that the protocol takes in a user's message. @default 'none' */
  readonly images?: 'none' | 'data' | 'data-and-url'
  /** True when a request's `output` schema is sent. @default false */
  readonly output?: boolean
  /**
   * Also run against the mock server of `@copilotkit/aimock`, which must then be installed and speak the protocol.
   * `usage` writes a usage in the names of the protocol, as aimock's fixtures want it.
   */
  readonly aimock?: { usage?(usage: Usage): Readonly<Record<string, unknown>> }
}
