import type { Reach } from '../../kernel/context.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { EndedCall } from '../costs/index.ts'
import type { Model, ModelRequest } from '../models/index.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { ContextSegment, ModelAttempt, NewMessage, Part, Selection, Usage } from '../sessions/index.ts'
import { assemble } from './context.ts'
import type { LoopDependencies } from './dependencies.ts'
import { NotRecorded } from './errors.ts'
import type { ExecuteInput } from './execute-tools.ts'
import type { History, HistoryCache } from './history.ts'
import { pause } from './pause.ts'
import type { TurnPlan } from './prepare.ts'
import type { Recollection } from './recollect.ts'
import type { StepResult } from './step-result.ts'
import type { Committed, StartedTurn, TurnCommit } from './store.ts'
import { TurnCosts } from './turn-costs.ts'
import type { TurnStop } from './turn-stop.ts'

/** What every turn of a runtime runs with. */
export type RunServices = LoopDependencies & { readonly histories: HistoryCache }

export interface RunTurn extends TurnPlan {
  readonly started: StartedTurn
  /** Milliseconds the turn may run at a stretch. */
  readonly turnMs: number
  /** Everything up to the newest stored message. */
  readonly history: History
  readonly live: LiveTurn
  /** What the turn was doing when its process died. */
  readonly lost: EndedCall | null
  /** Aborted with `TURN_CANCELLED`, or with anything else when the runtime stops: no model call goes on. */
  readonly signal: AbortSignal
  readonly stop: TurnStop
  /** Aborted when the runtime stops. */
  readonly stopping: AbortSignal
  /** Aborts both: a cancel was asked for on another instance. */
  cancel(): void
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
  readonly services: RunServices
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
  /** True when it has asked for approvals and does not wait for them. */
  defers = false
  #toolContext: ExecuteInput['context'] | undefined
  #selection: Selection | null
  /** The selection has attempts that the store does not have yet. */
  #attempted = false

  constructor(services: RunServices, input: RunTurn) {
    const { turn } = input.started
    this.services = services
    this.input = input
    this.steps = turn.steps
    this.usage = turn.usage
    this.costs = new TurnCosts(services, input)
    this.model = turn.model
    this.#selection = turn.selection
  }

  /** The rows of whoever the turn belongs to. */
  get reach(): Reach {
    const { tenant, subject } = this.input.started.turn
    return { tenant, subject }
  }

  /** What every tool of the turn is told. */
  get toolContext(): ExecuteInput['context'] {
    if (this.#toolContext === undefined) {
      const { agent, started } = this.input
      const { id: turn, session, tenant, subject } = started.turn
      const call = this.services.callAs({ tenant, subject })
      this.#toolContext = { turn, session, tenant, subject, agent: agent.id, call }
    }
    return this.#toolContext
  }

  /** What a model is asked in the step that comes next. May throw `context-too-long` for one with a small window. */
  request(model: Model): ModelRequest {
    const { agent, history } = this.input
    const { request, segments } = assemble(agent, model, history, this.recollection)
    this.segments = segments
    return request
  }

  /** One commit point: what is given, the events staged since the last one, and the totals. Then readers see them. */
  async commit(
    change: Omit<TurnCommit, 'at' | 'log' | 'steps' | 'usage' | 'cost' | 'ledger' | 'settlements'>,
  ): Promise<Committed> {
    const { clock, histories, store } = this.services
    const { history, live, started } = this.input
    const { messages = [], status } = change
    const { ledger, settlements } = this.costs.take(status !== undefined)
    const selection = this.#attempted ? (this.#selection ?? undefined) : undefined
    const context = this.segments.length > 0 ? this.segments : undefined
    const full: Required<TurnCommit> = {
      at: clock.now(),
      messages,
      log: live.takeLog(),
      toolCalls: change.toolCalls,
      toolCallEnds: change.toolCallEnds,
      approvals: change.approvals,
      status,
      selection,
      context,
      model: this.model ?? undefined,
      steps: this.steps,
      usage: this.usage,
      cost: this.costs.total,
      error: change.error,
      ledger,
      settlements,
      reservation: change.reservation,
    }
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
      await this.#recorded(histories.read(history, this.reach, started.turn.session, committed.lastSequence))
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
    const { clock, report, store } = this.services
    const { started, stopping } = this.input
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
    const { clock, store } = this.services
    const { lease, turn } = this.input.started
    const cancelling = store.cancel(this.reach, turn.id, lease.instance, clock.now())
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
    const { clock, newId } = this.services
    return { id: newId(), turn: this.input.started.turn.id, role, parts, usage, createdAt: clock.now() }
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
    const { report, store } = this.services
    const { live, started } = this.input
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
