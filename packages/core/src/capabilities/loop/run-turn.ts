import { isKeelsonError, toKeelsonError } from '../../kernel/errors.ts'
import { isModelFailure, noUsage } from '../models/index.ts'
import type { NewMessage, TurnError } from '../sessions/index.ts'
import { runStep } from './candidates.ts'
import { CallRefused, loopErrors, NotRecorded } from './errors.ts'
import { refuseAnswer } from './output.ts'
import { recollect } from './recollect.ts'
import { type Leftover, settleLeftover, startApproved } from './resume-turn.ts'
import type { StepResult } from './step-result.ts'
import type { Committed, StartedTurn } from './store.ts'
import type { TurnRun } from './turn-run.ts'
import { answerParts, useTools } from './use-tools.ts'

/**
 * Runs a turn to its end, or until it waits. Returns the session's next turn if one was queued. Rejects only when the
 * turn cannot be recorded or the runtime stops: it then stays as its last commit point left it.
 */
export async function runTurn(run: TurnRun, leftover: Leftover | null): Promise<StartedTurn | null> {
  const { signal } = run.input
  for (const { id, status } of leftover?.toolCalls ?? []) if (status === 'started') run.open.add(id)
  try {
    signal.throwIfAborted()
    if (leftover) {
      const paused = await settleLeftover(run, leftover)
      if (paused) return paused.next
    }
    if (run.input.started.turn.options.continues !== null) await startApproved(run)
    if (run.input.agent.recall !== null) run.recollection = await recollect(run.services, run.input)
    for (;;) {
      const paused = await takeStep(run)
      if (paused) return paused.next
    }
  } catch (error) {
    const ended = signal.aborted && isKeelsonError(signal.reason) ? signal.reason.code : null
    if (signal.aborted && ended !== 'TURN_CANCELLED' && ended !== 'TURN_TIMEOUT') throw error
    if (error instanceof NotRecorded) throw error
    if (ended === 'TURN_CANCELLED') return (await cancelled(run)).next
    return (await failed(run, ended === null ? error : signal.reason)).next
  }
}

/** One model call and its tools. The commit that ended or paused the turn, or null when it goes on. */
async function takeStep(run: TurnRun): Promise<Committed | null> {
  const { agent, live, signal, started } = run.input
  signal.throwIfAborted()
  if (run.steps >= agent.maxSteps) throw loopErrors.STEP_LIMIT({ details: { maxSteps: agent.maxSteps } })
  const step = run.steps + 1
  const result = await runStep(run, step)
  const cost = run.count(result)
  live.stage({
    type: 'step.finished',
    step,
    model: result.model.id,
    reason: result.reason,
    usage: result.usage,
    cost,
    at: run.services.clock.now(),
  })
  if (result.calls.length === 0) return await completed(run, result)
  const { maxToolRounds } = started.turn.options
  if (maxToolRounds !== undefined && step > maxToolRounds) throw loopErrors.STEP_LIMIT({ details: { maxToolRounds } })
  return await useTools(run, step, result)
}

/** Null when the answer was refused and the model is asked again. */
async function completed(run: TurnRun, result: StepResult): Promise<Committed | null> {
  const { agent, live } = run.input
  const message = run.message('assistant', answerParts(result), result.usage)
  const refused = agent.output === null ? null : await refuseAnswer(run, result, message)
  if (refused !== null) return refused === 'asked-again' ? null : await failed(run, refused, message)
  live.stage({
    type: 'turn.completed',
    message: message.id,
    model: result.model.id,
    steps: run.steps,
    usage: run.usage,
    cost: run.costs.total,
    at: run.services.clock.now(),
  })
  return await run.commit({ status: 'completed', messages: [message], error: null })
}

/** `answer`: what the model had said, when the turn fails because of it. */
async function failed(run: TurnRun, thrown: unknown, answer: NewMessage | null = null): Promise<Committed> {
  const { clock, report } = run.services
  const { live, started } = run.input
  const refused = thrown instanceof CallRefused
  const cause = refused ? thrown.cause : thrown
  const error = describe(cause)
  if (!isModelFailure(cause) && toKeelsonError(cause).kind === 'internal') report(cause, 'turn')
  // No model was asked: to say that none has answered would be wrong.
  const reply = refused ? null : started.turn.options.failureReply
  const messages = answer === null ? [] : [answer]
  if (reply !== null) {
    const step = run.steps + 1
    // What the model had said of this step is not part of the reply.
    live.stage({ type: 'step.started', step, model: '', at: clock.now() })
    live.publish()
    live.delta('text.delta', step, reply)
    messages.push(run.message('assistant', [{ type: 'text', text: reply }], noUsage))
  }
  live.stage({ type: 'turn.failed', error, message: messages.at(-1)?.id ?? null, at: clock.now() })
  const toolCallEnds = givenUp(run, 'the turn failed')
  return await run.commit({ status: 'failed', error, messages, toolCallEnds })
}

async function cancelled(run: TurnRun): Promise<Committed> {
  run.input.live.stage({ type: 'turn.cancelled', at: run.services.clock.now() })
  return await run.commit({ status: 'cancelled', toolCallEnds: givenUp(run, 'cancelled') })
}

const givenUp = ({ services: { clock }, open }: TurnRun, why: string) =>
  [...open].map((id) => ({ id, status: 'unknown', output: why, endedAt: clock.now() }) as const)

function describe(cause: unknown): TurnError {
  if (isModelFailure(cause)) return { code: 'MODEL_FAILED', message: `the model provider failed: ${cause.failure}` }
  if (isKeelsonError(cause)) {
    const { code, details, message, retryAfterMs } = cause
    const problems = details?.['problems']
    return {
      code,
      message,
      ...(Array.isArray(problems) ? { problems } : {}),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }
  }
  return { code: 'INTERNAL', message: 'internal error' }
}
