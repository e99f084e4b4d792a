import { hash as sha256 } from 'node:crypto'
import { authorize, type Implementation } from '../../contract/invoke.ts'
import { type CallContext, isOperator, type Owner, type Principal, reachOf } from '../../kernel/context.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { Budget } from '../costs/index.ts'
import { type Part, sessionErrors, type Turn } from '../sessions/index.ts'
import { takeAsDecision } from './before-queue.ts'
import { needsOf } from './context.ts'
import { type RunOptions, turnOperations } from './contract.ts'
import type { LoopDependencies } from './dependencies.ts'
import { loopErrors } from './errors.ts'
import { HistoryCache } from './history.ts'
import { checkTurnMs } from './limits.ts'
import { checkMessage } from './message.ts'
import { outputOf } from './output.ts'
import { refusalOf } from './refusals.ts'
import { createRunner, type Runner } from './runner.ts'
import type { Accepted, NewTurn } from './store.ts'
import { type Target, targetOf } from './target.ts'
import { firstReservation, subjectOf } from './turn-costs.ts'
import { type AcceptedTurn, TurnHandle, type TurnOutcome } from './turn-handle.ts'

/** What a turn is accepted under. */
interface Pinned {
  readonly generation: number
  readonly budgets: readonly Budget[]
}

export interface Loop extends Implementation<typeof turnOperations> {
  /** `continues`: the approval that the turn carries out. */
  run(context: CallContext, agent: string, options: RunOptions, continues?: string): TurnHandle
  attach(context: CallContext, id: string): TurnHandle
  readonly runner: Runner
}

export function createLoop(dependencies: LoopDependencies): Loop {
  const {
    accounting,
    agents,
    budgets: known,
    clock,
    config,
    instance,
    limits,
    newId,
    ready,
    realtime,
    sessions,
    store,
  } = dependencies
  const runner = createRunner({ ...dependencies, histories: new HistoryCache(sessions, limits.historyBytes) })

  async function accept(
    context: CallContext,
    agentId: string,
    options: RunOptions,
    continues: string | null,
  ): Promise<AcceptedTurn> {
    const starting = ready()
    if (starting !== undefined) await starting
    const decided =
      options.beforeQueue && (await takeAsDecision(context, options, dependencies, (id) => cancel(context, { id })))
    if (decided) return decided
    const active = config.active(context.principal.tenant)
    // Without a wait while it is in memory: every turn comes by here.
    const { content, generation } = active instanceof Promise ? await active : active
    const agent = agents.within(content).find(agentId)
    const input = checkMessage(options, limits, continues !== null)
    const target = await targetOf(dependencies, context, agent, options, needsOf(agent, inputBytes(input)))
    const pinned = { generation, budgets: known.within(context.principal.tenant, content) }
    return outcomeOf(await offer(context.principal, pinned, input, options, continues, target))
  }

  function offer(
    principal: Principal,
    { budgets, generation }: Pinned,
    input: readonly Part[],
    options: RunOptions,
    continues: string | null,
    target: Target,
  ): Promise<Accepted> {
    const { owner, session, newSession, selection } = target
    const agent = target.agent.id
    const { refuseDuplicateWithinMs: window, idempotencyKey } = options
    const inputHash = sha256('sha256', JSON.stringify([agent, input]))
    // An approved call is carried out once, whoever asks.
    const key =
      continues !== null ? `approval:${continues}` : idempotencyKey === undefined ? null : `key:${idempotencyKey}`
    // Of what was asked for, not of what it led to: repeated later, it might lead to another session.
    const hash = JSON.stringify([options.session ?? null, options.scope ?? null, inputHash])
    const createdAt = clock.now()
    const turn: NewTurn = {
      id: newId(),
      session,
      agent,
      generation,
      options: {
        authority: options.authority ?? (isOperator(principal) ? 'creator' : 'external'),
        approvals: options.approvals ?? 'suspend',
        failureReply: options.failureReply ?? null,
        ...(options.maxToolRounds === undefined ? {} : { maxToolRounds: options.maxToolRounds }),
        ...(options.toolResultCharacters === undefined ? {} : { toolResultCharacters: options.toolResultCharacters }),
        continues,
        ...(options.turnMs === undefined ? {} : { turnMs: checkTurnMs(options.turnMs) }),
        ...(options.schedule === undefined ? {} : { schedule: options.schedule }),
      },
      selection,
      userMessage: newId(),
      input,
      createdAt,
    }
    const { tenant, subject } = owner
    return store.accept(
      { tenant, subject },
      {
        turn,
        newSession,
        instance,
        whenBusy: options.whenBusy ?? 'wait',
        whenClosed: options.whenClosed ?? 'refuse',
        maxQueued: limits.queuedTurns,
        inputHash,
        refuseDuplicateSince: window === undefined ? null : createdAt - window,
        idempotency: key === null ? null : { key, hash },
        ...reservationFor({ ...turn, tenant, subject }, budgets, target, options.session === undefined),
      },
    )
  }

  /**
   * Money for the first step. What history it will have is known of a session alone that nobody else can have begun: any
   * other sets it aside later.
   */
  function reservationFor(
    turn: NewTurn & Owner,
    budgets: readonly Budget[],
    { agent, model, newSession }: Target,
    unnamed: boolean,
  ) {
    const reservation = model && firstReservation(accounting, subjectOf(turn, 1, budgets), agent, model, turn.input)
    if (!reservation || turn.options.continues !== null) return undefined
    const { windows } = reservation
    return newSession === null || !unnamed ? { budgets: windows } : { budgets: windows, reservation }
  }

  function outcomeOf(accepted: Accepted): AcceptedTurn {
    switch (accepted.outcome) {
      case 'started':
        return { turn: accepted.started.turn, live: runner.launch(accepted.started, null), repeated: false }
      case 'queued':
      case 'repeated':
        return { turn: accepted.turn, live: null, repeated: accepted.outcome === 'repeated' }
      default:
        throw refusalOf(accepted, clock.now())
    }
  }

  async function find(context: CallContext, id: string): Promise<Turn> {
    const turn = await sessions.turn(reachOf(context.principal), id)
    if (!turn) throw sessionErrors.TURN_NOT_FOUND()
    return turn
  }

  async function cancel(context: CallContext, { id }: { readonly id: string }): Promise<Turn> {
    const cancelled = await store.cancel(reachOf(context.principal), id, instance, clock.now())
    if (!cancelled) return await find(context, id)
    runner.cancel(id)
    realtime.touch(id)
    if (cancelled.next) runner.launch(cancelled.next, null)
    return cancelled.turn
  }

  const readOutput = async ({ agent, generation, tenant }: Turn, outcome: TurnOutcome) =>
    outputOf(agents.within(await config.at(tenant, generation)).find(agent), outcome)

  const handle = (context: CallContext, accepted: Promise<AcceptedTurn>) =>
    new TurnHandle(accepted, {
      follow: (turn, after, signal) => realtime.follow(reachOf(context.principal), turn, after, signal),
      async cancel(id) {
        authorize(turnOperations.cancel, context)
        return await cancel(context, { id })
      },
      readOutput,
    })

  async function attach(context: CallContext, id: string): Promise<AcceptedTurn> {
    const starting = ready()
    if (starting !== undefined) await starting
    return { turn: await find(context, id), live: null, repeated: true }
  }

  return {
    runner,
    run: (context, agent, options, continues = undefined) =>
      handle(context, accept(context, agent, options, continues ?? null)),
    attach: (context, id) => handle(context, attach(context, id)),

    cancel,

    async decide(context, { id, decision }) {
      const turn = await find(context, id)
      if (turn.status !== 'interrupted' || !(await runner.resume(id, 'decision', decision))) {
        throw loopErrors.TURN_NOT_INTERRUPTED()
      }
      return await find(context, id)
    },

    async follow(context, { id, after = 0 }) {
      const turn = await find(context, id)
      return realtime.follow(reachOf(context.principal), turn.id, after, context.signal)
    },
  }
}

const inputBytes = (input: readonly Part[]): number =>
  input.reduce((sum, part) => (part.type === 'text' ? sum + utf8Length(part.modelText ?? part.text) : sum), 0)
