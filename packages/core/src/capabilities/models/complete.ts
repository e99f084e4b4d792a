import type { CapacityMeter } from './capacity.ts'
import { type Completion, modelErrors } from './contract.ts'
import type { ProviderGate } from './gate.ts'
import type { Model } from './model.ts'
import { isModelFailure, ModelFailure, type ModelRequest, noUsage, type Provider } from './provider.ts'

const longestMs = 60_000

export interface CompletionCall {
  readonly candidates: readonly Model[]
  providerOf(model: Model): Provider | Promise<Provider>
  readonly instructions: string
  readonly prompt: string
  readonly maxOutputTokens: number
  readonly signal: AbortSignal | undefined
  readonly gate: ProviderGate
  readonly capacity: CapacityMeter
}

/** One call: each candidate once, in order, but none whose breaker is open. Throws `MODEL_FAILED` or `MODEL_UNAVAILABLE`. */
export async function completeOnce(call: CompletionCall): Promise<Completion> {
  const { candidates, gate, capacity, instructions, maxOutputTokens, prompt } = call
  const timeout = AbortSignal.timeout(longestMs)
  const signal = call.signal ? AbortSignal.any([call.signal, timeout]) : timeout
  const messages = [{ role: 'user', parts: [{ type: 'text', text: prompt }] }] as const
  const request: ModelRequest = { instructions, messages, tools: [], maxOutputTokens }
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
    capacity.called(model)
    try {
      const provider = await call.providerOf(model)
      let text = ''
      let usage = noUsage
      for await (const part of provider.stream(model.name, request, signal)) {
        if (part.type === 'text') text += part.text
        else if (part.type === 'finish') usage = part.usage
      }
      capacity.answered(model, usage)
      await gate.succeeded(model.prefix, admission)
      return { text, model: model.id, usage }
    } catch (error) {
      last = error
      if (call.signal?.aborted) {
        await gate.abandoned(model.prefix, admission)
        throw modelErrors.MODEL_FAILED({ cause: error })
      }
      const failure = isModelFailure(error)
        ? error
        : new ModelFailure(signal.aborted ? 'timeout' : 'server', 'it threw')
      capacity.failed(model, failure)
      await gate.failed(model.prefix, admission, failure)
      if (signal.aborted) throw modelErrors.MODEL_FAILED({ cause: error, details: { failure: failure.failure } })
    }
  }
  if (last === undefined) {
    throw modelErrors.MODEL_UNAVAILABLE(Number.isFinite(retryAfterMs) ? { retryAfterMs: retryAfterMs as number } : {})
  }
  throw modelErrors.MODEL_FAILED({ cause: last, details: isModelFailure(last) ? { failure: last.failure } : {} })
}
