import { createHash } from 'node:crypto'
import type { Implementation, Ready } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { type CallContext, isOperator, type Owner, reachOf } from '../../kernel/context.ts'
import type { NewId } from '../../kernel/ids.ts'
import { utf8Length } from '../../kernel/text.ts'
import type { Agents } from '../agents/index.ts'
import type { ApprovalStore } from '../approvals/index.ts'
import type { Models } from '../models/index.ts'
import type { Realtime } from '../realtime/index.ts'
import { type Part, type Session, type SessionStore, sessionErrors, type Turn } from '../sessions/index.ts'
import type { RunOptions, turnOperations } from './contract.ts'
import { loopErrors } from './errors.ts'
import { HistoryCache } from './history.ts'
import type { TurnLimits } from './limits.ts'
import { createRunner, type Runner } from './runner.ts'
import type { Accepted, LoopStore } from './store.ts'
import { type AcceptedTurn, TurnHandle } from './turn-handle.ts'

export interface LoopDependencies {
  readonly store: LoopStore
  readonly sessions: SessionStore
  readonly approvals: ApprovalStore
  readonly agents: Agents
  readonly models: Models
  readonly realtime: Realtime
  readonly clock: Clock
  readonly newId: NewId
  readonly limits: TurnLimits
  /** This runtime's name in leases. */
  readonly instance: string
  readonly ready: Ready
  report(error: unknown, where: string): void
}

export interface Loop extends Implementation<typeof turnOperations> {
  run(context: CallContext, agent: string, options: RunOptions): TurnHandle
  attach(context: CallContext, id: string): TurnHandle
  readonly runner: Runner
}

export function createLoop(dependencies: LoopDependencies): Loop {
  const { agents, clock, instance, limits, models, newId, ready, realtime, sessions, store } = dependencies
  const runner = createRunner({ ...dependencies, histories: new HistoryCache(sessions, limits.historyBytes) })

  async function accept(context: CallContext, agentId: string, options: RunOptions): Promise<AcceptedTurn> {
    const { principal } = context
    const agent = agents.find(agentId)
    const input = checkMessage(options.message, limits.messageBytes)
    const starting = ready()
    if (starting) await starting
    const session = await sessionFor(context, agentId, options)
    const { selection } = models.select(agent.models, session.model)
    const owner: Owner = { tenant: session.tenant, subject: session.subject }
    const inputHash = createHash('sha256').update(JSON.stringify([agentId, input])).digest('hex')
    const createdAt = clock.now()
    const { idempotencyKey: key, refuseDuplicateWithinMs: window } = options
    const accepted = await store.accept(owner, {
      turn: {
        id: newId(),
        session: session.id,
        agent: agentId,
        generation: 0,
        options: {
          authority: options.authority ?? (isOperator(principal) ? 'creator' : 'external'),
          approvals: options.approvals ?? 'suspend',
          failureReply: options.failureReply ?? null,
          continues: options.continues ?? null,
        },
        selection,
        userMessage: newId(),
        input,
        createdAt,
      },
      instance,
      whenBusy: options.whenBusy ?? 'wait',
      maxQueued: limits.queuedTurns,
      inputHash,
      refuseDuplicateSince: window === undefined ? null : createdAt - window,
      idempotency: key === undefined ? null : { key, hash: hashRequest(session.id, options, inputHash) },
    })
    return outcomeOf(accepted)
  }

  /** A repeated request that named no session is the same request, although its session would be a new one. */
  const hashRequest = (session: string, options: RunOptions, inputHash: string) =>
    options.session === undefined ? inputHash : `${session}:${inputHash}`

  async function sessionFor({ principal }: CallContext, agent: string, options: RunOptions): Promise<Session> {
    const { session: id, sameAgent } = options
    if (id === undefined) {
      const createdAt = clock.now()
      const { tenant, subject } = principal
      const blank = { id: newId(), agent, scope: null, title: null, metadata: null, createdAt }
      return await sessions.create({ tenant, subject }, blank)
    }
    const session = await sessions.get(reachOf(principal), id)
    if (!session) throw sessionErrors.SESSION_NOT_FOUND()
    if (sameAgent && session.agent !== agent) throw loopErrors.SESSION_OF_OTHER_AGENT()
    return session
  }

  function outcomeOf(accepted: Accepted): AcceptedTurn {
    switch (accepted.outcome) {
      case 'started':
        return { turn: accepted.started.turn, live: runner.launch(accepted.started, null) }
      case 'queued':
      case 'repeated':
        return { turn: accepted.turn, live: null }
      case 'key-mismatch':
        throw loopErrors.IDEMPOTENCY_MISMATCH()
      case 'busy':
        throw loopErrors.SESSION_BUSY()
      case 'queue-full':
        throw loopErrors.TURN_QUEUE_FULL()
      case 'duplicate':
        throw loopErrors.TURN_DUPLICATE()
      case 'no-session':
        throw sessionErrors.SESSION_NOT_FOUND()
      case 'session-closed':
        throw sessionErrors.SESSION_CLOSED()
    }
  }

  async function find(context: CallContext, id: string): Promise<Turn> {
    const turn = await sessions.turn(reachOf(context.principal), id)
    if (!turn) throw loopErrors.TURN_NOT_FOUND()
    return turn
  }

  const handle = (context: CallContext, accepted: Promise<AcceptedTurn>) =>
    new TurnHandle(accepted, (turn, after, signal) =>
      realtime.follow(reachOf(context.principal), turn, after, signal),
    )

  async function attach(context: CallContext, id: string): Promise<AcceptedTurn> {
    const starting = ready()
    if (starting) await starting
    return { turn: await find(context, id), live: null }
  }

  return {
    runner,
    run: (context, agent, options) => handle(context, accept(context, agent, options)),
    attach: (context, id) => handle(context, attach(context, id)),

    async cancel(context, { id }) {
      const cancelled = await store.cancel(reachOf(context.principal), id, instance, clock.now())
      if (!cancelled) return await find(context, id)
      runner.cancel(id)
      if (cancelled.next) runner.launch(cancelled.next, null)
      return cancelled.turn
    },

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

function checkMessage(message: RunOptions['message'], limit: number): readonly Part[] {
  const parts: readonly Part[] = typeof message === 'string' ? [{ type: 'text', text: message }] : message
  let bytes = 0
  let blank = true
  for (const part of parts) {
    if (part.type !== 'text') {
      blank = false
      continue
    }
    bytes += utf8Length(part.text)
    if (part.text.trim() !== '') blank = false
  }
  if (blank) throw loopErrors.MESSAGE_EMPTY()
  if (bytes > limit) throw loopErrors.MESSAGE_TOO_LONG({ details: { bytes, limit } })
  return parts
}
