import type { SocketSession } from './websocket.ts'

/** A request as any framework can state it. Header names are lower case. */
export interface HttpRequest {
  readonly method: string
  /** The path below the mount's framework, still percent-encoded, without the query. Always starts with `/`. */
  readonly path: string
  /** The query without its `?`, still percent-encoded. */
  readonly query: string
  header(name: string): string | undefined
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal
  /** The peer's address as the socket says it. `undefined` where there is no socket. Never taken from a header. */
  readonly remoteAddress: string | undefined
  /**
   * The body's bytes as they arrived. Rejects with `BODY_TOO_LARGE` past `limit` bytes, and with `RAW_BODY_CONSUMED`
   * when a parser of the host has taken them and kept no copy.
   */
  bytes(limit: number): Promise<Uint8Array>
  /** What a body parser of the host has already made of the body; `undefined` when none has run. */
  readonly parsedBody: unknown
  /** The framework's own request, for the host's `authenticate`. */
  readonly native: unknown
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | HttpStream | undefined
  /** What to do with the WebSocket, where one was asked for; whoever cannot open one sends the rest, which says so. */
  readonly socket?: SocketSession
}

/** A body written piece by piece. Resolves when all is written, or early when `sink.signal` is aborted. */
export type HttpStream = (sink: HttpSink) => Promise<void>

/** Where a stream writes to. Adapters implement it over their framework's response. */
export interface HttpSink {
  /** `undefined` when more may be written at once; otherwise resolves when the client has caught up or is gone. */
  write(chunk: string): Promise<void> | undefined
  /** Aborted when the client is gone: stop writing. */
  readonly signal: AbortSignal
  /** Tells the host of an error that the stream has told its client of: the body ends well. */
  readonly report?: (error: unknown) => void
}
