import type { EmbeddingProvider, ModelInfo, Provider, TranscriptionProvider } from '../capabilities/models/index.ts'
import type { JsonObject } from '../kernel/json.ts'
import { providerErrors } from './errors.ts'
import { isReasoningModel, openaiModels } from './openai/models.ts'
import { responsesReader } from './openai/responses-answer.ts'
import { type ReasoningOptions, responsesWriter } from './openai/responses-request.ts'
import { isStrict } from './openai/strict-schema.ts'
import { answerReader } from './openai-compatible/answer.ts'
import { connectionTo } from './openai-compatible/connection.ts'
import { listModels } from './openai-compatible/discovery.ts'
import { embedderOver, transcriberOver } from './openai-compatible/media.ts'
import { requestWriter } from './openai-compatible/request.ts'

const officialURL = 'https://api.openai.com/v1'

export interface OpenAIOptions {
  /** The key, or a function that fetches it for each call. Needed unless `baseURL` is somebody else's. */
  readonly apiKey?: string | (() => Promise<string>) | undefined
  /** Prefix of its models. @default 'openai' */
  readonly id?: string
  /** @default OpenAI's own */
  readonly baseURL?: string | undefined
  /** `responses` keeps the thoughts of reasoning models over tool calls; some of them take tools nowhere else. @default 'responses' */
  readonly api?: 'responses' | 'chat'
  readonly reasoning?: ReasoningOptions
  /** False lets the model make one tool call at a time. @default the model's own */
  readonly parallelToolCalls?: boolean
  /** Billed to and limited by these; sent as headers. */
  readonly organization?: string
  readonly project?: string
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  /** Facts that replace or join those of the shipped table. */
  readonly models?: readonly ModelInfo[]
  /** Fields added to every request. */
  readonly extraBody?: JsonObject
  /** @default the global `fetch` */
  readonly fetch?: typeof globalThis.fetch
}

/**
 * OpenAI. Needs the package `openai`, which is loaded by the first call. Nothing is stored with the vendor
 * (`store: false`): thoughts go back with the history, encrypted. Throws `PROVIDER_OPTIONS_INVALID` when an option will
 * not do.
 */
export function openai(options: OpenAIOptions = {}): Provider & EmbeddingProvider & TranscriptionProvider {
  const { api = 'responses', apiKey, baseURL = officialURL, extraBody = {}, id = 'openai', reasoning } = options
  const { parallelToolCalls } = options
  const refuse = (message: string) => providerErrors.PROVIDER_OPTIONS_INVALID({ message: `provider ${id}: ${message}` })
  if (apiKey === undefined && baseURL === officialURL) throw refuse('apiKey is needed; make one at platform.openai.com')
  if (api !== 'responses' && api !== 'chat') throw refuse('api is "responses" or "chat"')
  const headers = {
    ...(options.organization === undefined ? {} : { 'OpenAI-Organization': options.organization }),
    ...(options.project === undefined ? {} : { 'OpenAI-Project': options.project }),
    ...options.headers,
  }
  const connection = connectionTo({ id, baseURL, apiKey, headers, fetch: options.fetch })

  const chat = requestWriter({
    maxTokensField: 'max_completion_tokens',
    systemRole: 'developer',
    usage: 'stream_options',
    returnReasoning: null,
    structuredOutput: true,
    imageURLs: true,
    parallelToolCalls,
    fixedTemperature: isReasoningModel,
    isStrict,
    extraBody: reasoning?.effort === undefined ? extraBody : { reasoning_effort: reasoning.effort, ...extraBody },
  })
  const responses = responsesWriter({ id, reasoning, parallelToolCalls, extraBody })

  const stream: Provider['stream'] =
    api === 'chat'
      ? (model, request, signal) =>
          connection.stream(
            (client, sending) => client.chat.completions.create(chat(model, request), sending),
            answerReader(),
            request,
            signal,
          )
      : (model, request, signal) =>
          connection.stream(
            (client, sending) => client.responses.create(responses(model, request), sending),
            responsesReader(id, model),
            request,
            signal,
          )

  return {
    id,
    models: openaiModels(options.models ?? []),
    stream,
    withKey: (key) => openai({ ...options, apiKey: key }),
    discover: (signal) => listModels(connection, signal),
    ...embedderOver(connection),
    ...transcriberOver(connection),
  }
}
