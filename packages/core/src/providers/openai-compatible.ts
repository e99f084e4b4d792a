import type OpenAI from 'openai'
import { ModelFailure, type ModelInfo, type ModelPart, type Provider } from '../capabilities/models/index.ts'
import type { JsonObject } from '../kernel/json.ts'
import { providerErrors } from './errors.ts'
import { answerReader } from './openai-compatible/answer.ts'
import { loadSdk, makeClient, type Sdk } from './openai-compatible/client.ts'
import { failureOf } from './openai-compatible/failure.ts'
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
  const url = checkOptions(id, baseURL, options.apiKey)
  const write = requestWriter({
    maxTokensField: quirks.maxTokensField ?? (isOpenai(url) ? 'max_completion_tokens' : 'max_tokens'),
    systemRole: quirks.systemRole ?? 'system',
    streamUsage: quirks.streamUsage ?? true,
    returnReasoning: quirks.returnReasoning ?? false,
    extraBody: quirks.extraBody ?? {},
  })
  const secrets = secretKeeper(options.apiKey, headers)
  let ready: Promise<{ sdk: Sdk; client: OpenAI }> | undefined
  const connect = async () => {
    const sdk = await loadSdk()
    return { sdk, client: makeClient(sdk, { baseURL, apiKey: secrets.apiKey, headers, fetch: options.fetch }) }
  }

  return {
    id,
    ...(options.local === undefined ? {} : { local: options.local }),
    ...(options.models === undefined ? {} : { models: options.models }),
    async *stream(model, request, signal): AsyncGenerator<ModelPart> {
      signal.throwIfAborted()
      ready ??= connect()
      const { sdk, client } = await ready.catch((error) => {
        // The package may be installed by the next call.
        ready = undefined
        throw error
      })
      const reader = answerReader()
      const parts: ModelPart[] = []
      try {
        const sending = client.chat.completions.create(write(model, request), { signal }).withResponse()
        const { data, response } = await untilAborted(sending, signal)
        const type = response.headers.get('content-type') ?? ''
        if (/html|application\/json/i.test(type)) {
          data.controller.abort()
          throw new ModelFailure('malformed', `the server answered with ${type} instead of an event stream`)
        }
        for await (const chunk of data) {
          reader.take(chunk, parts)
          for (const part of parts) yield part
          parts.length = 0
        }
        // The client ends a stream that was aborted as if it were whole.
        signal.throwIfAborted()
        yield* reader.end()
      } catch (error) {
        if (signal.aborted) throw signal.reason
        const failure = failureOf(error, sdk, secrets.hide)
        throw failure
      }
    },
  }
}

const isOpenai = (url: URL): boolean => url.hostname === 'openai.com' || url.hostname.endsWith('.openai.com')

function checkOptions(id: string, baseURL: string, apiKey: OpenAICompatibleOptions['apiKey']): URL {
  const refuse = (message: string) => providerErrors.PROVIDER_OPTIONS_INVALID({ message: `provider ${id}: ${message}` })
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(id)) {
    throw providerErrors.PROVIDER_OPTIONS_INVALID({
      message: 'the id of a provider begins with a letter or digit and goes on with letters, digits, ".", "_" and "-"',
    })
  }
  const url = URL.parse(baseURL)
  if (url === null || !/^https?:$/.test(url.protocol)) throw refuse('baseURL must be an http or https URL')
  if (url.username !== '' || url.password !== '') throw refuse('baseURL must not hold credentials; use apiKey')
  if (typeof apiKey === 'string' && !isKey(apiKey)) throw refuse(badKey)
  return url
}

/** Printable characters only: anything else would be refused by `fetch`, which quotes the whole header. */
const isKey = (key: string): boolean => /^[\x21-\x7e]+$/.test(key)
const badKey = 'apiKey is empty, or holds a space, a line break or another character that no key has'

/** Knows what must not get into a message: the key, as it was last fetched, and the values of the host's headers. */
function secretKeeper(given: OpenAICompatibleOptions['apiKey'], headers: Readonly<Record<string, string>>) {
  const values = new Set(Object.values(headers).filter((value) => value.length >= 8))
  if (typeof given === 'string') values.add(given)
  let fetched: string | undefined
  const apiKey =
    typeof given !== 'function'
      ? given
      : async () => {
          const key = await given()
          if (typeof key !== 'string' || !isKey(key)) throw new ModelFailure('auth', badKey)
          fetched = key
          return key
        }
  const hide = (text: string): string => {
    let hidden = text
    for (const value of fetched === undefined ? values : [fetched, ...values]) {
      hidden = hidden.replaceAll(value, '[hidden]')
    }
    return hidden
  }
  return { apiKey, hide }
}

/** Settles with the promise, or rejects at once when the signal is aborted, even if a custom fetch ignores it. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
