import type { Ready } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { CallContext, Owner } from '../../kernel/context.ts'
import type { NewId } from '../../kernel/ids.ts'
import type { Agent, Agents } from '../agents/index.ts'
import type { ApprovalStore, DecideApproval } from '../approvals/index.ts'
import type { ConfigReader } from '../config/index.ts'
import type { Accounting, BudgetCrossing, Budgets } from '../costs/index.ts'
import type { Memory } from '../memory/index.ts'
import type { Models, ProviderGate } from '../models/index.ts'
import type { Realtime } from '../realtime/index.ts'
import type { SessionStore } from '../sessions/index.ts'
import type { CallOperation } from '../tools/index.ts'
import type { TurnLimits } from './limits.ts'
import type { LoopStore } from './store.ts'

export interface LoopDependencies {
  readonly store: LoopStore
  readonly sessions: SessionStore
  readonly approvals: ApprovalStore
  readonly agents: Pick<Agents, 'within'>
  readonly config: ConfigReader
  /** The agent with what it gets besides its own tools, the same object while nothing changes. It stays usable for the turn. */
  equip(
    agent: Agent,
    turn: { readonly id: string; readonly tenant: string },
    signal: AbortSignal,
  ): Agent | Promise<Agent>
  /** The turn is over: what it was equipped with may go. */
  release(turn: string): void
  readonly models: Models
  /** Says which providers may be called. */
  readonly gate: ProviderGate
  readonly realtime: Realtime
  readonly accounting: Accounting
  readonly budgets: Pick<Budgets, 'within'>
  readonly clock: Clock
  readonly newId: NewId
  readonly limits: TurnLimits
  /** This runtime's name in leases. */
  readonly instance: string
  readonly ready: Ready
  /** Told of thresholds of budgets. */
  crossed(crossings: readonly BudgetCrossing[]): void
  readonly memory: Memory
  /** How a tool calls operations for the owner of a turn. */
  callAs(owner: Owner): CallOperation
  /** Decides an approval as the caller. */
  decideApproval(context: CallContext, decision: DecideApproval): Promise<unknown>
  /** Carries out what was approved before its turn, which did not wait for it, was over. */
  followDecisions(): Promise<unknown>
  report(error: unknown, where: string): void
}
