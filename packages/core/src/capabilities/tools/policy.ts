import type { Risk, Tool } from './tool.ts'

/**
 * On whose behalf a call is made, highest first: `creator` is the owner of the agent, `self-generated` its own
 * schedules and follow-ups, `peer` somebody the owner trusts, `external` anybody else.
 */
export type Authority = 'creator' | 'self-generated' | 'peer' | 'external'

export type PolicyDecision = 'allow' | 'ask' | 'deny'

export type PolicyTable = Readonly<Record<Authority, Readonly<Record<Risk, PolicyDecision>>>>

/** What the tool itself wants: to leave it to the table, to always ask, or never to. `denied`: its agent may not use it. */
export type ApprovalOverride = 'policy' | 'always' | 'never' | 'denied'

/** What an agent may do with a tool, whatever the tool itself wants: use it, use it after asking, or not use it. */
export type ToolPermission = PolicyDecision

export interface Decision {
  readonly decision: PolicyDecision
  /**
   * Names what decided: `forbidden`, `approval:denied`, `approval:always`, `approval:never`, or a cell of the table as
   * `peer:caution`.
   */
  readonly rule: string
  /** For people. Null when the call is allowed. */
  readonly reason: string | null
}

/** The published table of risk and authority. */
export const defaultPolicy: PolicyTable = {
  creator: { safe: 'allow', caution: 'allow', dangerous: 'allow', forbidden: 'deny' },
  'self-generated': { safe: 'allow', caution: 'allow', dangerous: 'ask', forbidden: 'deny' },
  peer: { safe: 'allow', caution: 'allow', dangerous: 'ask', forbidden: 'deny' },
  external: { safe: 'allow', caution: 'ask', dangerous: 'deny', forbidden: 'deny' },
}

/**
 * Whether a call runs, needs a person, or is refused. A denial stands: no override turns it into a question, and a
 * forbidden tool never runs whatever the table says.
 */
export function decide(
  risk: Risk,
  authority: Authority,
  approval: ApprovalOverride = 'policy',
  table: PolicyTable = defaultPolicy,
): Decision {
  if (risk === 'forbidden') return { decision: 'deny', rule: 'forbidden', reason: 'this tool never runs' }
  const decision = table[authority][risk]
  const rule = `${authority}:${risk}`
  if (decision === 'deny') return { decision, rule, reason: `${authority} may not use a tool of risk ${risk}` }
  if (approval === 'denied') return { decision: 'deny', rule: 'approval:denied', reason: 'this agent may not use it' }
  if (approval === 'always') return { decision: 'ask', rule: 'approval:always', reason: 'this tool always asks first' }
  if (decision === 'allow') return { decision, rule, reason: null }
  if (approval === 'never') return { decision: 'allow', rule: 'approval:never', reason: null }
  return { decision, rule, reason: `${authority} must ask before using a tool of risk ${risk}` }
}

/** True for permissions by the names of tools. */
export const isPermissions = (value: unknown): value is Readonly<Record<string, ToolPermission>> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.entries(value).every(([name, wanted]) => /^[\w-]{1,64}$/.test(name) && Object.hasOwn(permitted, wanted))

const permitted: Readonly<Record<ToolPermission, ApprovalOverride>> = { allow: 'never', ask: 'always', deny: 'denied' }

/**
 * What its agent's permission says, else what the tool wants for these checked arguments. A function of the tool that
 * throws or answers nonsense means: ask.
 */
export function approvalFor(
  tool: Pick<Tool, 'approval'>,
  args: unknown,
  permission?: ToolPermission,
): ApprovalOverride {
  if (permission !== undefined) return permitted[permission]
  if (typeof tool.approval !== 'function') return tool.approval
  try {
    const wanted: unknown = tool.approval(args)
    // An asynchronous answer comes too late: ask, and let its rejection end nothing.
    if (wanted instanceof Promise) wanted.catch(() => {})
    return wanted === 'never' ? 'never' : 'always'
  } catch {
    return 'always'
  }
}
