import packageJson from '../package.json' with { type: 'json' }
import { type Agent, type AgentDefinition, agentOperations } from './capabilities/agents/index.ts'
import { createAgents } from './capabilities/agents/service.ts'
import { type Approval, approvalOperations } from './capabilities/approvals/index.ts'
import { createApprovals } from './capabilities/approvals/service.ts'
import { createAccounting } from './capabilities/costs/accounting.ts'
import { compileBudgets } from './capabilities/costs/budget.ts'
import {
  type BudgetCrossing,
  type BudgetDefinition,
  costOperations,
  type PriceSource,
} from './capabilities/costs/index.ts'
import { checkPrices, createPrices } from './capabilities/costs/rate-card.ts'
import { createCosts } from './capabilities/costs/service.ts'
import { createHeldTurns } from './capabilities/loop/held-turns.ts'
import {
  attachOperation,
  loopErrors,
  type RunOptions,
  runOperation,
  type TurnHandle,
  type TurnLimits,
  turnOperations,
} from './capabilities/loop/index.ts'
import { limitsOf } from './capabilities/loop/limits.ts'
import { createLoop } from './capabilities/loop/service.ts'
import { modelOperations, type Provider } from './capabilities/models/index.ts'
import { createModels } from './capabilities/models/service.ts'
import { realtimeOperations } from './capabilities/realtime/index.ts'
import { createRealtime } from './capabilities/realtime/service.ts'
import { createTickets } from './capabilities/realtime/tickets.ts'
import { sessionOperations } from './capabilities/sessions/index.ts'
import { createSessions } from './capabilities/sessions/service.ts'
import { systemOperations } from './capabilities/system/index.ts'
import { createSystem } from './capabilities/system/service.ts'
import { authorize, createDoor, type Door } from './contract/invoke.ts'
import { type Clock, systemClock } from './kernel/clock.ts'
import { type CallContext, checkPrincipal, nobody, type Principal } from './kernel/context.ts'
import { type NewId, newUuid } from './kernel/ids.ts'
import { type Store, storeErrors } from './stores.ts'

/** What turns have to record their end when their tools were aborted. */
const afterStopMs = 1_000

export interface RuntimeOptions {
  readonly store: Store
  readonly providers: readonly Provider[]
  readonly agents: readonly AgentDefinition[]
  readonly limits?: Partial<TurnLimits>
  /** Who decides approvals: operators only, or also the subject whose turn asks. @default 'operator' */
  readonly deciders?: 'operator' | 'owner'
  /** How long `stop` lets tools that run come to their end; model calls are aborted at once. @default 10_000 */
  readonly stopMs?: number
  /**
   * Within this time the turns of an instance that died go on elsewhere: it is dead after two thirds of it without a
   * sign of life, and others look for its turns three times in it. The same for all on one database. @default 15_000
   */
  readonly leaseMs?: number
  /** Limits on what model calls may cost. */
  readonly budgets?: readonly BudgetDefinition[]
  /** Prices of models whose registration has none, e.g. `genaiPrices()`. @default such prices are unknown */
  readonly prices?: PriceSource
  /** Told once per window of each threshold of a budget that is reached. Never throws back. */
  readonly onBudget?: (crossing: BudgetCrossing) => void
  readonly clock?: Clock
  readonly newId?: NewId
  /** Told of what callers are not: failed model calls, store errors, defects. Never throws back. */
  readonly onError?: (error: unknown, where: string) => void
}

/** Everything a caller can do. Every call is authorised as that caller. */
export interface Client {
  /**
   * Starts a turn of an agent. Returns at once; the handle tells when it is stored. The agent is the registered one of
   * this id; given as it was defined, it types the handle's `output`.
   */
  run<Output = unknown>(agent: string | Agent<Output>, options: RunOptions): TurnHandle<Output>
  /** A turn that was started before, here or elsewhere: its events, and what comes of it. `agent` types its `output`. */
  attach<Output = unknown>(turn: string, agent?: Agent<Output>): TurnHandle<Output>
  readonly agents: Door<typeof agentOperations>
  readonly approvals: Door<typeof approvalOperations>
  readonly costs: Door<typeof costOperations>
  readonly models: Door<typeof modelOperations>
  readonly realtime: Door<typeof realtimeOperations>
  readonly sessions: Door<typeof sessionOperations>
  readonly system: Door<typeof systemOperations>
  readonly turns: Door<typeof turnOperations>
}

export interface Runtime {
  /** The operations, called as somebody; null is nobody, who may call open operations only. */
  as(principal: Principal | null, context?: Omit<CallContext, 'principal'>): Client
  /** Opens the store and goes on with what a dead process left. Done by the first call when it was not done before. */
  start(): Promise<void>
  /** Stops turns at their last commit point, so that the next start goes on with them, and closes the store. */
  stop(): Promise<void>
  /** Hands an error to `onError`. */
  reportError(error: unknown, where: string): void
}

/** Stores that a runtime of this process has open: what runs there is not left over from a dead one. */
const inUse = new WeakSet<Store>()

/** Wires the capabilities together. Opens nothing: the first call, the first mount or `start` does. */
export function createRuntime(options: RuntimeOptions): Runtime {
  const { store, clock = systemClock, newId = newUuid, deciders = 'operator' } = options
  const { stopMs = 10_000, leaseMs = 15_000 } = options
  const limits = limitsOf(options.limits)
  const instance = newId()

  const reportError = (error: unknown, where: string) => {
    try {
      options.onError?.(error, where)
    } catch {
      // An observer that breaks must not break what it observes.
    }
  }

  function crossed(crossings: readonly BudgetCrossing[]): void {
    for (const crossing of crossings) {
      try {
        options.onBudget?.(crossing)
      } catch (error) {
        reportError(error, `budget ${crossing.window.budget}`)
      }
    }
  }

  let state: 'new' | 'started' | 'stopped' = 'new'
  let starting: Promise<void> | undefined
  let stopping: Promise<void> | undefined
  let opened = false
  /** What stops the timers, and the hints of what other instances do. */
  let endSweep = () => {}
  let endHeartbeat = () => {}
  let endChanges = () => {}
  const ready = () => (state === 'started' ? undefined : start())

  const agents = createAgents(options.agents)
  checkPrices(options.providers)
  const budgets = compileBudgets(options.budgets ?? [])
  const budgetsOf = () => budgets
  const prices = createPrices(options.prices ?? null, () => clock.now())
  const accounting = createAccounting({ prices, budgetsOf, clock, newId })
  const costs = createCosts({ store: store.costs, accounting, budgetsOf, clock, instance, crossed })
  const models = createModels(options.providers, costs.meter)
  const sessions = createSessions({ store: store.sessions, clock, newId })
  const realtime = createRealtime({
    sessions: store.sessions,
    tickets: createTickets(clock),
    clock,
    told: store.changes !== undefined,
    report: reportError,
  })
  const loop = createLoop({
    store: store.loop,
    sessions: store.sessions,
    approvals: store.approvals,
    agents,
    models,
    realtime,
    accounting,
    crossed,
    clock,
    newId,
    limits,
    instance,
    ready,
    report: reportError,
  })
  const held = createHeldTurns({ store: store.loop, runner: loop.runner, instance, report: reportError })
  const approvals = createApprovals({
    store: store.approvals,
    clock,
    deciders,
    resume: (turn) => loop.runner.resume(turn, 'approval', null),
    followUp,
    report: reportError,
  })
  const system = createSystem({ clock, version: packageJson.version, agents: () => agents.all })

  /** Carries out an approved call of a turn that did not wait, as a turn of its own in the same session. */
  async function followUp({ id, arguments: text, session, subject, tenant, tool, toolCall, turn }: Approval) {
    const origin = await store.sessions.turn({ tenant, subject }, turn)
    if (!origin) return
    const principal = { tenant, subject, roles: [], via: 'system', ambient: false }
    const message = [
      { type: 'text', text: `The call of ${tool} was approved.` },
      { type: 'tool-call', call: toolCall, tool, arguments: text },
    ] as const
    const { authority, approvals: mode } = origin.options
    // What was approved is carried out, although the session may have been closed since.
    const runOptions = { session, message, whenClosed: 'answer', authority, approvals: mode } as const
    await loop.run({ principal }, origin.agent, runOptions, id).accepted
  }

  const doors = {
    agents: createDoor(agentOperations, agents, ready),
    approvals: createDoor(approvalOperations, approvals, ready),
    costs: createDoor(costOperations, costs, ready),
    models: createDoor(modelOperations, models, ready),
    realtime: createDoor(realtimeOperations, realtime, ready),
    sessions: createDoor(sessionOperations, sessions, ready),
    system: createDoor(systemOperations, system, () => undefined),
    turns: createDoor(turnOperations, loop, ready),
  }

  class RuntimeClient implements Client {
    readonly #context: CallContext
    constructor(context: CallContext) {
      this.#context = context
    }
    run<Output>(agent: string | Agent<Output>, runOptions: RunOptions) {
      authorize(runOperation, this.#context)
      const id = typeof agent === 'string' ? agent : agent.id
      return loop.run(this.#context, id, runOptions) as TurnHandle<Output>
    }
    attach<Output>(turn: string) {
      authorize(attachOperation, this.#context)
      return loop.attach(this.#context, turn) as TurnHandle<Output>
    }
    get agents() {
      return new doors.agents(this.#context)
    }
    get approvals() {
      return new doors.approvals(this.#context)
    }
    get costs() {
      return new doors.costs(this.#context)
    }
    get models() {
      return new doors.models(this.#context)
    }
    get realtime() {
      return new doors.realtime(this.#context)
    }
    get sessions() {
      return new doors.sessions(this.#context)
    }
    get system() {
      return new doors.system(this.#context)
    }
    get turns() {
      return new doors.turns(this.#context)
    }
  }

  function start(): Promise<void> {
    if (state === 'stopped') return Promise.reject(loopErrors.RUNTIME_STOPPED())
    starting ??= open().catch((error) => {
      starting = undefined
      throw error
    })
    return starting
  }

  async function open(): Promise<void> {
    if (!opened && store.exclusive && inUse.has(store)) throw storeErrors.STORE_IN_USE()
    inUse.add(store)
    await store.open().catch((error) => {
      inUse.delete(store)
      throw error
    })
    opened = true
    await prices.load()
    await heartbeat()
    // What seems to run in a database that nobody else uses was left by a dead process.
    await takeOver(store.exclusive ? Number.MAX_SAFE_INTEGER : staleBefore())
    if (state === 'stopped') throw loopErrors.RUNTIME_STOPPED()
    state = 'started'
    // Each on its own: an instance that is slow to sweep is not dead.
    if (!store.exclusive) endHeartbeat = repeat(heartbeat, leaseMs / 6, 'heartbeat')
    endSweep = repeat(sweep, leaseMs / 3, 'sweep')
    const hint = ({ turn }: { readonly turn: string }) => {
      realtime.touch(turn)
      held.changed(turn)
    }
    endChanges = store.changes?.subscribe(hint) ?? endChanges
    await approvals.sweep().catch((error) => reportError(error, 'sweep'))
  }

  const heartbeat = () => store.loop.heartbeat(instance, clock.now())

  const staleBefore = () => clock.now() - Math.round((leaseMs * 2) / 3)

  async function takeOver(before: number): Promise<void> {
    await loop.runner.takeOver(before)
    await costs.settleAbandoned(before)
  }

  async function sweep(): Promise<void> {
    if (!store.exclusive) {
      await takeOver(staleBefore())
      await held.sweep()
    }
    await approvals.sweep()
  }

  function repeat(work: () => Promise<void>, everyMs: number, where: string): () => void {
    let ended = false
    let cancel = clock.after(everyMs, again)
    function again(): void {
      work()
        .catch((error) => {
          if (!ended) reportError(error, where)
        })
        .finally(() => {
          if (!ended) cancel = clock.after(everyMs, again)
        })
    }
    return () => {
      ended = true
      cancel()
    }
  }

  async function close(): Promise<void> {
    state = 'stopped'
    endSweep()
    await starting?.catch(() => {})
    const waited = Promise.withResolvers<void>()
    const cancelWait = clock.after(stopMs + afterStopMs, waited.resolve)
    await Promise.race([loop.runner.stop(stopMs), waited.promise])
    cancelWait()
    endHeartbeat()
    endChanges()
    realtime.stop(loopErrors.RUNTIME_STOPPED())
    if (!opened) return
    await store.loop.retire(instance).catch((error) => reportError(error, 'stop'))
    await store.close()
    inUse.delete(store)
  }

  return {
    as: (principal, context) =>
      new RuntimeClient({ ...context, principal: principal === null ? nobody : checkPrincipal(principal) }),
    start,
    stop() {
      stopping ??= close()
      return stopping
    },
    reportError,
  }
}
