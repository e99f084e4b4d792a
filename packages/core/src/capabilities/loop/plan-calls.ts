import { hash } from 'node:crypto'
import type { Clock } from '../../kernel/clock.ts'
import type { NewId } from '../../kernel/ids.ts'
import type { Agent } from '../agents/index.ts'
import type { TurnOptions } from '../sessions/index.ts'
import { approvalFor, type Checked, decide, type Tool, toolHash } from '../tools/index.ts'
import type { TurnLimits } from './limits.ts'
import type { StepCall } from './step-result.ts'
import type { NewApproval, NewToolCall } from './store.ts'

/** A call after validation and policy: what will be stored, and what is needed to run it. */
export interface PlannedCall {
  readonly row: NewToolCall
  /** Present when it may run now. */
  readonly run: { readonly tool: Tool; readonly args: unknown } | null
  readonly approval: NewApproval | null
}

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

/** Decides every call of a step, in order, without a wait where no check has to wait. Never throws for what a model sent. */
export function planCalls(calls: readonly StepCall[], input: PlanInput): PlannedCall[] | Promise<PlannedCall[]> {
  const planned = calls.map((call, position) => planCall(call, position, input))
  return planned.some((each) => each instanceof Promise) ? Promise.all(planned) : (planned as PlannedCall[])
}

function planCall(stepCall: StepCall, position: number, input: PlanInput): PlannedCall | Promise<PlannedCall> {
  const { call, tool: name, arguments: text } = stepCall
  const { agent, clock, limits, newId, step } = input
  const at = clock.now()
  const tool = agent.tools.find((candidate) => candidate.name === name)
  const row = { id: newId(), step, call, tool: name, arguments: text, startedAt: at, toolHash: toolHash(tool) }
  if (position >= limits.callsPerStep) {
    return refused(row, 'call-limit', `at most ${limits.callsPerStep} calls in one step`)
  }
  if (!tool) {
    const names = agent.tools.map((known) => known.name).join(', ') || 'none'
    return refused(row, 'unknown-tool', `there is no tool ${JSON.stringify(name.slice(0, 64))}; there are: ${names}`)
  }
  const args = checkArguments(tool, text, input.report)
  return args instanceof Promise
    ? args.then((checked) => decideCall(row, tool, checked, input))
    : decideCall(row, tool, args, input)
}

type Row = Pick<NewToolCall, 'id' | 'step' | 'call' | 'tool' | 'arguments' | 'startedAt' | 'toolHash'>

const refused = (row: Row, rule: string, output: string): PlannedCall => ({
  row: { ...row, status: 'failed', policy: { decision: 'deny', rule, reason: output }, output, endedAt: row.startedAt },
  run: null,
  approval: null,
})

function decideCall(
  row: Row,
  tool: Tool,
  args: CheckedArguments,
  { agent, authority, limits, newId }: PlanInput,
): PlannedCall {
  if (!args.ok) return refused(row, 'arguments', args.problem)
  const permission = Object.hasOwn(agent.permissions, row.tool) ? agent.permissions[row.tool] : undefined
  const policy = decide(tool.risk, authority, approvalFor(tool, args.value, permission))
  if (policy.decision === 'deny') {
    const output = `refused: ${policy.reason ?? policy.rule}`
    return { row: { ...row, status: 'denied', policy, output, endedAt: row.startedAt }, run: null, approval: null }
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
    tool: row.tool,
    arguments: row.arguments,
    argumentsHash: hashCall(row.tool, row.arguments),
    reason: policy.reason,
    requestedAuthority: authority,
    createdAt: row.startedAt,
    expiresAt: row.startedAt + limits.approvalMs,
    toolHash: row.toolHash,
  }
  return { row: { ...row, status: 'waiting', policy, output: null, endedAt: null }, run: null, approval }
}

type CheckedArguments =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problem: string }

/** Parses and checks the JSON text of a model's arguments. */
export function checkArguments(
  tool: Tool,
  text: string,
  report: PlanInput['report'],
): CheckedArguments | Promise<CheckedArguments> {
  let parsed: unknown
  try {
    // Models leave the text empty when there is nothing to say.
    parsed = text.trim() === '' ? {} : JSON.parse(text)
  } catch {
    return { ok: false, problem: 'the arguments are not valid JSON' }
  }
  const broken = (error: unknown): CheckedArguments => {
    report(error, `tool ${tool.name}`)
    return { ok: false, problem: 'the arguments could not be checked' }
  }
  try {
    const checked = tool.check(parsed)
    return checked instanceof Promise ? checked.then(argumentsOf, broken) : argumentsOf(checked)
  } catch (error) {
    return broken(error)
  }
}

const argumentsOf = (checked: Checked): CheckedArguments =>
  checked.ok ? checked : { ok: false, problem: `the arguments do not fit: ${checked.problems.slice(0, 8).join('; ')}` }
