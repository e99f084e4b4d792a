import { isKeelsonError } from '../../kernel/errors.ts'
import {
  type Admission,
  type FailureClass,
  isModelFailure,
  type Model,
  ModelFailure,
  modelErrors,
} from '../models/index.ts'
import type { ModelAttempt } from '../sessions/index.ts'
import { CallRefused, NotRecorded } from './errors.ts'
import { pause } from './pause.ts'
import { runAttempt } from './step.ts'
import type { StepResult } from './step-result.ts'
import type { TurnRun } from './turn-run.ts'

/** Trying the same model again may help. */
const worthRetrying: ReadonlySet<FailureClass> = new Set([
  'rate-limit',
  'overload',
  'server',
  'timeout',
  'network',
  'malformed',
])

type Skip = 'breaker-open' | 'probe-running' | 'over-capacity' | 'rate-limited'

/**
 * One model call, with retries and failover: each candidate that may be called in turn, up to `limits.attempts` times;
 * those whose capacity is used up only when no other answers, after a wait. What a failed attempt had said is taken back
 * with `step.restarted`. Throws the last `ModelFailure`, `MODEL_UNAVAILABLE` when none could be called, `CallRefused` when
 * one may not be made, or the abort reason.
 */
export async function runStep(run: TurnRun, step: number): Promise<StepResult> {
  const candidates = new Candidates(run, step)
  let full: Model[] | undefined
  for (const model of run.input.candidates) {
    if (candidates.mustWait(model)) {
      full ??= []
      full.push(model)
      continue
    }
    const result = await candidates.tryModel(model)
    if (result) return result
  }
  for (const model of full ?? []) {
    const result = (await candidates.waitFor(model)) ? await candidates.tryModel(model) : null
    if (result) return result
  }
  throw candidates.failure()
}

class Candidates {
  readonly #run: TurnRun
  readonly #step: number
  #last: ModelFailure | undefined
  #begun = false
  #troubled = false
  /** Milliseconds until one that was passed over may be called. */
  #soonest: number | null = null
  readonly #skipped: { model: string; reason: Skip }[] = []

  constructor(run: TurnRun, step: number) {
    this.#run = run
    this.#step = step
  }

  /** True for a model that is not to be called now, by its limits or its provider's wish. */
  mustWait(model: Model): boolean {
    const { meter } = this.#run.services.models
    const held = meter.heldFor(model)
    if (held === 0 && meter.fullFor(model) === 0) return false
    this.#skip(model, held > 0 ? 'rate-limited' : 'over-capacity', null)
    return true
  }

  /** Waits until a model may be called, unless that is too long. */
  async waitFor(model: Model): Promise<boolean> {
    const { clock, limits, models } = this.#run.services
    const { meter } = models
    let left = limits.longestWaitMs
    for (;;) {
      const wait = Math.max(meter.heldFor(model), meter.fullFor(model))
      if (wait === 0) return true
      if (wait > left) {
        this.#hint(wait)
        return false
      }
      left -= wait
      await pause(clock, wait, this.#run.input.signal)
    }
  }

  /** Null when it may not be called, or has failed in a way that another model may not. */
  async tryModel(model: Model): Promise<StepResult | null> {
    const { clock, gate, limits, models } = this.#run.services
    const { signal } = this.#run.input
    for (let attempt = 1; attempt <= limits.attempts; attempt += 1) {
      signal.throwIfAborted()
      const answer = gate.admit(model.prefix)
      const admission = answer instanceof Promise ? await answer : answer
      if (!admission.allowed) {
        this.#skip(model, admission.reason, admission.retryAfterMs)
        return null
      }
      // Asking may have taken a while.
      if (signal.aborted) {
        await gate.abandoned(model.prefix, admission)
        throw signal.reason
      }
      this.#begin(model)
      const at = clock.now()
      try {
        const result = await runAttempt(this.#run, this.#step, model)
        models.meter.answered(model, result.usage)
        const told = gate.succeeded(model.prefix, admission)
        if (told !== undefined) await told
        if (this.#troubled) this.#note(model, 'answered', null, at)
        return result
      } catch (error) {
        const failure = await this.#failed(model, admission, error, at)
        if (failure.failure === 'content-refused') throw failure
        const backoff = limits.backoffMs * 2 ** (attempt - 1) * (0.5 + Math.random() / 2)
        const wait = Math.max(failure.retryAfterMs ?? 0, Math.ceil(backoff))
        if (!worthRetrying.has(failure.failure) || wait > limits.longestWaitMs || attempt === limits.attempts) break
        await pause(clock, wait, signal)
      }
    }
    return null
  }

  failure(): Error {
    if (this.#last) return this.#last
    const skipped = this.#skipped.map(({ model, reason }) => `${model} (${reason})`).join(', ')
    return modelErrors.MODEL_UNAVAILABLE({
      message: `no model can be called now: ${skipped}`,
      ...(this.#soonest === null ? {} : { retryAfterMs: this.#soonest }),
    })
  }

  #begin(model: Model): void {
    const { live } = this.#run.input
    const step = this.#step
    if (!this.#begun) live.stage({ type: 'step.started', step, model: model.id, at: this.#run.services.clock.now() })
    else live.stage({ type: 'step.restarted', step, model: model.id, reason: this.#last?.failure ?? 'server' })
    this.#begun = true
    live.publish()
  }

  /** Tells everybody who has to know. Throws what is no failure of the model. */
  async #failed(model: Model, admission: Admission, error: unknown, at: number): Promise<ModelFailure> {
    const { clock, gate, models, report } = this.#run.services
    const { signal, turnMs } = this.#run.input
    const unsent = error instanceof CallRefused
    if (signal.aborted || unsent || error instanceof NotRecorded) {
      const timedOut = isKeelsonError(signal.reason) && signal.reason.code === 'TURN_TIMEOUT'
      // Otherwise a model that hangs for as long as turns may run would never be found out.
      if (timedOut && !unsent && clock.now() - at >= turnMs / 2) {
        const failure = new ModelFailure('timeout', 'no answer within the time of the turn')
        await gate.failed(model.prefix, admission, failure)
        this.#note(model, 'failed', failure.failure, at)
      } else {
        const told = gate.abandoned(model.prefix, admission)
        if (told !== undefined) await told
      }
      throw signal.aborted && !(error instanceof NotRecorded) ? signal.reason : error
    }
    const failure = failureOf(error)
    this.#last = failure
    models.meter.failed(model, failure)
    report(failure, `model ${model.id}`)
    this.#note(model, 'failed', failure.failure, at)
    await gate.failed(model.prefix, admission, failure)
    signal.throwIfAborted()
    return failure
  }

  #skip(model: Model, reason: Skip, retryAfterMs: number | null): void {
    if (retryAfterMs !== null) this.#hint(retryAfterMs)
    this.#skipped.push({ model: model.id, reason })
    this.#note(model, 'skipped', reason, this.#run.services.clock.now())
  }

  #hint(waitMs: number): void {
    this.#soonest = Math.min(this.#soonest ?? waitMs, waitMs)
  }

  #note(model: Model, outcome: ModelAttempt['outcome'], reason: string | null, at: number): void {
    const durationMs = Math.max(0, this.#run.services.clock.now() - at)
    this.#troubled = true
    this.#run.attempted({ step: this.#step, model: model.id, outcome, reason, at, durationMs })
  }
}

/** A typed error of the provider says that it cannot be used at all; anything else that is thrown may pass. */
function failureOf(error: unknown): ModelFailure {
  if (isModelFailure(error)) return error
  if (isKeelsonError(error)) return new ModelFailure('bad-request', error.message, { cause: error })
  return new ModelFailure('server', 'the provider threw', { cause: error })
}
