import type { Reach } from '../../kernel/context.ts'
import { isKeelsonError, type KeelsonError } from '../../kernel/errors.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { TurnEventBody } from '../sessions/index.ts'
import type { LoopDependencies } from './dependencies.ts'
import { loopErrors, NotRecorded } from './errors.ts'
import type { History, HistoryCache } from './history.ts'
import { lostCall } from './lost-call.ts'
import { prepareTurn } from './prepare.ts'
import type { Leftover, OutcomeDecision } from './resume-turn.ts'
import { failUnprepared, runTurn } from './run-turn.ts'
import type { LostCall, ResumedTurn, StartedTurn } from './store.ts'
import { TurnRun } from './turn-run.ts'

/** A turn that could not be recorded is tried again after this; doubles up to a minute. */
const firstRetryMs = 1_000
const longestRetryMs = 60_000
/** A turn that a store which works refuses so often is given up: every try may call a model. */
const mostRetries = 5
const internal = { error: { code: 'INTERNAL', message: 'internal error' } } as const
const takeOverBatch = 50
/** More than one turn can ask for. */
const mostApprovals = 10_000

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
  readonly aborter: AbortController
  readonly toolAborter: AbortController
  readonly done: Promise<void>
}

/** The turns that run in this process. */
export interface Runner {
  /** Begins to run a turn under its lease; its events come from what is returned. */
  launch(started: StartedTurn, resumption: Resumption | null): LiveTurn
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

export function createRunner(dependencies: LoopDependencies & { readonly histories: HistoryCache }): Runner {
  const { approvals, clock, histories, instance, realtime, report, store } = dependencies
  const running = new Map<string, Running>()
  /** Turns whose lease is asked for, and whether they were cancelled meanwhile. */
  const claimed = new Map<string, { cancelled: boolean; readonly settled: Promise<false> }>()
  /** How often in a row a turn could not be recorded. */
  const unrecorded = new Map<string, number>()
  const stopping = new AbortController()
  const isGivenUp = (turn: string) => (unrecorded.get(turn) ?? 0) > mostRetries

  function launch(started: StartedTurn, resumption: Resumption | null): LiveTurn {
    const { id } = started.turn
    const epoch = resumption?.reason === 'takeover' ? started.lease.epoch : 0
    const live = realtime.open(started.turn, resumption?.stored, epoch)
    const [aborter, toolAborter] = [new AbortController(), new AbortController()]
    const done = run(started, resumption, live, aborter.signal, toolAborter.signal)
    running.set(id, { aborter, toolAborter, done })
    if (stopping.signal.aborted) aborter.abort(loopErrors.RUNTIME_STOPPED())
    if (started.turn.cancelRequested) cancel(id)
    return live
  }

  function end(turn: string, reason: KeelsonError): void {
    const here = running.get(turn)
    here?.aborter.abort(reason)
    here?.toolAborter.abort(reason)
  }

  function cancel(turn: string): void {
    end(turn, loopErrors.TURN_CANCELLED())
    const claim = claimed.get(turn)
    if (claim) claim.cancelled = true
  }

  async function run(
    started: StartedTurn,
    resumption: Resumption | null,
    live: LiveTurn,
    signal: AbortSignal,
    toolSignal: AbortSignal,
  ) {
    const { turn, lastSequence } = started
    const reach = { tenant: turn.tenant, subject: turn.subject }
    let next: StartedTurn | null = null
    let waits = false
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
      const setup = isGivenUp(turn.id) ? internal : await prepareTurn(dependencies, turn, signal)
      if ('error' in setup) {
        next = (await failUnprepared(dependencies, started, left, live, setup.error)).next
        live.publish()
      } else {
        // What was just accepted is known; only an older tail has to be read.
        const { id, input: parts } = turn
        const newest = resumption ? undefined : { sequence: lastSequence, turn: id, role: 'user' as const, parts }
        const loaded = await histories.load(reach, turn.session, lastSequence, newest)
        history = loaded
        cancelTimer = clock.after(setup.turnMs, () =>
          end(id, loopErrors.TURN_TIMEOUT({ message: `the turn took more than ${setup.turnMs} ms` })),
        )
        const turnRun = new TurnRun({
          ...dependencies,
          ...setup,
          started,
          history: loaded,
          lost: left && lostCall(dependencies, left, setup.budgets, { agent: setup.agent, history: loaded }),
          live,
          signal,
          toolSignal,
          stopping: stopping.signal,
          approvals: () => approvals.list(reach, { limit: mostApprovals, offset: 0 }, { turn: id }),
          approvedBy: (approval) => approvals.get(reach, approval),
          catchUp: (sequence) => histories.read(loaded, reach, turn.session, sequence),
          cancel: () => cancel(id),
        })
        next = await runTurn(turnRun, resumption?.leftover ?? null)
        waits = turnRun.waits
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
      dependencies.release(turn.id)
      if (history) histories.keep(turn.session, history)
      live.end()
      realtime.close(live)
      running.delete(turn.id)
      if (next) launch(next, null)
      if (waits) resumeIfDecided(reach, turn.id).catch((error) => report(error, `turn ${turn.id}`))
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
    dependencies.crossed(crossings)
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
      for (const { aborter } of all) aborter.abort(reason)
      const endTools = () => {
        for (const { toolAborter } of all) toolAborter.abort(reason)
      }
      const cancelTimer = graceMs > 0 ? clock.after(graceMs, endTools) : endTools()
      await Promise.all(all.map(({ done }) => done))
      cancelTimer?.()
    },
  }
}
