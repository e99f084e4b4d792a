import { type Approval, refusedCalls } from '../approvals/index.ts'
import type { ToolCall } from '../sessions/index.ts'
import { decide, type Tool, toolHash } from '../tools/index.ts'
import type { CallEnd, ExecuteInput } from './execute-tools.ts'
import { unlessAborted } from './pause.ts'
import { checkArguments, hashCall } from './plan-calls.ts'
import type { Committed } from './store.ts'
import type { TurnRun } from './turn-run.ts'
import { deferredText, executeInput, finishStep, stageEnd } from './use-tools.ts'

/** More than one turn can ask for. */
const mostApprovals = 10_000

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
  const { approvals: questions, clock } = run.services
  const { history, live, signal, started } = run.input
  const unanswered = history.unanswered(started.turn.id)
  const calls = toolCalls.filter(({ call, step }) => step === run.steps && unanswered.has(call))
  if (calls.length === 0) return null
  const asked = await questions.list(run.reach, { limit: mostApprovals, offset: 0 }, { turn: started.turn.id })
  const approvals = new Map(asked.map((approval) => [approval.toolCall, approval]))
  const deciding = calls.map((call) => fateOf(run, call, approvals.get(call.id), decision))
  const fates = await unlessAborted(Promise.all(deciding), signal)

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
  for (const { id, call, status } of calls) {
    const approval = approvals.get(id)
    if (status === 'waiting' && approval) stageDecision(run, call, approval)
  }
  for (const { end, stored } of ends) if (!stored) stageEnd(live, run.steps, end)
  // Written ahead: a crash from here on finds these calls started.
  await run.commit({
    toolCallEnds: [
      ...ready.map(({ id }) => ({ id, status: 'started', output: null, endedAt: null }) as const),
      ...ends.flatMap(({ end: { id, status, output, endedAt }, stored }) =>
        stored || status === 'deferred' ? [] : { id, status, output, endedAt },
      ),
    ],
  })
  for (const { end } of ends) run.open.delete(end.id)
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

function stageDecision({ input: { live, started } }: TurnRun, call: string, { id, status }: Approval): void {
  if (status === 'pending' || started.turn.options.approvals === 'defer') return
  const said = status === 'approved' || status === 'denied' ? status : 'expired'
  live.stage({ type: 'approval.decided', approval: id, call, status: said })
}

/**
 * Begins a turn that carries out a call which a person approved after its own turn had gone on: the call is its first
 * step, without a model. Null when the turn is not one.
 */
export async function startApproved(run: TurnRun): Promise<Committed | null> {
  const { approvals, clock, newId, report } = run.services
  const { agent, live, signal, started } = run.input
  const { turn } = started
  const part = turn.input.find((candidate) => candidate.type === 'tool-call')
  if (turn.options.continues === null || run.steps > 0 || !part) return null
  const approval = (await approvals.get(run.reach, turn.options.continues)) ?? undefined
  signal.throwIfAborted()
  const tool = agent.tools.find(({ name }) => name === part.tool)
  const checking = tool && checkArguments(tool, part.arguments, report)
  const args = checking instanceof Promise ? await unlessAborted(checking, signal) : checking
  const approved =
    approval?.status === 'approved' &&
    approval.session === turn.session &&
    approval.argumentsHash === hashCall(part.tool, part.arguments)
  const problem = !approved
    ? 'these arguments were not approved'
    : !tool
      ? `the tool ${part.tool} is gone`
      : mayNotRun(run, tool)
        ? `the tool ${part.tool} may not run any more`
        : hasChanged(tool, approval)
          ? `the tool ${part.tool} has changed since the call was approved`
          : args && !args.ok
            ? args.problem
            : null
  run.steps += 1
  const at = clock.now()
  const row = {
    id: newId(),
    step: run.steps,
    call: part.call,
    tool: part.tool,
    arguments: part.arguments,
    startedAt: at,
    toolHash: toolHash(tool),
  }
  live.stage({ type: 'tool.started', step: run.steps, call: row.call, tool: row.tool, arguments: row.arguments })
  const policy = { decision: problem === null ? 'allow' : 'deny', rule: 'approved', reason: problem } as const
  const denied = { ...row, status: 'denied', output: problem, endedAt: at } as const
  if (problem !== null) stageEnd(live, run.steps, denied)
  await run.commit({
    messages: [run.message('assistant', [part])],
    toolCalls: [
      problem === null ? { ...row, status: 'started', policy, output: null, endedAt: null } : { ...denied, policy },
    ],
    toolCallEnds:
      approved && approval
        ? [
            {
              id: approval.toolCall,
              status: problem === null ? 'succeeded' : 'denied',
              output: { continuedBy: turn.id },
              endedAt: at,
            },
          ]
        : [],
  })
  return problem === null && tool && args?.ok
    ? await finishStep(run, run.steps, [row.call], [], [executeInput(run, row, tool, args.value)], false)
    : await finishStep(run, run.steps, [row.call], [denied], [], false)
}

/** The arguments were written, and approved, for the schema that the tool had then. */
const hasChanged = (tool: Tool, stored: Pick<ToolCall, 'toolHash'> | undefined): boolean =>
  stored !== undefined && stored.toolHash !== null && stored.toolHash !== toolHash(tool)

const mayNotRun = ({ input: { started } }: TurnRun, tool: Tool): boolean =>
  decide(tool.risk, started.turn.options.authority).decision === 'deny'

async function fateOf(
  run: TurnRun,
  call: ToolCall,
  approval: Approval | undefined,
  decision: OutcomeDecision | null,
): Promise<Fate> {
  const { clock, report } = run.services
  const { agent } = run.input
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
    if (mayNotRun(run, tool)) return { kind: 'stop', id: call.id, why: `the tool ${call.tool} may not run any more` }
    if (hasChanged(tool, call)) {
      return { kind: 'stop', id: call.id, why: `the schema of the tool ${call.tool} has changed since it was called` }
    }
    const args = await checkArguments(tool, call.arguments, report)
    if (!args.ok) return { kind: 'stop', id: call.id, why: `the tool ${call.tool} has changed: ${args.problem}` }
    return { kind: 'run', input: executeInput(run, call, tool, args.value) }
  }

  if (call.status === 'waiting') {
    if (run.input.started.turn.options.approvals === 'defer') return ended('deferred', deferredText, true)
    if (!approval) return { kind: 'stop', id: call.id, why: `nobody was asked about ${call.tool}` }
    if (approval.status === 'pending') return { kind: 'wait' }
    if (approval.status === 'denied') return ended('denied', refusedCalls.denied)
    if (approval.status !== 'approved') return ended('denied', refusedCalls.expired)
    if (approval.argumentsHash !== hashCall(call.tool, call.arguments)) {
      return { kind: 'stop', id: call.id, why: `the arguments of ${call.tool} are not the approved ones` }
    }
    return await again()
  }
  // Of an unknown outcome with a text the model was to be told; without one a person was to be asked.
  const asked = call.status === 'unknown' && call.output === null
  if (call.status === 'started' || asked) {
    if (decision === 'retry' || (call.status === 'started' && tool?.idempotent)) return await again()
    if (decision === 'done') return ended('succeeded', 'a person says that this call was done')
    if (decision === 'failed') return ended('failed', 'a person says that this call failed')
    if (tool?.risk === 'safe') {
      return ended('unknown', 'the outcome of this call is unknown: the server stopped while it ran')
    }
    return {
      kind: 'stop',
      id: call.id,
      why: `the server stopped while ${call.tool} ran, and it may have had an effect`,
    }
  }
  return ended(call.status, call.output, true)
}
