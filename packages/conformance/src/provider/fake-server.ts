import type { FailureClass, Provider, Usage } from '@keelson/core'

/** What a fake server is to do with every request it gets, in the words of no vendor. */
export type FakeAnswer =
  /** Says the chunks and stops. An empty list is an empty answer. */
  | { readonly kind: 'text'; readonly chunks: readonly string[]; readonly usage: Usage }
  /** Says the text, if there is one, then makes the calls, all in one answer. */
  | { readonly kind: 'tools'; readonly text: string; readonly calls: readonly FakeCall[]; readonly usage: Usage }
  /** Refuses with the status and body that mean this. `retryAfter` is the value of the `Retry-After` header. */
  | { readonly kind: 'failure'; readonly failure: FailureClass; readonly retryAfter: string | null }
  /** Says the chunks, then loses the connection when `lose` is called. */
  | { readonly kind: 'cut'; readonly chunks: readonly string[] }
  /** Says the chunks, then a piece of the stream that cannot be parsed. */
  | { readonly kind: 'malformed'; readonly chunks: readonly string[] }
  /** Answers with status 200 and an HTML page. */
  | { readonly kind: 'page' }
  /** Waits before the first chunk. */
  | { readonly kind: 'slow'; readonly ms: number; readonly chunks: readonly string[] }
  /** Says the chunks, then nothing more until the client goes. */
  | { readonly kind: 'stalled'; readonly chunks: readonly string[] }
  /** Takes the request and never answers, not even with a status. */
  | { readonly kind: 'silent' }
  /** Nobody listens at the address. */
  | { readonly kind: 'absent' }

export interface FakeCall {
  readonly call: string
  readonly tool: string
  readonly arguments: string
}

/** A fake server, and the provider under test that talks to it. */
export interface FakeServer {
  readonly provider: Provider
  /** Bodies of the requests so far. */
  received(): readonly unknown[]
  /** Tears down the connections of a `cut` answer: only the test knows when all that was said has been read. */
  lose(): void
  /** Resolves when the client has left a `stalled` or `silent` answer. */
  readonly left: Promise<void>
  close(): Promise<void>
}

export interface ProviderKit {
  /** Name of the model, without the provider's prefix. */
  readonly model: string
  /** The key the provider is given. It may appear in no failure; servers should quote it in their refusals. */
  readonly secret: string
  /** The classes that a server of this protocol can state by refusing a request. */
  readonly failures: readonly FailureClass[]
  serve(answer: FakeAnswer): Promise<FakeServer>
}
