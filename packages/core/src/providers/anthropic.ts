import type { Anthropic } from '@anthropic-ai/sdk'
import type { Stream } from '@anthropic-ai/sdk/streaming'
import type { ModelInfo, ModelPart, ModelRequest, Provider } from '../capabilities/models/index.ts'
import type { JsonObject } from '../kernel/json.ts'
import { unlessAborted } from '../kernel/unless-aborted.ts'
import { answerReader } from './anthropic/answer.ts'
import { loadSdk, makeClient, type Sdk } from './anthropic/client.ts'
import { listModels } from './anthropic/discovery.ts'
import { failureOf, refusesThoughts } from './anthropic/failure.ts'
import { claudeModels } from './anthropic/models.ts'
import { type AnthropicThinking, type RequestWriter, requestWriter } from './anthropic/request.ts'
import { checkEvents, checkOptions, refusalOf } from './connection.ts'
import { type ApiKey, secretKeeper } from './secrets.ts'

export type { AnthropicThinking } from './anthropic/request.ts'

const vendorURL = 'https://api.anthropic.com'

export interface AnthropicOptions {
  /** Prefix of its models. @default 'anthropic' */
  readonly id?: string
  /** The key, or a function that fetches it for each call. Needed unless `baseURL` is somebody else's. */
  readonly apiKey?: ApiKey
  /** Of a server that speaks the same protocol; a `/v1` at its end is ignored. @default Anthropic's own */
  readonly baseURL?: string | undefined
  /** Sent with every request, e.g. `anthropic-beta`. */
  readonly headers?: Readonly<Record<string, string>>
  /** Facts that replace or join those of the shipped table. */
  readonly models?: readonly ModelInfo[]
  /** @default what the model does by itself */
  readonly thinking?: AnthropicThinking
  /** Whether thoughts can be read, as a summary. @default what the model does by itself */
  readonly showThinking?: boolean
  /** How much a model is to do for an answer. @default what the model does by itself */
  readonly effort?: 'low' | 'medium' | 'high' | 'xhigh' | 'max'
  /** How long the server may remember what requests begin with. Writing costs more, reading far less. @default '5m' */
  readonly cache?: 'off' | '5m' | '1h'
  /** Fields added to every request. */
  readonly extraBody?: JsonObject
  /** @default the global `fetch` */
  readonly fetch?: typeof globalThis.fetch
}

interface Connection {
  readonly sdk: Sdk
  readonly client: Anthropic
  readonly writer: RequestWriter
}

/**
 * A provider for Claude models by Anthropic's Messages API. Needs the package `@anthropic-ai/sdk`, which is loaded by the
 * first call. Throws `PROVIDER_OPTIONS_INVALID` when an option will not do.
 */
export function anthropic(options: AnthropicOptions = {}): Provider {
  const { id = 'anthropic', headers = {}, cache = '5m', thinking, showThinking, effort, extraBody = {} } = options
  const baseURL = (options.baseURL ?? vendorURL).replace(/\/+$/, '').replace(/\/v1$/, '')
  checkVendorOptions(id, baseURL, options)
  const secrets = secretKeeper(options.apiKey, headers)
  let ready: Promise<Connection> | undefined
  const connect = async (): Promise<Connection> => {
    const sdk = await loadSdk()
    const { transformJSONSchema } = await import('@anthropic-ai/sdk/lib/transform-json-schema')
    const fitSchema = (schema: JsonObject): JsonObject => {
      try {
        return transformJSONSchema(schema)
      } catch {
        // The server says better what is wrong with it.
        return schema
      }
    }
    return {
      sdk,
      client: makeClient(sdk, { baseURL, apiKey: secrets.apiKey, headers, fetch: options.fetch }),
      writer: requestWriter({ by: id, thinking, showThinking, effort, cache, extraBody }, fitSchema),
    }
  }

  const connected = (): Promise<Connection> => {
    ready ??= connect().catch((error) => {
      // The package may be installed by the next call.
      ready = undefined
      throw error
    })
    return ready
  }

  const send = async (
    { client, writer, sdk }: Connection,
    model: string,
    request: ModelRequest,
    signal: AbortSignal,
  ) => {
    // Not `messages.create`, which writes warnings about some models to the console.
    const post = () =>
      client.post<Stream<unknown>>('/v1/messages', { body: writer.write(model, request), stream: true, signal })
    const answer = () => unlessAborted(post().withResponse(), signal)
    try {
      return await answer()
    } catch (error) {
      if (signal.aborted || !refusesThoughts(error, sdk) || !writer.forgetThoughts(request.messages)) throw error
      return await answer()
    }
  }

  return {
    id,
    models: claudeModels(options.models ?? [], cache === '1h'),
    withKey: (key) => anthropic({ ...options, apiKey: key }),
    async discover(signal) {
      signal.throwIfAborted()
      const { client, sdk } = await connected()
      try {
        return await unlessAborted(listModels(client, signal), signal)
      } catch (error) {
        if (signal.aborted) throw signal.reason
        throw failureOf(error, sdk, secrets.hide, [])
      }
    },
    async *stream(model, request, signal): AsyncGenerator<ModelPart> {
      signal.throwIfAborted()
      const connection = await connected()
      const reader = answerReader(id)
      const parts: ModelPart[] = []
      try {
        const sent = await send(connection, model, request, signal)
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
        throw failureOf(error, connection.sdk, secrets.hide, request.tools)
      }
    },
  }
}

const hasKey = (headers: Readonly<Record<string, string>>): boolean =>
  Object.keys(headers).some((name) => /^(?:x-api-key|authorization)$/i.test(name))

function checkVendorOptions(
  id: string,
  baseURL: string,
  { apiKey, cache, headers = {}, thinking }: AnthropicOptions,
): void {
  checkOptions(id, baseURL, apiKey)
  const refuse = refusalOf(id)
  if (apiKey === undefined && baseURL === vendorURL && !hasKey(headers)) {
    throw refuse('apiKey is needed; make one at platform.claude.com')
  }
  if (cache !== undefined && !['off', '5m', '1h'].includes(cache)) throw refuse('cache is "off", "5m" or "1h"')
  if (typeof thinking === 'object' && !(Number.isInteger(thinking.budgetTokens) && thinking.budgetTokens >= 1_024)) {
    throw refuse('thinking.budgetTokens must be a whole number from 1024')
  }
}
