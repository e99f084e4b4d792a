import type { LiveTurn } from '../realtime/index.ts'
import type { Part } from '../sessions/index.ts'
import { cutOutput, type Tool } from '../tools/index.ts'
import {
  type CallEnd,
  type ExecuteInput,
  executeCalls,
  type PlannedCall,
  planCalls,
  type RanCall,
} from './execute-tools.ts'
import { unlessAborted } from './pause.ts'
import type { StepResult } from './step.ts'
import type { Committed } from './store.ts'
import type { TurnRun } from './turn-run.ts'

/** Plans, asks for and runs the calls of a step. The commit that paused the turn, or null when it goes on. */
export async function useTools(run: TurnRun, step: number, result: StepResult): Promise<Committed | null> {
  const { agent, clock, limits, live, newId, report, signal, started } = run.input
  const { turn } = started
  const { authority, approvals: mode } = turn.options
  const { generation } = turn
  const planning = planCalls(result.calls, { agent, authority, generation, step, limits, clock, newId, report })
  const planned = await unlessAborted(planning, signal)
  const known = planned.flatMap(({ row, approval }): CallEnd[] => settledAtOnce(row, approval, mode, clock.now()))
  for (const { row, approval } of planned) {
    live.stage({ type: 'tool.started', step, call: row.call, tool: row.tool, arguments: row.arguments })
    if (approval) live.stage({ type: 'approval.requested', approval: approval.id, call: row.call, ...asked(approval) })
  }
  for (const end of known) stageEnd(live, step, end)
  // C2: from here on a crash finds every call of the step.
  await run.commit({
    messages: [run.message('assistant', [...answerParts(result), ...callParts(result)], result.usage)],
    toolCalls: planned.map(({ row }) => row),
    approvals: planned.flatMap(({ approval }) => approval ?? []),
  })
  const calls = planned.flatMap(({ row, run: ready }) => (ready ? executeInput(run, row, ready.tool, ready.args) : []))
  const waits = mode === 'suspend' && planned.some(({ approval }) => approval !== null)
  const order = planned.map(({ row }) => row.call)
  return await finishStep(run, step, order, known, calls, waits)
}

/** What a call needs to run, besides its tool and checked arguments. */
export function executeInput(
  { input: { agent, callAs, clock, started } }: TurnRun,
  { id, call }: { readonly id: string; readonly call: string },
  tool: Tool,
  args: unknown,
): ExecuteInput {
  const { id: turn, session, tenant, subject } = started.turn
  const context = { turn, session, tenant, subject, agent: agent.id, call: callAs({ tenant, subject }) }
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
  const { agent, candidates, clock, history, limits, live, started, toolSignal } = run.input
  const ends = [...known]
  let unstored: RanCall[] = []
  let open = calls.length
  for (const { id } of calls) run.open.add(id)
  for await (const batch of executeCalls(calls, limits.parallelCalls, toolSignal)) {
    open -= batch.length
    for (const end of batch) {
      run.open.delete(end.id)
      stageEnd(live, step, end)
    }
    ends.push(...batch)
    unstored.push(...batch)
    if (open > 0) {
      await run.commit({ toolCallEnds: unstored })
      unstored = []
    }
  }
  if (waits) {
    live.stage({ type: 'turn.waiting', at: clock.now() })
    return await run.commit({ toolCallEnds: unstored, status: 'waiting' })
  }
  const byCall = new Map(ends.map((end) => [end.call, end]))
  const parts = order.flatMap((call): Part[] => {
    const end = byCall.get(call)
    return end ? [resultPart(end, started.turn.options.toolResultCharacters)] : []
  })
  const messages = [run.message('tool', parts)]
  // The session has gone on since: the results take their place further up, and the model must be asked anew.
  if (history.messages.at(-1)?.role === 'assistant' && !order.some((call) => history.isOpen(started.turn.id, call))) {
    messages.push(
      run.message('user', [{ type: 'text', text: 'The calls that had been interrupted have their results now.' }]),
    )
  }
  const reservation = run.costs.next(run.steps + 1, agent, candidates[0], history, messages)
  await run.commit({ toolCallEnds: unstored, messages, ...(reservation && { reservation }) })
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

const asked = ({ tool, arguments: text, expiresAt }: NonNullable<PlannedCall['approval']>) => ({
  tool,
  arguments: text,
  expiresAt,
})

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

/** Calls that need no run: refused ones, and in `defer` mode the ones whose approval the model is told of. */
function settledAtOnce(
  row: PlannedCall['row'],
  approval: PlannedCall['approval'],
  mode: 'suspend' | 'defer',
  at: number,
): CallEnd[] {
  const end = { id: row.id, call: row.call, tool: row.tool, startedAt: row.startedAt, endedAt: at }
  if (row.status === 'failed' || row.status === 'denied') return [{ ...end, status: row.status, output: row.output }]
  return !approval || mode === 'suspend' ? [] : [{ ...end, status: 'deferred', output: deferredText }]
}
