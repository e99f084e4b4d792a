import type { Clock } from '../../kernel/clock.ts'
import {
  type FailureClass,
  isModelFailure,
  type Model,
  ModelFailure,
  type ModelPart,
  type ModelRequest,
  noUsage,
} from '../models/index.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { FinishReason, Usage } from '../sessions/index.ts'
import type { TurnLimits } from './limits.ts'
import { NotRecorded } from './turn-run.ts'

export interface StepCall {
  readonly call: string
  readonly tool: string
  readonly arguments: string
}

export interface StepResult {
  readonly model: Model
  readonly text: string
  readonly reasoning: string
  readonly calls: readonly StepCall[]
  readonly reason: FinishReason
  readonly usage: Usage
}

export interface StepInput {
  readonly step: number
  readonly candidates: readonly Model[]
  /** May throw `context-too-long` for a model with a small window. */
  request(model: Model): ModelRequest
  readonly live: LiveTurn
  readonly limits: TurnLimits
  readonly clock: Clock
  /** Aborted by cancel and by shut-down. */
  readonly signal: AbortSignal
  /** Stores what the step has said so far. */
  flush(): Promise<void>
  /** Told of every failed attempt. */
  failed(model: Model, failure: ModelFailure): void
}

/** Trying the same model again may help. */
const worthRetrying: ReadonlySet<FailureClass> = new Set([
  'rate-limit',
  'overload',
  'server',
  'timeout',
  'network',
  'malformed',
])

/**
 * One model call, with retries and failover: each candidate in turn, up to `limits.attempts` times. What a failed
 * attempt had said is taken back with `step.restarted`. Throws the last `ModelFailure`, or the abort reason.
 */
export async function runStep(input: StepInput): Promise<StepResult> {
  const { candidates, clock, limits, live, signal, step } = input
  let last: ModelFailure | undefined
  for (const model of candidates) {
    for (let attempt = 1; attempt <= limits.attempts; attempt += 1) {
      signal.throwIfAborted()
      if (last) {
        live.stage({ type: 'step.restarted', step, model: model.id, reason: last.failure })
        live.publish()
      }
      try {
        return await runAttempt(input, model)
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof NotRecorded) throw error
        last = isModelFailure(error) ? error : new ModelFailure('server', 'the provider threw', { cause: error })
        input.failed(model, last)
        if (last.failure === 'content-refused') throw last
        const wait = last.retryAfterMs ?? limits.backoffMs * 2 ** (attempt - 1) * (0.5 + Math.random() / 2)
        if (!worthRetrying.has(last.failure) || wait > limits.longestWaitMs || attempt === limits.attempts) break
        await pause(clock, wait, signal)
      }
    }
  }
  throw last ?? new ModelFailure('bad-request', 'there is no model to call')
}

async function runAttempt(input: StepInput, model: Model): Promise<StepResult> {
  const { clock, limits, live, signal, step } = input
  const request = input.request(model)
  const aborter = new AbortController()
  const answer = { text: '', reasoning: '', calls: [] as StepCall[] }
  let finish: Extract<ModelPart, { type: 'finish' }> | undefined
  const startedAt = clock.now()
  let lastPartAt = 0

  const consume = async () => {
    for await (const part of model.provider.stream(model.name, request, aborter.signal)) {
      // A provider that ignores its signal may go on; nobody listens any more.
      if (aborter.signal.aborted) return
      lastPartAt = clock.now()
      if (part.type === 'text') {
        answer.text += part.text
        live.delta('text.delta', step, part.text)
      } else if (part.type === 'reasoning') {
        answer.reasoning += part.text
        live.delta('reasoning.delta', step, part.text)
      } else if (part.type === 'tool-call') {
        answer.calls.push({ call: part.call, tool: part.tool, arguments: part.arguments })
      } else {
        finish = part
      }
      if (answer.text.length + answer.reasoning.length > limits.answerLength) {
        throw new ModelFailure('malformed', `the answer is longer than ${limits.answerLength} characters`)
      }
    }
    if (!finish) throw new ModelFailure('network', 'the stream ended before the answer was finished')
  }

  let stopWatching = () => {}
  const watch = new Promise<never>((_, reject) => {
    const giveUp = (reason: unknown) => {
      reject(reason)
      aborter.abort(reason)
    }
    const look = () => {
      const now = clock.now()
      const [over, what] = lastPartAt
        ? [lastPartAt + limits.idleMs, 'nothing more came']
        : [startedAt + limits.firstTokenMs, 'nothing came']
      if (now >= Math.min(over, startedAt + limits.stepMs)) {
        giveUp(new ModelFailure('timeout', now >= over ? `${what} in time` : 'the answer took too long'))
        return
      }
      if (live.hasUnstored) input.flush().catch(giveUp)
      cancelTimer = clock.after(Math.min(limits.flushMs, over - now, startedAt + limits.stepMs - now), look)
    }
    let cancelTimer = clock.after(Math.min(limits.flushMs, limits.firstTokenMs, limits.stepMs), look)
    const aborted = () => giveUp(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    stopWatching = () => {
      cancelTimer()
      signal.removeEventListener('abort', aborted)
    }
  })

  try {
    await Promise.race([consume(), watch])
  } catch (error) {
    aborter.abort(error)
    throw error
  } finally {
    stopWatching()
  }
  const { reason, usage } = finish ?? { reason: 'other', usage: noUsage }
  return { model, ...answer, reason, usage }
}

/** Waits on the clock; rejects with the abort reason. */
function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = () => {
      cancel()
      reject(signal.reason)
    }
    const cancel = clock.after(ms, () => {
      signal.removeEventListener('abort', aborted)
      resolve()
    })
    signal.addEventListener('abort', aborted, { once: true })
  })
}
