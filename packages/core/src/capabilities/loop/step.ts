import type { Clock } from '../../kernel/clock.ts'
import {
  type CapacityMeter,
  type Model,
  ModelFailure,
  type ModelPart,
  type ModelRequest,
  noUsage,
  ofWhoseKey,
  type Provider,
} from '../models/index.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { FinishReason, Part, Usage } from '../sessions/index.ts'
import type { TurnLimits } from './limits.ts'
import { checkPart, lengthOf } from './model-part.ts'

export interface StepCall {
  readonly call: string
  readonly tool: string
  readonly arguments: string
}

type Thought = Extract<Part, { type: 'reasoning' }>

export interface StepResult {
  readonly model: Model
  readonly text: string
  readonly thoughts: readonly Thought[]
  readonly calls: readonly StepCall[]
  readonly reason: FinishReason
  readonly usage: Usage
}

/** What one call needs. */
export interface AttemptInput {
  readonly step: number
  /** May throw `context-too-long` for a model with a small window. */
  request(model: Model): ModelRequest
  /** Who answers: the model's provider, with the key of the turn's tenant if it has set one. */
  providerOf(model: Model): Provider | Promise<Provider>
  /** Sets money aside for one attempt. Rejects with `CallRefused`; undefined when there is nothing to wait for. */
  reserve(model: Model, request: ModelRequest): Promise<void> | undefined
  /** The attempt came to nothing after it had said so many characters. */
  cut(said: number): void
  /** The attempt was answered. Returns the result with a usage that can be counted, whatever the provider says. */
  paid(result: StepResult): StepResult
  readonly meter: CapacityMeter
  readonly live: LiveTurn
  readonly limits: TurnLimits
  readonly clock: Clock
  /** Aborted by cancel, by the turn's time limit and by shut-down. */
  readonly signal: AbortSignal
  /** Stores what the step has said so far. */
  flush(): Promise<void>
}

/**
 * One call of one model. Throws a `ModelFailure` or whatever the provider throws, the abort reason, or `CallRefused` when
 * the call may not be made.
 */
export async function runAttempt(input: AttemptInput, model: Model): Promise<StepResult> {
  const { clock, limits, live, signal, step } = input
  const request = input.request(model)
  const reserving = input.reserve(model, request)
  if (reserving !== undefined) await reserving
  // Not before: a caller whose budget is used up takes no capacity from others.
  input.meter.called(model)
  const aborter = new AbortController()
  const answer = { text: '', thoughts: [] as Thought[], calls: [] as StepCall[] }
  let reasoning = ''
  let provider: Provider | undefined
  let finish: Extract<ModelPart, { type: 'finish' }> | undefined
  let startedAt = clock.now()
  let lastPartAt: number | null = null
  let length = 0

  const consume = async () => {
    const asked = input.providerOf(model)
    provider = asked instanceof Promise ? await asked : asked
    if (aborter.signal.aborted) return
    const parts = provider.stream(model.name, request, aborter.signal)[Symbol.asyncIterator]()
    try {
      for (let next = await parts.next(); !next.done; next = await parts.next()) {
        // A provider that ignores its signal may go on; nobody listens any more.
        if (aborter.signal.aborted) return
        const part = checkPart(next.value)
        lastPartAt = clock.now()
        if (part.type === 'finish') {
          finish = part
          return
        }
        length += lengthOf(part)
        if (length > limits.answerLength) {
          throw new ModelFailure('malformed', `the answer is longer than ${limits.answerLength} characters`)
        }
        if (part.type === 'text') {
          answer.text += part.text
          live.delta('text.delta', step, part.text)
        } else if (part.type === 'reasoning') {
          reasoning += part.text
          if (part.text !== '') live.delta('reasoning.delta', step, part.text)
          if (part.state !== undefined) {
            answer.thoughts.push({ type: 'reasoning', text: reasoning, state: part.state })
            reasoning = ''
          }
        } else {
          // Half a character would be stored as another one, and an approval is bound to the exact text.
          const [call, tool, args] = [part.call, part.tool, part.arguments].map((text) => text.toWellFormed())
          answer.calls.push({ call: call ?? '', tool: tool ?? '', arguments: args ?? '' })
        }
      }
    } finally {
      // Not awaited: the answer does not wait for what a provider still has to clear away.
      parts.return?.().catch(() => {})
    }
    throw new ModelFailure('network', 'the stream ended before the answer was finished')
  }

  let flushing: Promise<void> | undefined
  let stopWatching = () => {}
  try {
    await new Promise<void>((resolve, reject) => {
      const giveUp = (reason: unknown) => {
        // An answer that is whole by now counts.
        queueMicrotask(() => reject(reason))
        aborter.abort(reason)
      }
      let lookedAt = startedAt
      const look = () => {
        const now = clock.now()
        // A clock that was set back must not make the limits longer by as much.
        startedAt -= Math.max(0, lookedAt - now)
        if (lastPartAt !== null) lastPartAt = Math.min(lastPartAt, now)
        lookedAt = now
        const [over, what] =
          lastPartAt === null
            ? [startedAt + limits.firstTokenMs, 'nothing came']
            : [lastPartAt + limits.idleMs, 'nothing more came']
        if (now >= Math.min(over, startedAt + limits.stepMs)) {
          giveUp(new ModelFailure('timeout', now >= over ? `${what} in time` : 'the answer took too long'))
          return
        }
        if (live.hasUnstored && !flushing) {
          flushing = input
            .flush()
            .catch(giveUp)
            .finally(() => {
              flushing = undefined
            })
        }
        cancelTimer = clock.after(Math.min(limits.flushMs, over - now, startedAt + limits.stepMs - now), look)
      }
      let cancelTimer = clock.after(Math.min(limits.flushMs, limits.firstTokenMs, limits.stepMs), look)
      const aborted = () => giveUp(signal.reason)
      signal.addEventListener('abort', aborted, { once: true })
      stopWatching = () => {
        cancelTimer()
        signal.removeEventListener('abort', aborted)
      }
      consume().then(resolve, reject)
    })
  } catch (error) {
    aborter.abort(error)
    input.cut(length)
    throw ofWhoseKey(error, model, provider)
  } finally {
    stopWatching()
    // What was said is stored before what comes after it.
    if (flushing !== undefined) await flushing
  }
  const { reason, usage } = finish ?? { reason: 'other', usage: noUsage }
  if (reasoning !== '') answer.thoughts.push({ type: 'reasoning', text: reasoning })
  return input.paid({ model, ...answer, calls: distinct(answer.calls), reason, usage })
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
