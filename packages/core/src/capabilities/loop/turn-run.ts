import type { Clock } from '../../kernel/clock.ts'
import type { NewId } from '../../kernel/ids.ts'
import type { Agent } from '../agents/index.ts'
import type { Approval } from '../approvals/index.ts'
import { costOf, type Model } from '../models/index.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { ContextSegment, NewMessage, Part, Usage } from '../sessions/index.ts'
import type { History } from './history.ts'
import type { TurnLimits } from './limits.ts'
import type { StepResult } from './step.ts'
import type { Committed, LoopStore, StartedTurn, TurnCommit } from './store.ts'

export interface RunTurn {
  readonly started: StartedTurn
  readonly agent: Agent
  readonly candidates: readonly Model[]
  /** Everything up to the newest stored message. */
  readonly history: History
  readonly live: LiveTurn
  readonly store: LoopStore
  readonly clock: Clock
  readonly newId: NewId
  readonly limits: TurnLimits
  /** Aborted with `TURN_CANCELLED`, or with anything else when the runtime stops. */
  readonly signal: AbortSignal
  /** The turn's approvals, decided or not. */
  approvals(): Promise<Approval[]>
  approvedBy(approval: string): Promise<Approval | null>
  /** Aborts `signal`: a cancel was asked for on another instance. */
  cancel(): void
  report(error: unknown, where: string): void
}

/** The store did not take a write: the turn is where its last commit point left it, and nothing may be made of it. */
export class NotRecorded extends Error {
  constructor(cause: unknown) {
    super('the turn could not be recorded', { cause })
    this.name = 'NotRecorded'
  }
}

const notRecorded = (cause: unknown): never => {
  throw new NotRecorded(cause)
}

/** The running totals of a turn. */
export class TurnRun {
  readonly input: RunTurn
  steps: number
  usage: Usage
  cost: number | null
  model: string | null
  segments: readonly ContextSegment[] = []
  /** Calls that run now, by row id: what a cancel leaves with an unknown outcome. */
  readonly open = new Set<string>()

  constructor(input: RunTurn) {
    const { turn } = input.started
    this.input = input
    this.steps = turn.steps
    this.usage = turn.usage
    this.cost = turn.cost
    this.model = turn.model
  }

  /** One commit point: what is given, the events staged since the last one, and the totals. Then readers see them. */
  async commit(change: Omit<TurnCommit, 'at' | 'log' | 'steps' | 'usage' | 'cost'>): Promise<Committed> {
    const { clock, history, live, started, store } = this.input
    const committed = await store.commit(started.lease, {
      ...change,
      at: clock.now(),
      log: live.takeLog(),
      steps: this.steps,
      usage: this.usage,
      cost: this.cost,
      ...(this.model === null ? {} : { model: this.model }),
      ...(this.segments.length === 0 ? {} : { context: this.segments }),
    }).catch(notRecorded)
    // Somebody may have appended in between: the cache then reads the whole tail anew.
    const messages = change.messages ?? []
    if (history.lastSequence + messages.length === committed.lastSequence) {
      for (const { role, parts } of messages) history.add({ sequence: history.lastSequence + 1, role, parts })
    }
    live.publish()
    if (committed.cancelRequested && change.status === undefined) this.input.cancel()
    return committed
  }

  message(role: NewMessage['role'], parts: readonly Part[], usage: Usage | null = null): NewMessage {
    const { clock, newId, started } = this.input
    return { id: newId(), turn: started.turn.id, role, parts, usage, createdAt: clock.now() }
  }

  count({ usage, model }: StepResult): void {
    const before = this.usage
    const cost = costOf(usage, model.price)
    this.steps += 1
    this.model = model.id
    this.cost = cost === null || this.cost === null ? (this.steps === 1 ? cost : null) : this.cost + cost
    this.usage = {
      input: before.input + usage.input,
      cacheRead: before.cacheRead + usage.cacheRead,
      cacheWrite: before.cacheWrite + usage.cacheWrite,
      output: before.output + usage.output,
      reasoning: before.reasoning + usage.reasoning,
    }
  }

  /** Stores what the step has said so far. */
  async flush(): Promise<void> {
    const { live, started, store } = this.input
    await store.flush(started.lease, live.takeLog()).catch(notRecorded)
  }
}
