import type { ModelInfo, Provider } from '../capabilities/models/index.ts'
import type { JsonObject } from '../kernel/json.ts'
import { answerReader } from './openai-compatible/answer.ts'
import { connectionTo } from './openai-compatible/connection.ts'
import { requestWriter } from './openai-compatible/request.ts'

const openaiURL = 'https://api.openai.com/v1'

/** Where a server departs from what most do. */
export interface OpenAICompatibleQuirks {
  /** @default 'max_completion_tokens' for OpenAI itself, 'max_tokens' for every other server */
  readonly maxTokensField?: 'max_tokens' | 'max_completion_tokens'
  /** @default 'system' */
  readonly systemRole?: 'system' | 'developer'
  /** False for a server that refuses `stream_options`; usage is then what it sends by itself. @default true */
  readonly streamUsage?: boolean
  /** True for a server that wants earlier reasoning sent back. @default false */
  readonly returnReasoning?: boolean
  /** Fields added to every request. */
  readonly extraBody?: JsonObject
}

export interface OpenAICompatibleOptions {
  /** Prefix of its models. @default 'openai' */
  readonly id?: string
  /** @default OpenAI's own */
  readonly baseURL?: string | undefined
  /** The key, or a function that fetches it for each call. Left out for a server that wants none. */
  readonly apiKey?: string | (() => Promise<string>) | undefined
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  readonly models?: readonly ModelInfo[]
  /** True when the server runs on this machine and needs no key. */
  readonly local?: boolean
  /** @default the global `fetch` */
  readonly fetch?: typeof globalThis.fetch
  readonly quirks?: OpenAICompatibleQuirks
}

/**
 * A provider for OpenAI and for every server that speaks its Chat Completions protocol. Needs the package `openai`,
 * which is loaded by the first call. Throws `PROVIDER_OPTIONS_INVALID` when an option will not do.
 */
export function openaiCompatible(options: OpenAICompatibleOptions = {}): Provider {
  const { id = 'openai', baseURL = openaiURL, headers = {}, quirks = {} } = options
  const connection = connectionTo({ id, baseURL, apiKey: options.apiKey, headers, fetch: options.fetch })
  const write = requestWriter({
    maxTokensField: quirks.maxTokensField ?? (isOpenai(baseURL) ? 'max_completion_tokens' : 'max_tokens'),
    systemRole: quirks.systemRole ?? 'system',
    streamUsage: quirks.streamUsage ?? true,
    returnReasoning: quirks.returnReasoning ?? false,
    extraBody: quirks.extraBody ?? {},
  })

  return {
    id,
    ...(options.local === undefined ? {} : { local: options.local }),
    ...(options.models === undefined ? {} : { models: options.models }),
    stream: (model, request, signal) =>
      connection.stream(
        (client, sending) => client.chat.completions.create(write(model, request), sending),
        answerReader(),
        request,
        signal,
      ),
  }
}

const isOpenai = (baseURL: string): boolean => /(^|\.)openai\.com$/.test(URL.parse(baseURL)?.hostname ?? '')
