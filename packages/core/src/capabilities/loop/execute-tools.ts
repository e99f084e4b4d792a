import { hash } from 'node:crypto'
import PQueue from 'p-queue'
import type { Clock } from '../../kernel/clock.ts'
import type { NewId } from '../../kernel/ids.ts'
import type { Json } from '../../kernel/json.ts'
import type { Agent } from '../agents/index.ts'
import type { TurnOptions } from '../sessions/index.ts'
import {
  approvalFor,
  type Checked,
  decide,
  shapeOutput,
  type Tool,
  type ToolContext,
  toolHash,
} from '../tools/index.ts'
import type { TurnLimits } from './limits.ts'
import type { StepCall } from './step.ts'
import type { NewApproval, NewToolCall } from './store.ts'

/** A call after validation and policy: what will be stored, and what is needed to run it. */
export interface PlannedCall {
  readonly row: NewToolCall
  /** Present when it may run now. */
  readonly run: { readonly tool: Tool; readonly args: unknown } | null
  readonly approval: NewApproval | null
}

export interface CallEnd {
  readonly id: string
  readonly call: string
  readonly tool: string
  readonly status: 'succeeded' | 'failed' | 'denied' | 'unknown' | 'deferred'
  readonly output: Json
  readonly startedAt: number
  readonly endedAt: number
}

/** The end of a call that really ran. */
export type RanCall = CallEnd & { readonly status: 'succeeded' | 'failed' }

export interface PlanInput {
  readonly agent: Agent
  readonly authority: TurnOptions['authority']
  readonly generation: number
  readonly step: number
  readonly limits: TurnLimits
  readonly clock: Clock
  readonly newId: NewId
  report(error: unknown, where: string): void
}

/** SHA-256 of a tool's name and the exact text of its arguments: what an approval is bound to. */
export const hashCall = (tool: string, args: string): string => hash('sha256', JSON.stringify([tool, args]))

/** Decides every call of a step, in order. Never throws for what a model sent. */
export async function planCalls(calls: readonly StepCall[], input: PlanInput): Promise<PlannedCall[]> {
  return await Promise.all(calls.map((call, position) => planCall(call, position, input)))
}

async function planCall(
  { call, tool: name, arguments: text }: StepCall,
  position: number,
  input: PlanInput,
): Promise<PlannedCall> {
  const { agent, authority, clock, limits, newId, step } = input
  const at = clock.now()
  const tool = agent.tools.find((candidate) => candidate.name === name)
  const row = { id: newId(), step, call, tool: name, arguments: text, startedAt: at, toolHash: toolHash(tool) }
  const refuse = (rule: string, output: string): PlannedCall => ({
    row: { ...row, status: 'failed', policy: { decision: 'deny', rule, reason: output }, output, endedAt: at },
    run: null,
    approval: null,
  })
  if (position >= limits.callsPerStep) return refuse('call-limit', `at most ${limits.callsPerStep} calls in one step`)
  if (!tool) {
    const names = agent.tools.map((known) => known.name).join(', ') || 'none'
    return refuse('unknown-tool', `there is no tool ${JSON.stringify(name.slice(0, 64))}; there are: ${names}`)
  }
  const args = await checkArguments(tool, text, input.report)
  if (!args.ok) return refuse('arguments', args.problem)

  const permission = Object.hasOwn(agent.permissions, name) ? agent.permissions[name] : undefined
  const policy = decide(tool.risk, authority, approvalFor(tool, args.value, permission))
  if (policy.decision === 'deny') {
    const output = `refused: ${policy.reason ?? policy.rule}`
    return { row: { ...row, status: 'denied', policy, output, endedAt: at }, run: null, approval: null }
  }
  if (policy.decision === 'allow') {
    return {
      row: { ...row, status: 'started', policy, output: null, endedAt: null },
      run: { tool, args: args.value },
      approval: null,
    }
  }
  const approval: NewApproval = {
    id: newId(),
    toolCall: row.id,
    tool: name,
    arguments: text,
    argumentsHash: hashCall(name, text),
    reason: policy.reason,
    requestedAuthority: authority,
    createdAt: at,
    expiresAt: at + limits.approvalMs,
    toolHash: row.toolHash,
  }
  return { row: { ...row, status: 'waiting', policy, output: null, endedAt: null }, run: null, approval }
}

/** Parses and checks the JSON text of a model's arguments. */
export async function checkArguments(
  tool: Tool,
  text: string,
  report: PlanInput['report'],
): Promise<{ ok: true; value: unknown } | { ok: false; problem: string }> {
  let parsed: unknown
  try {
    // Models leave the text empty when there is nothing to say.
    parsed = text.trim() === '' ? {} : JSON.parse(text)
  } catch {
    return { ok: false, problem: 'the arguments are not valid JSON' }
  }
  let checked: Checked
  try {
    checked = await tool.check(parsed)
  } catch (error) {
    report(error, `tool ${tool.name}`)
    return { ok: false, problem: 'the arguments could not be checked' }
  }
  if (checked.ok) return checked
  return { ok: false, problem: `the arguments do not fit: ${checked.problems.slice(0, 8).join('; ')}` }
}

export interface ExecuteInput {
  readonly id: string
  readonly call: string
  readonly tool: Tool
  readonly args: unknown
  readonly context: Omit<ToolContext, 'signal' | 'idempotencyKey'>
  readonly clock: Clock
}

/** Runs one call. Its failure is a result for the model; only an aborted `signal` rejects. */
async function executeCall(
  { id, call, tool, args, context, clock }: ExecuteInput,
  signal: AbortSignal,
): Promise<RanCall> {
  signal.throwIfAborted()
  const startedAt = clock.now()
  const aborter = new AbortController()
  let stopWatching = () => {}
  let status: RanCall['status'] = 'failed'
  let output: Json
  try {
    const value = await new Promise<unknown>((resolve, reject) => {
      const giveUp = (reason: unknown) => {
        // A result that is there by now counts.
        queueMicrotask(() => reject(reason))
        aborter.abort(reason)
      }
      const cancelTimer = clock.after(tool.timeoutMs, () => giveUp(new Error(`no result within ${tool.timeoutMs} ms`)))
      const aborted = () => giveUp(signal.reason)
      signal.addEventListener('abort', aborted, { once: true })
      stopWatching = () => {
        cancelTimer()
        signal.removeEventListener('abort', aborted)
      }
      const running = (async () => tool.execute(args, { ...context, signal: aborter.signal, idempotencyKey: id }))()
      running.then(resolve, reject)
    })
    const shaped = shapeOutput(value, tool.maxOutputBytes)
    if (!shaped.isError) status = 'succeeded'
    output = shaped.output
  } catch (error) {
    signal.throwIfAborted()
    output = describeFailure(error)
  } finally {
    stopWatching()
  }
  return { id, call, tool: tool.name, status, output, startedAt, endedAt: clock.now() }
}

/** The first line of a tool's error: what the model needs, without a stack. */
function describeFailure(error: unknown): string {
  let message: string
  try {
    message = String(error instanceof Error ? error.message : error)
  } catch {
    message = 'it threw what cannot be shown'
  }
  return `the tool failed: ${(message.split('\n', 1)[0] ?? '').slice(0, 500)}`
}

/**
 * Runs calls side by side, at most `parallel` at once, and yields their results in batches: those that ended while the
 * caller was storing the batch before. Throws the abort reason after the last result that is known. Calls that still
 * run when the caller asks for no more are aborted.
 */
export async function* executeCalls(
  calls: readonly ExecuteInput[],
  parallel: number,
  signal: AbortSignal,
): AsyncGenerator<RanCall[]> {
  // Most steps have no more calls than may run at once: there is nothing to queue then.
  const queue = calls.length > parallel ? new PQueue({ concurrency: parallel }) : null
  const aborter = new AbortController()
  const abort = () => aborter.abort(signal.reason)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  let ended: RanCall[] = []
  let failure: { readonly reason: unknown } | undefined
  let wake = () => {}
  for (const call of calls) {
    const running = queue ? queue.add(() => executeCall(call, aborter.signal)) : executeCall(call, aborter.signal)
    running.then(
      (end) => {
        ended.push(end)
        wake()
      },
      (reason: unknown) => {
        failure ??= { reason }
        wake()
      },
    )
  }
  let done = 0
  try {
    while (done < calls.length) {
      if (ended.length === 0 && !failure) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      const batch = ended
      ended = []
      done += batch.length
      if (batch.length > 0) yield batch
      else if (failure) throw failure.reason
    }
  } finally {
    signal.removeEventListener('abort', abort)
    queue?.clear()
    if (done < calls.length) aborter.abort(new Error('nobody waits for this call any more'))
  }
}
