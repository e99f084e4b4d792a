import type OpenAI from 'openai'
import type { APIPromise } from 'openai'
import type { Stream } from 'openai/streaming'
import type { ModelPart, ModelRequest } from '../../capabilities/models/index.ts'
import { unlessAborted } from '../../kernel/unless-aborted.ts'
import { checkEvents, checkOptions } from '../connection.ts'
import { type ApiKey, secretKeeper } from '../secrets.ts'
import { loadSdk, makeClient, type Sdk } from './client.ts'
import { failureOf } from './failure.ts'

export interface ConnectionOptions {
  /** Prefix of the provider's models. */
  readonly id: string
  readonly baseURL: string
  readonly apiKey: ApiKey
  readonly headers: Readonly<Record<string, string>>
  readonly fetch: typeof globalThis.fetch | undefined
}

/** Puts an answer together from the events of its stream. Nothing in an event is trusted to have the right type. */
export interface AnswerReader {
  /** Adds what can be shown at once to `parts`. Throws a `ModelFailure` for an event that is none. */
  take(event: unknown, parts: ModelPart[]): void
  /** What is left at the end. Throws when the stream was cut. */
  end(): readonly ModelPart[]
}

/** A server that speaks OpenAI's protocols. Whatever goes wrong is a `ModelFailure`, or the reason of the abort. */
export interface Connection {
  stream<Event>(
    send: (client: OpenAI, options: { readonly signal: AbortSignal }) => APIPromise<Stream<Event>>,
    reader: AnswerReader,
    request: ModelRequest,
    signal: AbortSignal,
  ): AsyncGenerator<ModelPart>
  call<Answer>(
    send: (client: OpenAI, sdk: Sdk, options: { readonly signal: AbortSignal }) => PromiseLike<Answer>,
    signal: AbortSignal,
  ): Promise<Answer>
}

/** Loads nothing and opens nothing before the first call. Throws `PROVIDER_OPTIONS_INVALID`. */
export function connectionTo(options: ConnectionOptions): Connection {
  const { id, baseURL, headers, fetch } = options
  checkOptions(id, baseURL, options.apiKey)
  const secrets = secretKeeper(options.apiKey, headers)
  let ready: Promise<{ sdk: Sdk; client: OpenAI }> | undefined
  const connect = async () => {
    const sdk = await loadSdk()
    return { sdk, client: makeClient(sdk, { baseURL, apiKey: secrets.apiKey, headers, fetch }) }
  }
  const connected = () => {
    ready ??= connect().catch((error) => {
      // The package may be installed by the next call.
      ready = undefined
      throw error
    })
    return ready
  }

  return {
    async *stream(send, reader, request, signal) {
      signal.throwIfAborted()
      const { sdk, client } = await connected()
      const parts: ModelPart[] = []
      try {
        const sent = await unlessAborted(send(client, { signal }).withResponse(), signal)
        checkEvents(sent)
        for await (const event of sent.data) {
          reader.take(event, parts)
          for (const part of parts) yield part
          parts.length = 0
        }
        // The client ends a stream that was aborted as if it were whole.
        signal.throwIfAborted()
        yield* reader.end()
      } catch (error) {
        if (signal.aborted) throw signal.reason
        throw failureOf(error, sdk, secrets.hide, request.tools)
      }
    },

    async call(send, signal) {
      signal.throwIfAborted()
      const { sdk, client } = await connected()
      try {
        return await unlessAborted(send(client, sdk, { signal }), signal)
      } catch (error) {
        if (signal.aborted) throw signal.reason
        throw failureOf(error, sdk, secrets.hide)
      }
    },
  }
}
