import type { LiveTurn } from '../realtime/index.ts'
import type { Part } from '../sessions/index.ts'
import { cutOutput, type Tool } from '../tools/index.ts'
import { type CallEnd, type ExecuteInput, executeCalls, type RanCall } from './execute-tools.ts'
import { unlessAborted } from './pause.ts'
import { type PlannedCall, planCalls } from './plan-calls.ts'
import type { StepResult } from './step-result.ts'
import type { Committed, NewApproval, NewToolCall } from './store.ts'
import type { TurnRun } from './turn-run.ts'

/** Plans, asks for and runs the calls of a step. The commit that paused the turn, or null when it goes on. */
export async function useTools(run: TurnRun, step: number, result: StepResult): Promise<Committed | null> {
  const { clock, limits, newId, report } = run.services
  const { agent, live, signal, started } = run.input
  const { turn } = started
  const { authority, approvals: mode } = turn.options
  const { generation } = turn
  const planning = planCalls(result.calls, { agent, authority, generation, step, limits, clock, newId, report })
  const planned = planning instanceof Promise ? await unlessAborted(planning, signal) : planning
  const toolCalls: NewToolCall[] = []
  const asked: NewApproval[] = []
  const known: CallEnd[] = []
  const calls: ExecuteInput[] = []
  for (const { row, run: ready, approval } of planned) {
    const { call, tool } = row
    live.stage({ type: 'tool.started', step, call, tool, arguments: row.arguments })
    toolCalls.push(row)
    if (ready) calls.push(executeInput(run, row, ready.tool, ready.args))
    if (approval) {
      const { id, arguments: text, expiresAt } = approval
      live.stage({ type: 'approval.requested', approval: id, call, tool, arguments: text, expiresAt })
      asked.push(approval)
    }
    const end = settledAtOnce(row, approval, mode, clock.now())
    if (end) known.push(end)
  }
  for (const end of known) stageEnd(live, step, end)
  // C2: from here on a crash finds every call of the step.
  await run.commit({
    messages: [run.message('assistant', [...answerParts(result), ...callParts(result)], result.usage)],
    toolCalls,
    approvals: asked,
  })
  const order = toolCalls.map(({ call }) => call)
  if (mode === 'defer' && asked.length > 0) run.defers = true
  return await finishStep(run, step, order, known, calls, mode === 'suspend' && asked.length > 0)
}

/** What a call needs to run, besides its tool and checked arguments. */
export function executeInput(
  { services: { clock }, toolContext: context }: TurnRun,
  { id, call }: { readonly id: string; readonly call: string },
  tool: Tool,
  args: unknown,
): ExecuteInput {
  return { id, call, tool, args, context, clock }
}

/**
 * Runs what is left of a step's calls; the events of those that are `known` are staged already. C3 stores results as
 * they come; C4 stores the last of them with the message the model gets, or, when an approval is open, lets the turn
 * wait.
 */
export async function finishStep(
  run: TurnRun,
  step: number,
  order: readonly string[],
  known: readonly CallEnd[],
  calls: readonly ExecuteInput[],
  waits: boolean,
): Promise<Committed | null> {
  const { clock, limits } = run.services
  const { agent, candidates, history, live, started, stop } = run.input
  const ends = [...known]
  let last: readonly RanCall[] = []
  let open = calls.length
  for (const { id } of calls) run.open.add(id)
  await executeCalls(calls, limits.parallelCalls, stop.toolSignal, (batch) => {
    open -= batch.length
    for (const end of batch) {
      run.open.delete(end.id)
      stageEnd(live, step, end)
    }
    ends.push(...batch)
    if (open > 0) return run.commit({ toolCallEnds: batch })
    last = batch
    return undefined
  })
  if (waits) {
    live.stage({ type: 'turn.waiting', at: clock.now() })
    return await run.commit({ toolCallEnds: last, status: 'waiting' })
  }
  const byCall = new Map(ends.map((end) => [end.call, end]))
  const parts: Part[] = []
  for (const call of order) {
    const end = byCall.get(call)
    if (end) parts.push(resultPart(end, started.turn.options.toolResultCharacters))
  }
  const messages = [run.message('tool', parts)]
  // The session has gone on since: the results take their place further up, and the model must be asked anew.
  if (history.messages.at(-1)?.role === 'assistant' && !order.some((call) => history.isOpen(started.turn.id, call))) {
    messages.push(
      run.message('user', [{ type: 'text', text: 'The calls that had been interrupted have their results now.' }]),
    )
  }
  const reservation = run.costs.next(run.steps + 1, agent, candidates[0], history, messages)
  await run.commit({ toolCallEnds: last, messages, ...(reservation && { reservation }) })
  return null
}

export const answerParts = ({ thoughts, text }: StepResult): Part[] => [
  ...thoughts,
  ...(text === '' ? [] : [{ type: 'text', text } as const]),
]

const callParts = ({ calls }: StepResult): Part[] => calls.map((call) => ({ type: 'tool-call', ...call }))

/** `longest`: characters of it that the model gets. */
function resultPart({ call, output, status, tool }: CallEnd, longest: number | undefined): Part {
  const part = {
    type: 'tool-result',
    call,
    tool,
    output: longest === undefined ? output : cutOutput(output, longest),
  } as const
  return status === 'succeeded' || status === 'deferred' ? part : { ...part, isError: true }
}

export function stageEnd(
  live: LiveTurn,
  step: number,
  { call, tool, status, output, startedAt, endedAt }: CallEnd,
): void {
  const durationMs = Math.max(0, endedAt - startedAt)
  live.stage({ type: 'tool.finished', step, call, tool, status, output, durationMs })
}

/** What the model is told of a call that runs later, if at all. */
export const deferredText =
  'approval was requested; the call runs when a person approves it. Tell the user, do not repeat the call.'

/** The end of a call that needs no run: a refused one, and in `defer` mode one whose approval the model is told of. */
function settledAtOnce(
  row: PlannedCall['row'],
  approval: PlannedCall['approval'],
  mode: 'suspend' | 'defer',
  at: number,
): CallEnd | null {
  const { id, call, tool, startedAt, status } = row
  const end = { id, call, tool, startedAt, endedAt: at }
  if (status === 'failed' || status === 'denied') return { ...end, status, output: row.output }
  return approval && mode === 'defer' ? { ...end, status: 'deferred', output: deferredText } : null
}
