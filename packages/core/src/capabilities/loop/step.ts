import {
  type Model,
  ModelFailure,
  type ModelPart,
  type ModelRequest,
  noUsage,
  ofWhoseKey,
  type Provider,
} from '../models/index.ts'
import { checkPart, lengthOf } from './model-part.ts'
import type { StepCall, StepResult, Thought } from './step-result.ts'
import type { TurnRun } from './turn-run.ts'

/**
 * One call of one model. Throws a `ModelFailure` or whatever the provider throws, the abort reason, or `CallRefused` when
 * the call may not be made.
 */
export async function runAttempt(run: TurnRun, step: number, model: Model): Promise<StepResult> {
  const request = run.request(model)
  const reserving = run.costs.begin(step, model, request, run.segments)
  if (reserving !== undefined) await reserving
  // Not before: a caller whose budget is used up takes no capacity from others.
  run.services.models.meter.called(model)
  const attempt = new Attempt(run, step, model)
  try {
    await attempt.answered(request)
  } catch (error) {
    attempt.abort(error)
    run.costs.cut(attempt.length)
    throw ofWhoseKey(error, model, attempt.provider)
  } finally {
    attempt.stopWatching()
    // What was said is stored before what comes after it.
    if (attempt.flushing !== undefined) await attempt.flushing
  }
  return run.costs.finished(attempt.result())
}

/** A model's answer while it comes. */
class Attempt {
  /** Characters so far. */
  length = 0
  flushing: Promise<void> | undefined
  /** Who is asked: the model's provider, with the key of the turn's tenant if it has set one. */
  provider: Provider | undefined
  readonly #run: TurnRun
  readonly #step: number
  readonly #model: Model
  readonly #aborter = new AbortController()
  #text = ''
  #reasoning = ''
  readonly #thoughts: Thought[] = []
  readonly #calls: StepCall[] = []
  #finish: Extract<ModelPart, { type: 'finish' }> | undefined
  #startedAt: number
  #lookedAt: number
  #lastPartAt: number | null = null
  #reject: (reason: unknown) => void = () => {}
  #cancelTimer = () => {}

  constructor(run: TurnRun, step: number, model: Model) {
    this.#run = run
    this.#step = step
    this.#model = model
    this.#startedAt = run.services.clock.now()
    this.#lookedAt = this.#startedAt
  }

  /** Resolves when the answer is whole; rejects when it fails, when its time is over and when the turn is ended. */
  answered(request: ModelRequest): Promise<void> {
    // It may have been ended while money was set aside.
    this.#run.input.signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      this.#reject = reject
      const { flushMs, firstTokenMs, stepMs } = this.#run.services.limits
      this.#lookIn(Math.min(flushMs, firstTokenMs, stepMs))
      this.#run.input.stop.listener = (reason) => this.#giveUp(reason)
      this.#consume(request, resolve).catch(reject)
    })
  }

  abort(reason: unknown): void {
    this.#aborter.abort(reason)
  }

  stopWatching(): void {
    this.#cancelTimer()
    this.#run.input.stop.listener = null
  }

  result(): StepResult {
    const { reason, usage } = this.#finish ?? { reason: 'other', usage: noUsage }
    if (this.#reasoning !== '') this.#thoughts.push({ type: 'reasoning', text: this.#reasoning })
    const calls = distinct(this.#calls)
    return { model: this.#model, text: this.#text, thoughts: this.#thoughts, calls, reason, usage }
  }

  async #consume(request: ModelRequest, whole: () => void): Promise<void> {
    const { clock, limits, models } = this.#run.services
    const { signal } = this.#aborter
    const asked = models.providerOf(this.#model, this.#run.input.started.turn.tenant)
    this.provider = asked instanceof Promise ? await asked : asked
    if (signal.aborted) return
    const parts = this.provider.stream(this.#model.name, request, signal)[Symbol.asyncIterator]()
    try {
      for (let next = await parts.next(); !next.done; next = await parts.next()) {
        // A provider that ignores its signal may go on; nobody listens any more.
        if (signal.aborted) return
        const part = checkPart(next.value)
        this.#lastPartAt = clock.now()
        if (part.type === 'finish') {
          this.#finish = part
          whole()
          return
        }
        this.length += lengthOf(part)
        if (this.length > limits.answerLength) {
          throw new ModelFailure('malformed', `the answer is longer than ${limits.answerLength} characters`)
        }
        this.#take(part)
      }
    } finally {
      // Not awaited: the answer does not wait for what a provider still has to clear away.
      parts.return?.().catch(() => {})
    }
    throw new ModelFailure('network', 'the stream ended before the answer was finished')
  }

  #take(part: Exclude<ModelPart, { type: 'finish' }>): void {
    const { live } = this.#run.input
    if (part.type === 'text') {
      this.#text += part.text
      live.delta('text.delta', this.#step, part.text)
    } else if (part.type === 'reasoning') {
      this.#reasoning += part.text
      live.delta('reasoning.delta', this.#step, part.text)
      if (part.state === undefined) return
      this.#thoughts.push({ type: 'reasoning', text: this.#reasoning, state: part.state })
      this.#reasoning = ''
    } else {
      // Half a character would be stored as another one, and an approval is bound to the exact text.
      const [call, tool, args] = [part.call.toWellFormed(), part.tool.toWellFormed(), part.arguments.toWellFormed()]
      this.#calls.push({ call, tool, arguments: args })
    }
  }

  #giveUp(reason: unknown): void {
    // An answer that is whole by now counts.
    queueMicrotask(() => this.#reject(reason))
    this.#aborter.abort(reason)
  }

  #lookIn(ms: number): void {
    this.#cancelTimer = this.#run.services.clock.after(ms, () => this.#look())
  }

  /** Gives up when it takes too long; else stores what was said since the last look, and looks again later. */
  #look(): void {
    const { clock, limits } = this.#run.services
    const now = clock.now()
    // A clock that was set back must not make the limits longer by as much.
    this.#startedAt -= Math.max(0, this.#lookedAt - now)
    if (this.#lastPartAt !== null) this.#lastPartAt = Math.min(this.#lastPartAt, now)
    this.#lookedAt = now
    const last = this.#lastPartAt
    const end = this.#startedAt + limits.stepMs
    const over = last === null ? this.#startedAt + limits.firstTokenMs : last + limits.idleMs
    if (now >= Math.min(over, end)) {
      const what = last === null ? 'nothing came' : 'nothing more came'
      this.#giveUp(new ModelFailure('timeout', now >= over ? `${what} in time` : 'the answer took too long'))
      return
    }
    if (this.#run.input.live.hasUnstored && !this.flushing) {
      this.flushing = this.#run
        .flush()
        .catch((error) => this.#giveUp(error))
        .finally(() => {
          this.flushing = undefined
        })
    }
    this.#lookIn(Math.min(limits.flushMs, over - now, end - now))
  }
}

/** Results are told apart by the id of their call; some servers leave it out or repeat it. */
function distinct(calls: readonly StepCall[]): readonly StepCall[] {
  if (calls.length === 0) return calls
  const seen = new Set<string>()
  return calls.map((each, index) => {
    let { call } = each
    for (let number = index + 1; call === '' || seen.has(call); number += 1) call = `${each.call || 'call'}_${number}`
    seen.add(call)
    return call === each.call ? each : { ...each, call }
  })
}
