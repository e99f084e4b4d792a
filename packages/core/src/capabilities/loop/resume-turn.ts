import type { Approval } from '../approvals/index.ts'
import type { ToolCall } from '../sessions/index.ts'
import { type CallEnd, checkArguments, type ExecuteInput, hashCall } from './execute-tools.ts'
import type { Committed } from './store.ts'
import type { TurnRun } from './turn-run.ts'
import { executeInput, finishStep } from './use-tools.ts'

/** What a person says of calls whose outcome nobody knows. */
export type OutcomeDecision = 'retry' | 'done' | 'failed'

/** A step whose calls were stored but whose results the model has not been given. */
export interface Leftover {
  readonly toolCalls: readonly ToolCall[]
  readonly decision: OutcomeDecision | null
}

type Fate =
  | { readonly kind: 'end'; readonly end: CallEnd; readonly stored: boolean }
  | { readonly kind: 'run'; readonly input: ExecuteInput }
  | { readonly kind: 'wait' }
  /** Nobody knows what it did, or it cannot be run as it was meant. */
  | { readonly kind: 'stop'; readonly id: string; readonly why: string }

/**
 * Goes on where a step's calls were left by a crash, a decision or a take-over. A call that had started runs again only
 * if its tool is idempotent; of a safe one the model is told that its outcome is unknown; any other interrupts the turn.
 */
export async function settleLeftover(run: TurnRun, { toolCalls, decision }: Leftover): Promise<Committed | null> {
  const { clock, history, live } = run.input
  const open = new Set(history.openCalls)
  const calls = toolCalls.filter(({ call, step }) => step === run.steps && open.has(call))
  if (calls.length === 0) return null
  const approvals = new Map((await run.input.approvals()).map((approval) => [approval.toolCall, approval]))
  const fates: Fate[] = []
  for (const call of calls) {
    const approval = approvals.get(call.id)
    if (call.status === 'waiting' && approval && approval.status !== 'pending') {
      const status = approval.status === 'approved' || approval.status === 'denied' ? approval.status : 'expired'
      live.stage({ type: 'approval.decided', approval: approval.id, call: call.call, status })
    }
    fates.push(await fateOf(run, call, approval, decision))
  }

  const at = clock.now()
  const stops = fates.filter((fate) => fate.kind === 'stop')
  if (stops.length > 0) {
    const error = { code: 'TOOL_OUTCOME_UNKNOWN', message: stops.map(({ why }) => why).join('; ') }
    live.stage({ type: 'turn.interrupted', error, at })
    const toolCallEnds = stops.map(({ id }) => ({ id, status: 'unknown', output: null, endedAt: at }) as const)
    return await run.commit({ status: 'interrupted', error, toolCallEnds })
  }
  const ends = fates.flatMap((fate) => (fate.kind === 'end' ? fate : []))
  const ready = fates.flatMap((fate) => (fate.kind === 'run' ? fate.input : []))
  // Written ahead: a crash from here on finds these calls started.
  await run.commit({
    toolCallEnds: [
      ...ready.map(({ id }) => ({ id, status: 'started', output: null, endedAt: null }) as const),
      ...ends.flatMap(({ end: { id, status, output, endedAt }, stored }) =>
        stored || status === 'deferred' ? [] : { id, status, output, endedAt },
      ),
    ],
  })
  const waits = fates.some((fate) => fate.kind === 'wait')
  const order = calls.map(({ call }) => call)
  return await finishStep(
    run,
    run.steps,
    order,
    ends.map(({ end }) => end),
    ready,
    waits,
  )
}

/**
 * Begins a turn that carries out a call which a person approved after its own turn had gone on: the call is its first
 * step, without a model. Null when the turn is not one.
 */
export async function startApproved(run: TurnRun): Promise<Committed | null> {
  const { agent, clock, live, newId, signal, started } = run.input
  const { turn } = started
  const part = turn.input.find((candidate) => candidate.type === 'tool-call')
  if (turn.options.continues === null || run.steps > 0 || !part) return null
  const approval = (await run.input.approvedBy(turn.options.continues)) ?? undefined
  signal.throwIfAborted()
  const tool = agent.tools.find(({ name }) => name === part.tool)
  const args = tool && (await checkArguments(tool, part.arguments))
  const approved = approval?.status === 'approved' && approval.argumentsHash === hashCall(part.tool, part.arguments)
  const problem = !approved
    ? 'these arguments were not approved'
    : !tool
      ? `the tool ${part.tool} is gone`
      : args && !args.ok
        ? args.problem
        : null
  run.steps += 1
  const at = clock.now()
  const row = { id: newId(), step: run.steps, call: part.call, tool: part.tool, arguments: part.arguments, startedAt: at }
  live.stage({ type: 'tool.started', step: run.steps, call: row.call, tool: row.tool, arguments: row.arguments })
  const policy = { decision: problem === null ? 'allow' : 'deny', rule: 'approved', reason: problem } as const
  await run.commit({
    messages: [run.message('assistant', [part])],
    toolCalls: [
      problem === null
        ? { ...row, status: 'started', policy, output: null, endedAt: null }
        : { ...row, status: 'denied', policy, output: problem, endedAt: at },
    ],
    toolCallEnds: approval
      ? [{ id: approval.toolCall, status: 'succeeded', output: { continuedBy: turn.id }, endedAt: at }]
      : [],
  })
  const denied = { id: row.id, call: row.call, tool: row.tool, status: 'denied', startedAt: at, endedAt: at } as const
  return problem === null && tool && args?.ok
    ? await finishStep(run, run.steps, [row.call], [], [executeInput(run, row, tool, args.value)], false)
    : await finishStep(run, run.steps, [row.call], [{ ...denied, output: problem }], [], false)
}

async function fateOf(
  run: TurnRun,
  call: ToolCall,
  approval: Approval | undefined,
  decision: OutcomeDecision | null,
): Promise<Fate> {
  const { agent, clock } = run.input
  const ended = (status: CallEnd['status'], output: CallEnd['output'], stored = false): Fate => ({
    kind: 'end',
    stored,
    end: {
      id: call.id,
      call: call.call,
      tool: call.tool,
      status,
      output,
      startedAt: call.startedAt,
      endedAt: call.endedAt ?? clock.now(),
    },
  })
  const tool = agent.tools.find(({ name }) => name === call.tool)
  const again = async (): Promise<Fate> => {
    if (!tool) return { kind: 'stop', id: call.id, why: `the tool ${call.tool} is gone` }
    const args = await checkArguments(tool, call.arguments)
    if (!args.ok) return { kind: 'stop', id: call.id, why: `the tool ${call.tool} has changed: ${args.problem}` }
    return { kind: 'run', input: executeInput(run, call, tool, args.value) }
  }

  if (call.status === 'waiting') {
    if (!approval || approval.status === 'pending') return { kind: 'wait' }
    if (approval.status === 'denied') return ended('denied', 'a person denied this call')
    if (approval.status !== 'approved') return ended('denied', 'nobody approved this call in time')
    if (approval.argumentsHash !== hashCall(call.tool, call.arguments)) {
      return { kind: 'stop', id: call.id, why: `the arguments of ${call.tool} are not the approved ones` }
    }
    return await again()
  }
  if (call.status === 'started' || call.status === 'unknown') {
    if (decision === 'retry' || (call.status === 'started' && tool?.idempotent)) return await again()
    if (decision === 'done') return ended('succeeded', 'a person says that this call was done')
    if (decision === 'failed') return ended('failed', 'a person says that this call failed')
    if (tool?.risk === 'safe') {
      return ended('unknown', 'the outcome of this call is unknown: the server stopped while it ran')
    }
    return { kind: 'stop', id: call.id, why: `the server stopped while ${call.tool} ran, and it may have had an effect` }
  }
  return ended(call.status, call.output, true)
}

