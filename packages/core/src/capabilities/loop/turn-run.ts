import type { Clock } from '../../kernel/clock.ts'
import type { Owner } from '../../kernel/context.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { NewId } from '../../kernel/ids.ts'
import type { Agent } from '../agents/index.ts'
import type { Approval } from '../approvals/index.ts'
import type { Accounting, Budget, BudgetCrossing, EndedCall } from '../costs/index.ts'
import type { Memory } from '../memory/index.ts'
import type { Model, Models, ProviderGate } from '../models/index.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { ContextSegment, ModelAttempt, NewMessage, Part, Selection, Usage } from '../sessions/index.ts'
import type { CallOperation } from '../tools/index.ts'
import { NotRecorded } from './errors.ts'
import type { History } from './history.ts'
import type { TurnLimits } from './limits.ts'
import { pause } from './pause.ts'
import type { Recollection } from './recollect.ts'
import type { StepResult } from './step.ts'
import type { Committed, LoopStore, StartedTurn, TurnCommit } from './store.ts'
import { TurnCosts } from './turn-costs.ts'

export interface RunTurn {
  readonly started: StartedTurn
  readonly agent: Agent
  readonly candidates: readonly Model[]
  readonly gate: ProviderGate
  readonly models: Pick<Models, 'meter' | 'providerOf'>
  /** Milliseconds the turn may run at a stretch. */
  readonly turnMs: number
  /** Everything up to the newest stored message. */
  readonly history: History
  readonly live: LiveTurn
  readonly store: LoopStore
  readonly accounting: Accounting
  readonly budgets: readonly Budget[]
  /** What the turn was doing when its process died. */
  readonly lost: EndedCall | null
  readonly clock: Clock
  readonly newId: NewId
  readonly limits: TurnLimits
  readonly memory: Memory
  callAs(owner: Owner): CallOperation
  /** Aborted with `TURN_CANCELLED`, or with anything else when the runtime stops: no model call goes on. */
  readonly signal: AbortSignal
  /** Aborted by cancel too, but when the runtime stops only after the time that running tools are given to end. */
  readonly toolSignal: AbortSignal
  /** Aborted when the runtime stops. */
  readonly stopping: AbortSignal
  /** The turn's approvals, decided or not. */
  approvals(): Promise<Approval[]>
  approvedBy(approval: string): Promise<Approval | null>
  /** Reads into `history` what others have appended to the session, up to a sequence. */
  catchUp(lastSequence: number): Promise<void>
  /** Aborts `signal` and `toolSignal`: a cancel was asked for on another instance. */
  cancel(): void
  /** Told of thresholds of budgets. */
  crossed(crossings: readonly BudgetCrossing[]): void
  report(error: unknown, where: string): void
}

/** More than these are not kept of one turn. */
const mostAttempts = 200

/** Between two tries to record a commit point. Doubles. */
const firstWaitMs = 250
const longestWaitMs = 30_000

/** The database is full, locked or cannot be written: somebody may put that right while the turn is kept here. */
const mayPass = (error: unknown): boolean =>
  isKeelsonError(error) && error.kind === 'unavailable' && error.code !== 'STORE_CLOSED'

/** The running totals of a turn. */
export class TurnRun {
  readonly input: RunTurn
  steps: number
  usage: Usage
  readonly costs: TurnCosts
  model: string | null
  segments: readonly ContextSegment[] = []
  /** What the model is given of its user's memory, with the message it belongs to. */
  recollection: Recollection | null = null
  /** Calls that have started and not ended, by row id: what a cancel leaves with an unknown outcome. */
  readonly open = new Set<string>()
  /** The last commit let the turn wait. */
  waits = false
  #selection: Selection | null
  /** The selection has attempts that the store does not have yet. */
  #attempted = false

  constructor(input: RunTurn) {
    const { turn } = input.started
    this.input = input
    this.steps = turn.steps
    this.usage = turn.usage
    this.costs = new TurnCosts(input)
    this.model = turn.model
    this.#selection = turn.selection
  }

  /** One commit point: what is given, the events staged since the last one, and the totals. Then readers see them. */
  async commit(
    change: Omit<TurnCommit, 'at' | 'log' | 'steps' | 'usage' | 'cost' | 'ledger' | 'settlements'>,
  ): Promise<Committed> {
    const { clock, history, live, started, store } = this.input
    const { messages = [], status } = change
    const full: { -readonly [Key in keyof TurnCommit]: TurnCommit[Key] } = {
      ...change,
      ...this.costs.take(status !== undefined),
      at: clock.now(),
      log: live.takeLog(),
      steps: this.steps,
      usage: this.usage,
      cost: this.costs.total,
    }
    if (this.model !== null) full.model = this.model
    if (this.segments.length > 0) full.context = this.segments
    if (this.#attempted && this.#selection !== null) full.selection = this.#selection
    let committed: Committed
    try {
      committed = await store.commit(started.lease, full)
    } catch (error) {
      committed = await this.#recordLater(full, error)
    }
    if (history.lastSequence + messages.length === committed.lastSequence) {
      for (const { turn, role, parts } of messages)
        history.add({ sequence: history.lastSequence + 1, turn, role, parts })
    } else if (status === undefined) {
      await this.#recorded(this.input.catchUp(committed.lastSequence))
    }
    this.#attempted = false
    live.publish()
    if (committed.money) this.costs.committed(committed.money, change.reservation)
    if (committed.cancelRequested && status === undefined) this.input.cancel()
    this.waits = status === 'waiting'
    return this.waits && committed.cancelRequested ? await this.#cancelWaiting(committed) : committed
  }

  /**
   * Tries again until the store takes what it has refused with `error`: a model's answer and the results of tools cannot
   * be had again for nothing.
   */
  async #recordLater(change: TurnCommit, error: unknown): Promise<Committed> {
    const { clock, report, started, stopping, store } = this.input
    let refusal = error
    for (let wait = firstWaitMs; ; wait = Math.min(wait * 2, longestWaitMs)) {
      if (!mayPass(refusal) || stopping.aborted) throw new NotRecorded(refusal)
      report(refusal, `turn ${started.turn.id}`)
      await pause(clock, wait, stopping).catch(() => {})
      try {
        return await store.commit(started.lease, change)
      } catch (again) {
        refusal = again
      }
    }
  }

  /** The turn was cancelled while it came to wait: nobody runs it who could see that later. */
  async #cancelWaiting(committed: Committed): Promise<Committed> {
    const { clock, started, store } = this.input
    const { id, tenant, subject } = started.turn
    const cancelling = store.cancel({ tenant, subject }, id, started.lease.instance, clock.now())
    const cancelled = await this.#recorded(cancelling)
    return { ...committed, next: cancelled?.next ?? null }
  }

  async #recorded<Value>(work: Promise<Value>): Promise<Value> {
    try {
      return await work
    } catch (error) {
      throw new NotRecorded(error)
    }
  }

  message(role: NewMessage['role'], parts: readonly Part[], usage: Usage | null = null): NewMessage {
    const { clock, newId, started } = this.input
    return { id: newId(), turn: started.turn.id, role, parts, usage, createdAt: clock.now() }
  }

  /** Kept with the next commit point, so that the log of selections tells what really answered and why. */
  attempted(attempt: ModelAttempt): void {
    if (this.#selection === null) return
    const { attempts = [] } = this.#selection
    if (attempts.length >= mostAttempts) return
    this.#selection = { ...this.#selection, attempts: [...attempts, attempt] }
    this.#attempted = true
  }

  /** Adds a step to the totals. Returns what it has cost. */
  count({ usage, model }: StepResult): number | null {
    const before = this.usage
    this.steps += 1
    this.model = model.id
    this.usage = {
      input: before.input + usage.input,
      cacheRead: before.cacheRead + usage.cacheRead,
      cacheWrite: before.cacheWrite + usage.cacheWrite,
      output: before.output + usage.output,
      reasoning: before.reasoning + usage.reasoning,
    }
    return this.costs.ofStep()
  }

  /** Stores what the step has said so far. What cannot be stored now is stored with what comes next. */
  async flush(): Promise<void> {
    const { live, report, started, store } = this.input
    const log = live.takeLog()
    try {
      await store.flush(started.lease, log)
    } catch (error) {
      if (!mayPass(error)) throw new NotRecorded(error)
      live.putBack(log)
      report(error, `turn ${started.turn.id}`)
    }
  }
}
