import { ModelFailure, type ModelInfo, type ModelPart, type Provider } from '../capabilities/models/index.ts'
import type { JsonObject } from '../kernel/json.ts'
import { unlessAborted } from '../kernel/unless-aborted.ts'
import { answerReader } from './ai-sdk/answer.ts'
import { failureOf } from './ai-sdk/failure.ts'
import { type AiSdkModel, isModel, type StreamPart } from './ai-sdk/model.ts'
import { promptWriter } from './ai-sdk/prompt.ts'
import { providerErrors } from './errors.ts'

export type { AiSdkModel } from './ai-sdk/model.ts'
/** Bounds what a server may send. For the `fetch` option of the AI SDK's own providers, which read on and on. */
export { boundedFetch } from './bounded-fetch.ts'

export interface AiSdkOptions {
  /** Prefix of its models. */
  readonly id: string
  /**
   * A model, which then answers for every name, or what makes one of a name: every provider of the AI SDK is such a
   * function.
   */
  readonly model: AiSdkModel | ((name: string) => AiSdkModel)
  readonly models?: readonly ModelInfo[]
  /** True when it runs on this machine and needs no key. */
  readonly local?: boolean
  /** Sent with every request, by the name of the AI SDK's provider. */
  readonly providerOptions?: Readonly<Record<string, JsonObject>>
  readonly headers?: Readonly<Record<string, string>>
  /** Values that may stand in no message, such as the key that the AI SDK's provider was given. */
  readonly secrets?: readonly string[]
}

/**
 * A provider for any language model of the AI SDK, version 5 or newer. Nothing of it is imported here: the host brings
 * the model. Throws `PROVIDER_OPTIONS_INVALID` when an option will not do.
 */
export function aiSdk(options: AiSdkOptions): Provider {
  const { id, model: given, headers = {}, providerOptions = {}, secrets = [] } = options
  checkOptions(options)
  const write = promptWriter({ by: id, headers, providerOptions })
  const hide = secretHider([...secrets, ...Object.values(headers)])

  const modelOf = (name: string): AiSdkModel => {
    const model: unknown = typeof given === 'function' ? given(name) : given
    if (isModel(model)) return model
    throw new ModelFailure('bad-request', `provider ${id}: what was made of "${name}" is ${notTaken}`)
  }

  return {
    id,
    ...(options.local === undefined ? {} : { local: options.local }),
    ...(options.models === undefined ? {} : { models: options.models }),
    async *stream(name, request, signal): AsyncGenerator<ModelPart> {
      signal.throwIfAborted()
      let stop = () => {}
      try {
        const model = modelOf(name)
        const call = await write(model, request, signal)
        // The versions differ in what `write` and `answerReader` know of.
        const { stream } = await unlessAborted(model.doStream(call as never), signal)
        const source = stream.getReader()
        // A model may not listen to the signal.
        stop = () => void source.cancel(signal.reason).catch(() => {})
        signal.addEventListener('abort', stop, { once: true })
        const reader = answerReader(id, model.provider)
        const parts: ModelPart[] = []
        for (let next = await source.read(); !next.done; next = await source.read()) {
          signal.throwIfAborted()
          reader.take(next.value as StreamPart, parts)
          for (const part of parts) yield part
          parts.length = 0
        }
        signal.throwIfAborted()
        yield* reader.end()
      } catch (error) {
        if (signal.aborted) throw signal.reason
        throw failureOf(error, hide, request.tools)
      } finally {
        signal.removeEventListener('abort', stop)
        stop()
      }
    },
  }
}

const notTaken = 'no language model of version 2, 3 or 4 of the AI SDK specification'

function checkOptions({ id, model }: AiSdkOptions): void {
  if (typeof id !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(id)) {
    throw providerErrors.PROVIDER_OPTIONS_INVALID({
      message: 'the id of a provider begins with a letter or digit and goes on with letters, digits, ".", "_" and "-"',
    })
  }
  if (typeof model !== 'function' && !isModel(model)) {
    throw providerErrors.PROVIDER_OPTIONS_INVALID({ message: `provider ${id}: model is ${notTaken}` })
  }
}

/** The key is in the hands of the AI SDK: what looks like one is hidden, besides what was named. */
function secretHider(named: readonly string[]): (text: string) => string {
  const values = named.filter((value) => value.length >= 8)
  return (text) => {
    let hidden = text
    for (const value of values) hidden = hidden.replaceAll(value, '[hidden]')
    return hidden.replace(/\bBearer\s+\S+|\b(?:sk|pk|rk|gsk|xai|hf|key|nvapi|pplx|AIza)[-_][\w-]{8,}/g, '[hidden]')
  }
}
