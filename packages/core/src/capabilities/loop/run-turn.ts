import { isKeelsonError, toKeelsonError } from '../../kernel/errors.ts'
import { emptyContent } from '../config/index.ts'
import { isModelFailure, type Model, noUsage } from '../models/index.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { NewMessage, TurnError } from '../sessions/index.ts'
import { runStep } from './candidates.ts'
import type { LoopDependencies } from './dependencies.ts'
import { CallRefused, loopErrors, NotRecorded } from './errors.ts'
import { type LostTurn, lostCall } from './lost-call.ts'
import { refuseAnswer } from './output.ts'
import { recollect } from './recollect.ts'
import { type Leftover, settleLeftover, startApproved } from './resume-turn.ts'
import type { StepResult } from './step-result.ts'
import type { Committed, StartedTurn } from './store.ts'
import { TurnCosts } from './turn-costs.ts'
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
      const step = nextStep(run)
      const paused = await afterStep(run, step, await runStep(run, step))
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

/** Ends a turn that cannot be run any more, with why. */
export async function failUnprepared(
  dependencies: LoopDependencies,
  started: StartedTurn,
  left: LostTurn | null,
  live: LiveTurn,
  error: TurnError,
): Promise<Committed> {
  const at = dependencies.clock.now()
  live.stage({ type: 'turn.failed', error, message: null, at })
  const open = left?.toolCalls.filter(({ status }) => status === 'started') ?? []
  const toolCallEnds = open.map(({ id }) => ({ id, status: 'unknown', output: null, endedAt: at }) as const)
  const budgets = dependencies.budgets.within(started.turn.tenant, emptyContent)
  const lost = left && lostCall(dependencies, left, budgets, null)
  const costs = new TurnCosts(dependencies, { started, budgets: [], lost })
  const change = { at, status: 'failed', error, log: live.takeLog(), toolCallEnds, cost: costs.total } as const
  return await dependencies.store.commit(started.lease, { ...change, ...costs.take(true) })
}

/** The number of the step that comes next. Throws when there may be none. */
function nextStep({ input: { agent, signal }, steps }: TurnRun): number {
  signal.throwIfAborted()
  if (steps >= agent.maxSteps) throw loopErrors.STEP_LIMIT({ details: { maxSteps: agent.maxSteps } })
  return steps + 1
}

/** What follows a model's answer. The commit that ended or paused the turn, or null when it goes on. */
function afterStep(run: TurnRun, step: number, result: StepResult): Promise<Committed | null> {
  const { agent, live, started } = run.input
  const { calls, model, reason, usage } = result
  const cost = run.count(result)
  live.stage({ type: 'step.finished', step, model: model.id, reason, usage, cost, at: run.services.clock.now() })
  if (calls.length > 0) {
    const { maxToolRounds } = started.turn.options
    if (maxToolRounds !== undefined && step > maxToolRounds) throw loopErrors.STEP_LIMIT({ details: { maxToolRounds } })
    return useTools(run, step, result)
  }
  const answer = run.message('assistant', answerParts(result), usage)
  return agent.output === null ? completed(run, model, answer) : unlessRefused(run, result, answer)
}

/** Null when the answer was refused and the model is asked again. */
async function unlessRefused(run: TurnRun, result: StepResult, answer: NewMessage): Promise<Committed | null> {
  const refused = await refuseAnswer(run, result, answer)
  if (refused === null) return await completed(run, result.model, answer)
  return refused === 'asked-again' ? null : await failed(run, refused, answer)
}

function completed(run: TurnRun, model: Model, answer: NewMessage): Promise<Committed> {
  run.input.live.stage({
    type: 'turn.completed',
    message: answer.id,
    model: model.id,
    steps: run.steps,
    usage: run.usage,
    cost: run.costs.total,
    at: run.services.clock.now(),
  })
  return run.commit({ status: 'completed', messages: [answer], error: null })
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
