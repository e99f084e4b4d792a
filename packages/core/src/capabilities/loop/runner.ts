import { isKeelsonError } from '../../kernel/errors.ts'
import type { LiveTurn } from '../realtime/index.ts'
import type { TurnEventBody } from '../sessions/index.ts'
import { loopErrors } from './errors.ts'
import type { History, HistoryCache } from './history.ts'
import type { Leftover, OutcomeDecision } from './resume-turn.ts'
import { runTurn } from './run-turn.ts'
import type { LoopDependencies } from './service.ts'
import type { ResumedTurn, StartedTurn } from './store.ts'
import { NotRecorded, TurnRun } from './turn-run.ts'

/** A turn that could not be recorded is tried again after this; doubles up to a minute. */
const firstRetryMs = 1_000
const longestRetryMs = 60_000
const takeOverBatch = 50

type ResumeReason = Extract<TurnEventBody, { type: 'turn.resumed' }>['reason']

interface Resumption {
  readonly reason: ResumeReason
  readonly leftover: Leftover
  readonly logSequence: number
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
  /** Aborts every turn and waits until all have stopped; what they have not finished goes on after the next start. */
  stop(): Promise<void>
}

export function createRunner(dependencies: LoopDependencies & { readonly histories: HistoryCache }): Runner {
  const { agents, approvals, clock, histories, instance, limits, models, newId, realtime, report, store } = dependencies
  const running = new Map<string, { readonly aborter: AbortController; readonly done: Promise<void> }>()
  let stopped = false

  function launch(started: StartedTurn, resumption: Resumption | null): LiveTurn {
    const { id } = started.turn
    const live = realtime.open(id, resumption?.logSequence ?? 0)
    const aborter = new AbortController()
    if (stopped) aborter.abort(loopErrors.RUNTIME_STOPPED())
    if (started.turn.cancelRequested) aborter.abort(loopErrors.TURN_CANCELLED())
    const done = run(started, resumption, live, aborter)
    running.set(id, { aborter, done })
    return live
  }

  async function run(started: StartedTurn, resumption: Resumption | null, live: LiveTurn, aborter: AbortController) {
    const { turn, lease, lastSequence } = started
    const reach = { tenant: turn.tenant, subject: turn.subject }
    let next: StartedTurn | null = null
    let retry = false
    let history: History | undefined
    try {
      const at = clock.now()
      live.stage(
        resumption
          ? { type: 'turn.resumed', reason: resumption.reason, at }
          : { type: 'turn.started', session: turn.session, agent: turn.agent, at },
      )
      live.publish()
      const setup = prepare(started)
      if ('error' in setup) {
        live.stage({ type: 'turn.failed', error: setup.error, message: null, at })
        const change = { at, status: 'failed', error: setup.error, log: live.takeLog() } as const
        next = (await store.commit(lease, change)).next
        live.publish()
        return
      }
      // What was just accepted is known; only an older tail has to be read.
      const newest = resumption ? undefined : { sequence: lastSequence, role: 'user' as const, parts: turn.input }
      history = await histories.load(reach, turn.session, lastSequence, newest)
      const turnRun = new TurnRun({
        ...setup,
        started,
        history,
        live,
        store,
        clock,
        newId,
        limits,
        signal: aborter.signal,
        approvals: () => approvals.list(reach, { limit: 1_000, offset: 0 }, { turn: turn.id }),
        approvedBy: (id) => approvals.get(reach, id),
        cancel: () => aborter.abort(loopErrors.TURN_CANCELLED()),
        report,
      })
      next = await runTurn(turnRun, resumption?.leftover ?? null)
    } catch (thrown) {
      const error = thrown instanceof NotRecorded ? thrown.cause : thrown
      live.fail(aborter.signal.aborted ? loopErrors.RUNTIME_STOPPED() : error)
      retry = !aborter.signal.aborted && !(isKeelsonError(error) && error.code === 'LEASE_LOST')
      if (!aborter.signal.aborted) report(error, `turn ${turn.id}`)
    } finally {
      if (history) histories.keep(turn.session, history)
      live.end()
      realtime.close(live)
      running.delete(turn.id)
      if (next) launch(next, null)
      if (retry) tryAgain(turn.id, firstRetryMs)
    }
  }

  /** The agent and the models of a turn, or why there are none any more. */
  function prepare({ turn }: StartedTurn) {
    try {
      const agent = agents.find(turn.agent)
      const { candidates } = models.select(agent.models, turn.selection?.strategy === 'override' ? turn.selection.chosen : null)
      return { agent, candidates }
    } catch (error) {
      if (!isKeelsonError(error)) throw error
      return { error: { code: error.code, message: error.message } }
    }
  }

  /** The store could not be written: the lease is still ours, and the turn is where its last commit point left it. */
  function tryAgain(turn: string, wait: number): void {
    clock.after(wait, () => {
      if (stopped || running.has(turn)) return
      resume(turn, 'takeover', null).catch(() => tryAgain(turn, Math.min(wait * 2, longestRetryMs)))
    })
  }

  const launchResumed = (resumed: ResumedTurn, reason: ResumeReason, decision: OutcomeDecision | null) => {
    // A turn that had not begun has nothing to go on with.
    const begun = resumed.turn.steps > 0 || resumed.logSequence > 0
    const leftover = { toolCalls: resumed.toolCalls, decision }
    launch(resumed, begun ? { reason, leftover, logSequence: resumed.logSequence } : null)
  }

  async function resume(turn: string, reason: ResumeReason, decision: OutcomeDecision | null): Promise<boolean> {
    if (running.has(turn)) return false
    const resumed = await store.resume(turn, instance, clock.now())
    if (!resumed) return false
    launchResumed(resumed, reason, decision)
    return true
  }

  return {
    launch,
    resume,

    async takeOver(staleBefore) {
      for (;;) {
        const turns = await store.takeOver(instance, staleBefore, clock.now(), takeOverBatch)
        for (const turn of turns) launchResumed(turn, 'takeover', null)
        if (turns.length < takeOverBatch || stopped) return
      }
    },

    cancel(turn) {
      running.get(turn)?.aborter.abort(loopErrors.TURN_CANCELLED())
    },

    async stop() {
      stopped = true
      const all = [...running.values()]
      for (const { aborter } of all) aborter.abort(loopErrors.RUNTIME_STOPPED())
      await Promise.all(all.map(({ done }) => done))
    },
  }
}
