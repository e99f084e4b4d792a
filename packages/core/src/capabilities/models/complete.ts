import type { Principal } from '../../kernel/context.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { CapacityMeter } from './capacity.ts'
import type { ChargeCall } from './charge.ts'
import { type Completion, modelErrors } from './contract.ts'
import type { ProviderGate } from './gate.ts'
import { ofWhoseKey } from './keyed.ts'
import type { Model } from './model.ts'
import { isModelFailure, ModelFailure, type ModelRequest, noUsage, type Provider } from './provider.ts'

const longestMs = 60_000

export interface CompletionCall {
  readonly principal: Principal
  readonly candidates: readonly Model[]
  providerOf(model: Model): Provider | Promise<Provider>
  readonly instructions: string
  readonly prompt: string
  readonly maxOutputTokens: number
  readonly signal: AbortSignal | undefined
  readonly gate: ProviderGate
  readonly charge: ChargeCall
  readonly capacity: CapacityMeter
}

/**
 * One call: each candidate once, in order, but none whose breaker is open. Throws `MODEL_FAILED` or `MODEL_UNAVAILABLE`, or
 * why a budget refuses it: another model is not asked then.
 */
export async function completeOnce(call: CompletionCall): Promise<Completion> {
  const { candidates, capacity, charge, gate, instructions, maxOutputTokens, principal, prompt } = call
  const timeout = AbortSignal.timeout(longestMs)
  const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout
  const messages = [{ role: 'user', parts: [{ type: 'text', text: prompt }] }] as const
  const request: ModelRequest = { instructions, messages, tools: [], maxOutputTokens }
  const requestBytes = utf8Length(JSON.stringify(request))
  let last: unknown
  let retryAfterMs: number | undefined
  for (const model of candidates) {
    const admission = await gate.admit(model.prefix)
    if (!admission.allowed) {
      retryAfterMs = Math.min(
        retryAfterMs ?? Number.POSITIVE_INFINITY,
        admission.retryAfterMs ?? Number.POSITIVE_INFINITY,
      )
      continue
    }
    const charged = await charge(principal, model, requestBytes, maxOutputTokens).catch(async (refusal) => {
      await gate.abandoned(model.prefix, admission)
      throw refusal
    })
    capacity.called(model)
    let text = ''
    let given: unknown = noUsage
    let provider: Provider | undefined
    try {
      provider = await call.providerOf(model)
      for await (const part of provider.stream(model.name, request, signal)) {
        if (part.type === 'text') text += part.text
        else if (part.type === 'finish') given = part.usage
      }
    } catch (thrown) {
      const error = ofWhoseKey(thrown, model, provider)
      last = error
      if (call.signal?.aborted) {
        await gate.abandoned(model.prefix, admission)
        await charged.failed(utf8Length(text))
        throw modelErrors.MODEL_FAILED({ cause: error })
      }
      const failure = isModelFailure(error)
        ? error
        : new ModelFailure(signal.aborted ? 'timeout' : 'server', 'it threw')
      capacity.failed(model, failure)
      await gate.failed(model.prefix, admission, failure)
      await charged.failed(utf8Length(text))
      if (signal.aborted) throw modelErrors.MODEL_FAILED({ cause: error, details: { failure: failure.failure } })
      continue
    }
    await gate.succeeded(model.prefix, admission)
    const usage = await charged.finished(given, utf8Length(text))
    capacity.answered(model, usage)
    return { text, model: model.id, usage }
  }
  if (last === undefined) {
    throw modelErrors.MODEL_UNAVAILABLE(Number.isFinite(retryAfterMs) ? { retryAfterMs: retryAfterMs as number } : {})
  }
  throw modelErrors.MODEL_FAILED({ cause: last, details: isModelFailure(last) ? { failure: last.failure } : {} })
}
