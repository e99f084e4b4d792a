import type { Reach } from '../../kernel/context.ts'
import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { TurnEventBody } from '../sessions/index.ts'
import { loopErrors, NotRecorded } from './errors.ts'
import { History } from './history.ts'
import { lostCall } from './lost-call.ts'
import { prepareTurn, type TurnPlan } from './prepare.ts'
import type { Leftover, OutcomeDecision } from './resume-turn.ts'
import { failUnprepared, runTurn } from './run-turn.ts'
import type { LostCall, ResumedTurn, StartedTurn } from './store.ts'
import { type RunServices, TurnRun } from './turn-run.ts'
import { TurnStop } from './turn-stop.ts'

/** A turn that could not be recorded is tried again after this; doubles up to a minute. */
const firstRetryMs = 1_000
const longestRetryMs = 60_000
/** A turn that a store which works refuses so often is given up: every try may call a model. */
const mostRetries = 5
const internal = { error: { code: 'INTERNAL', message: 'internal error' } } as const
const takeOverBatch = 50

type ResumeReason = Extract<TurnEventBody, { type: 'turn.resumed' }>['reason']

interface Resumption {
  readonly reason: ResumeReason
  readonly leftover: Leftover
  readonly lostCall: LostCall | null
  /** Position of the last stored event. */
  readonly stored: number
  /** False when the turn has nothing to go on with. */
  readonly begun: boolean
}

interface Running {
  readonly stop: TurnStop
  done: Promise<void> | undefined
}

/** The turns that run in this process. */
export interface Runner {
  /** Begins to run a turn under its lease; its events come from what is returned. `plan`: what it was accepted with. */
  launch(started: StartedTurn, resumption: Resumption | null, plan?: TurnPlan): LiveTurn
  /** Goes on with a turn that waits or was interrupted. False when it cannot be had. */
  resume(turn: string, reason: ResumeReason, decision: OutcomeDecision | null): Promise<boolean>
  /** Takes the turns of dead instances over, and starts what waits in free sessions. */
  takeOver(staleBefore: number): Promise<void>
  /** Stops a turn that runs here. */
  cancel(turn: string): void
  /** True for a turn that runs here, or soon will. */
  knows(turn: string): boolean
  /**
   * Aborts every turn and waits until all have stopped; what they have not finished goes on after the next start. Tools
   * that run may end within `graceMs`, so that their results are known.
   */
  stop(graceMs: number): Promise<void>
}

export function createRunner(services: RunServices): Runner {
  const { approvals, clock, histories, instance, limits, realtime, report, store } = services
  const running = new Map<string, Running>()
  /** Turns whose lease is asked for, and whether they were cancelled meanwhile. */
  const claimed = new Map<string, { cancelled: boolean; readonly settled: Promise<false> }>()
  /** How often in a row a turn could not be recorded. */
  const unrecorded = new Map<string, number>()
  const stopping = new AbortController()
  const isGivenUp = (turn: string) => (unrecorded.get(turn) ?? 0) > mostRetries

  function launch(started: StartedTurn, resumption: Resumption | null, plan: TurnPlan | null = null): LiveTurn {
    const { id } = started.turn
    const epoch = resumption?.reason === 'takeover' ? started.lease.epoch : 0
    const live = realtime.open(started.turn, resumption?.stored, epoch)
    const here: Running = { stop: new TurnStop(), done: undefined }
    running.set(id, here)
    if (stopping.signal.aborted) here.stop.endModel(loopErrors.RUNTIME_STOPPED())
    if (started.turn.cancelRequested) cancel(id)
    here.done = run(started, resumption, plan, live, here.stop)
    return live
  }

  const end = (turn: string, reason: KeelsonError) => running.get(turn)?.stop.end(reason)

  function cancel(turn: string): void {
    end(turn, loopErrors.TURN_CANCELLED())
    const claim = claimed.get(turn)
    if (claim) claim.cancelled = true
  }

  async function run(
    started: StartedTurn,
    resumption: Resumption | null,
    plan: TurnPlan | null,
    live: LiveTurn,
    stop: TurnStop,
  ) {
    const { signal } = stop
    const { turn, lastSequence } = started
    const { id, input: parts } = turn
    const reach = { tenant: turn.tenant, subject: turn.subject }
    let next: StartedTurn | null = null
    let waits = false
    let defers = false
    let history: History | undefined
    let cancelTimer = () => {}
    const left = resumption && { ...resumption, ...resumption.leftover, turn }
    try {
      const at = clock.now()
      live.stage(
        resumption?.begun
          ? { type: 'turn.resumed', reason: resumption.reason, at }
          : { type: 'turn.started', session: turn.session, agent: turn.agent, at },
      )
      live.publish()
      const prepared = isGivenUp(id) ? internal : prepareTurn(services, turn, plan, signal)
      const ready = prepared instanceof Promise ? await prepared : prepared
      if ('error' in ready) {
        next = (await failUnprepared(services, started, left, live, ready.error)).next
        live.publish()
      } else {
        // What was just accepted is known; only an older tail has to be read.
        const newest = resumption ? undefined : { sequence: lastSequence, turn: id, role: 'user' as const, parts }
        const loaded = histories.load(reach, turn.session, lastSequence, newest)
        history = loaded instanceof History ? loaded : await loaded
        const turnMs = turn.options.turnMs ?? limits.turnMs
        cancelTimer = clock.after(turnMs, () =>
          end(id, loopErrors.TURN_TIMEOUT({ message: `the turn took more than ${turnMs} ms` })),
        )
        const { agent, budgets, candidates } = ready
        const turnRun = new TurnRun(services, {
          agent,
          budgets,
          candidates,
          started,
          turnMs,
          history,
          lost: left && lostCall(services, left, budgets, { agent, history }),
          live,
          signal,
          stop,
          stopping: stopping.signal,
          cancel: () => cancel(id),
        })
        next = await runTurn(turnRun, resumption?.leftover ?? null)
        waits = turnRun.waits
        defers = turnRun.defers
      }
      unrecorded.delete(turn.id)
    } catch (thrown) {
      const error = thrown instanceof NotRecorded ? thrown.cause : thrown
      if (stopping.signal.aborted) live.fail(stopping.signal.reason)
      else {
        report(error, `turn ${turn.id}`)
        if (isKeelsonError(error) && error.code === 'LEASE_LOST') unrecorded.delete(turn.id)
        else tryAgainLater(turn.id)
      }
    } finally {
      cancelTimer()
      services.release(turn.id)
      if (history !== undefined) histories.keep(turn.session, history)
      live.end()
      realtime.close(live)
      running.delete(turn.id)
      if (next) launch(next, null)
      if (waits) resumeIfDecided(reach, turn.id).catch((error) => report(error, `turn ${turn.id}`))
      if (defers && !stopping.signal.aborted)
        services.followDecisions().catch((error) => report(error, `turn ${turn.id}`))
    }
  }

  /** The decision may have come before there was anything to resume. */
  async function resumeIfDecided(reach: Reach, turn: string): Promise<void> {
    if (stopping.signal.aborted) return
    const open = await approvals.list(reach, { limit: 1, offset: 0 }, { turn, status: 'pending' })
    if (open.length === 0) await resume(turn, 'approval', null)
  }

  /** The store did not take it: the lease is still ours, and the turn is where its last commit point left it. */
  function tryAgainLater(turn: string): void {
    const times = unrecorded.get(turn) ?? 0
    unrecorded.set(turn, times + 1)
    tryAgain(turn, Math.min(firstRetryMs * 2 ** times, longestRetryMs))
  }

  function tryAgain(turn: string, wait: number): void {
    clock.after(wait, () => {
      if (stopping.signal.aborted) return
      // One that is somebody else's by now may come back, like any other.
      const settled = (resumed: boolean) => resumed || running.has(turn) || unrecorded.delete(turn)
      resume(turn, 'takeover', null).then(settled, () => tryAgain(turn, Math.min(wait * 2, longestRetryMs)))
    })
  }

  const launchResumed = (resumed: ResumedTurn, reason: ResumeReason, decision: OutcomeDecision | null) => {
    const { crossings = [], logSequence: stored, toolCalls, turn } = resumed
    services.crossed(crossings)
    const lost = reason === 'takeover' ? resumed.lostCall : null
    const begun = turn.steps > 0 || stored > 0
    launch(resumed, { reason, leftover: { toolCalls, decision }, lostCall: lost, stored, begun })
  }

  /** Of two who ask at once the second waits until the turn runs: it must neither take its lease nor be told too early. */
  async function resume(turn: string, reason: ResumeReason, decision: OutcomeDecision | null): Promise<boolean> {
    if (running.has(turn) || claimed.has(turn)) return (await claimed.get(turn)?.settled) ?? false
    const { promise: settled, resolve: settle } = Promise.withResolvers<false>()
    claimed.set(turn, { cancelled: false, settled })
    try {
      const resumed = await store.resume(turn, instance, clock.now())
      if (!resumed) return false
      launchResumed(resumed, reason, decision)
      if (claimed.get(turn)?.cancelled) cancel(turn)
      return true
    } finally {
      claimed.delete(turn)
      settle(false)
    }
  }

  return {
    launch,
    resume,

    async takeOver(staleBefore) {
      for (;;) {
        const turns = await store.takeOver(instance, staleBefore, clock.now(), takeOverBatch)
        for (const turn of turns) launchResumed(turn, 'takeover', null)
        if (turns.length < takeOverBatch || stopping.signal.aborted) return
      }
    },

    cancel,

    knows: (turn) => running.has(turn) || claimed.has(turn) || unrecorded.has(turn),

    async stop(graceMs) {
      stopping.abort(loopErrors.RUNTIME_STOPPED())
      const { reason } = stopping.signal
      const all = [...running.values()]
      for (const { stop } of all) stop.endModel(reason)
      const endTools = () => {
        for (const { stop } of all) stop.endTools(reason)
      }
      const cancelTimer = graceMs > 0 ? clock.after(graceMs, endTools) : endTools()
      await Promise.all(all.map(({ done }) => done))
      cancelTimer?.()
    },
  }
}
