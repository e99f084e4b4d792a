import type { EmbeddingProvider, ModelInfo, Provider, TranscriptionProvider } from '../capabilities/models/index.ts'
import { providerErrors } from './errors.ts'
import { answerReader } from './openai-compatible/answer.ts'
import { connectionTo } from './openai-compatible/connection.ts'
import { listModels, listOllama } from './openai-compatible/discovery.ts'
import { embedderOver, transcriberOver } from './openai-compatible/media.ts'
import { requestWriter } from './openai-compatible/request.ts'
import {
  commonQuirks,
  type OpenAICompatibleQuirks,
  type OpenAICompatibleServer,
  servers,
} from './openai-compatible/servers.ts'

export type { OpenAICompatibleQuirks, OpenAICompatibleServer } from './openai-compatible/servers.ts'

const openaiURL = 'https://api.openai.com/v1'

/** OpenAI itself no longer knows the older name; it has a provider of its own, which can do more. */
const openaiQuirks = { maxTokensField: 'max_completion_tokens', imageURLs: true } as const

const isOpenai = (baseURL: string): boolean => /(^|\.)openai\.com$/.test(URL.parse(baseURL)?.hostname ?? '')

export interface OpenAICompatibleOptions {
  /** Which server it is, for its address and its quirks. Left out for one that is not in the table. */
  readonly server?: OpenAICompatibleServer
  /** Prefix of its models. @default the name of the server */
  readonly id?: string
  /** Ends where `/chat/completions` begins, mostly in `/v1`. @default where the server usually is, else OpenAI's own */
  readonly baseURL?: string | undefined
  /** The key, or a function that fetches it for each call. Left out for a server that wants none. */
  readonly apiKey?: string | (() => Promise<string>) | undefined
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  readonly models?: readonly ModelInfo[]
  /** True when the server runs on this machine and needs no key. @default as the server usually does */
  readonly local?: boolean
  /** @default the global `fetch` */
  readonly fetch?: typeof globalThis.fetch
  /** Replaces what is known of the server. */
  readonly quirks?: OpenAICompatibleQuirks
}

/**
 * A provider for every server that speaks OpenAI's Chat Completions protocol. Needs the package `openai`, which is
 * loaded by the first call. Throws `PROVIDER_OPTIONS_INVALID` when an option will not do.
 */
export function openaiCompatible(
  options: OpenAICompatibleOptions = {},
): Provider & EmbeddingProvider & TranscriptionProvider {
  const known = options.server === undefined ? undefined : servers[options.server]
  if (options.server !== undefined && known === undefined) {
    const names = Object.keys(servers).join(', ')
    throw providerErrors.PROVIDER_OPTIONS_INVALID({ message: `server is one of ${names}; others need only a baseURL` })
  }
  const { id = options.server ?? 'openai', headers = {}, local = known?.local } = options
  const baseURL = options.baseURL ?? known?.baseURL ?? openaiURL
  const connection = connectionTo({ id, baseURL, apiKey: options.apiKey, headers, fetch: options.fetch })
  const quirks = {
    parallelToolCalls: undefined,
    ...commonQuirks,
    ...(isOpenai(baseURL) ? openaiQuirks : {}),
    ...known?.quirks,
    ...options.quirks,
  }
  const write = requestWriter(quirks)

  return {
    id,
    ...(local === undefined ? {} : { local }),
    ...(options.models === undefined ? {} : { models: options.models }),
    stream: (model, request, signal) =>
      connection.stream(
        (client, sending) => client.chat.completions.create(write(model, request), sending),
        answerReader(quirks.reasoningFields),
        request,
        signal,
      ),
    withKey: (key) => openaiCompatible({ ...options, apiKey: key }),
    discover: (signal) =>
      quirks.discovery === 'ollama' ? listOllama(connection, baseURL, signal) : listModels(connection, signal),
    ...embedderOver(connection),
    ...transcriberOver(connection),
  }
}
