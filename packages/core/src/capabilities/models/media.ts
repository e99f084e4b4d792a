import type { Implementation } from '../../contract/invoke.ts'
import type { CallContext } from '../../kernel/context.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { ChargeCall } from './charge.ts'
import { modelErrors, type modelOperations } from './contract.ts'
import type { KeyedProviders } from './keyed.ts'
import type { Model } from './model.ts'
import { isModelFailure, noUsage } from './provider.ts'

const mostInputs = 10_000
const mostInputBytes = 8 * 2 ** 20
/** What the vendors take at once. */
const mostAudioBytes = 25 * 2 ** 20
const timeoutMs = 300_000

type Find = (id: string) => Model | null

const invalid = (message: string) => modelErrors.MODEL_INPUT_INVALID({ message })

/** No vendor makes more of audio than a token of so many bytes, however well it is compressed. */
const bytesPerAudioToken = 16

/** Texts to vectors and speech to text, by the provider of the model. Nothing is tried again or elsewhere. */
export function createMedia(
  find: Find,
  charge: ChargeCall,
  keyed: KeyedProviders['of'],
): Pick<Implementation<typeof modelOperations>, 'embed' | 'transcribe'> {
  const modelOf = (id: string) => {
    const found = find(id)
    if (!found) throw modelErrors.MODEL_UNKNOWN({ message: `no provider is registered for ${id}` })
    return found
  }

  async function call<Answer>({ signal }: CallContext, run: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      return await run(signal ? AbortSignal.any([signal, timeout]) : timeout)
    } catch (cause) {
      signal?.throwIfAborted()
      const details = isModelFailure(cause) ? { details: { failure: cause.failure } } : {}
      throw modelErrors.MODEL_FAILED({ cause, ...details })
    }
  }

  return {
    async embed(context, { model, inputs, dimensions }) {
      const bytes = checkInputs(inputs)
      if (dimensions !== undefined && !(Number.isSafeInteger(dimensions) && dimensions > 0)) {
        throw invalid('dimensions is a whole number from 1')
      }
      const found = modelOf(model)
      if (!found.provider.embed) {
        throw modelErrors.MODEL_UNFIT({ message: `the provider of ${model} makes no embeddings` })
      }
      const request = { inputs, ...(dimensions === undefined ? {} : { dimensions }) }
      const charged = await charge(context.principal, found, bytes, 0)
      const embedded = await call(context, async (signal) => {
        const provider = await keyed(found, context.principal.tenant)
        return await required(provider.embed).call(provider, found.name, request, signal)
      }).catch(async (error) => {
        await charged.failed(0)
        throw error
      })
      await charged.finished({ ...noUsage, input: embedded.tokens }, 0)
      return embedded
    },

    async transcribe(context, { model, ...request }) {
      const { audio, mediaType } = request
      if (!(audio instanceof Uint8Array) || audio.length === 0) throw invalid('audio is bytes, at least one')
      if (audio.length > mostAudioBytes) throw invalid(`audio has at most ${mostAudioBytes} bytes`)
      if (typeof mediaType !== 'string' || !/^audio\/[\w.+-]+(;.{0,100})?$/.test(mediaType)) {
        throw invalid('mediaType is that of audio, e.g. audio/mpeg')
      }
      const found = modelOf(model)
      if (!found.provider.transcribe)
        throw modelErrors.MODEL_UNFIT({ message: `the provider of ${model} does not transcribe` })
      const bytes = Math.ceil(audio.length / bytesPerAudioToken) + utf8Length(request.prompt ?? '')
      const charged = await charge(context.principal, found, bytes, found.maxOutputTokens)
      const transcript = await call(context, async (signal) => {
        const provider = await keyed(found, context.principal.tenant)
        return await required(provider.transcribe).call(provider, found.name, request, signal)
      }).catch(async (error) => {
        await charged.failed(0)
        throw error
      })
      const { input, output } = transcript.tokens
      if (input + output > 0) await charged.finished({ ...noUsage, input, output }, utf8Length(transcript.text))
      else await charged.unrated()
      return transcript
    },
  }
}

/** What a provider can do it can do with every key. */
function required<Ability>(ability: Ability | undefined): Ability {
  if (ability === undefined) throw modelErrors.MODEL_UNFIT()
  return ability
}

/** Returns their bytes. */
function checkInputs(inputs: readonly string[]): number {
  if (!Array.isArray(inputs) || inputs.length === 0 || inputs.length > mostInputs) {
    throw invalid(`inputs is a list of 1 to ${mostInputs} texts`)
  }
  let bytes = 0
  for (const text of inputs) {
    if (typeof text !== 'string' || text === '') throw invalid('an input is a text that is not empty')
    bytes += utf8Length(text)
  }
  if (bytes > mostInputBytes) throw invalid(`the inputs have at most ${mostInputBytes} bytes together`)
  return bytes
}
