import type {
  Accepted,
  AcceptTurn,
  Committed,
  Lease,
  LoopStore,
  Owner,
  Reach,
  ResumedTurn,
  StartedTurn,
  Turn,
  TurnCommit,
} from '@keelson/core/stores'
import { isSettled, loopErrors, turnTransitions } from '@keelson/core/stores'
import type { Kysely } from 'kysely'
import { atLeastZero, messageRow, reachKind, reachValues, toolCallOf, turnOf } from './columns.ts'
import { type Engine, run, type Statement, type Work } from './engine.ts'
import { lastLogSequence, newApprovalRows, newToolCallRows, newTurnRow, progressValues } from './loop-rows.ts'
import { loopStatements } from './loop-statements.ts'
import type { Database, TurnTable } from './schema.ts'

/** Rows per insert statement: far below any engine's limit on bound values. */
const rowsPerInsert = 50

function* insertAll<Row>(
  insert: (count: number) => Statement<readonly Row[], unknown>,
  rows: readonly Row[],
): Work<void> {
  for (let from = 0; from < rows.length; from += rowsPerInsert) {
    const some = rows.length <= rowsPerInsert ? rows : rows.slice(from, from + rowsPerInsert)
    yield* run(insert(some.length), some)
  }
}

export function createLoopStore(db: Kysely<Database>, engine: Engine): LoopStore {
  const sql = loopStatements(db, engine.features)

  function* repeatedTurn(owner: Owner, { idempotency }: AcceptTurn): Work<Accepted | null> {
    if (idempotency === null) return null
    const [row] = yield* run(sql.turnOfKey, { ...owner, key: idempotency.key })
    if (row === undefined) return null
    return row.idempotency_hash === idempotency.hash
      ? { outcome: 'repeated', turn: turnOf(row) }
      : { outcome: 'key-mismatch' }
  }

  function* accept(owner: Owner, request: AcceptTurn): Work<Accepted> {
    const { turn, instance } = request
    const repeated = yield* repeatedTurn(owner, request)
    if (repeated !== null) return repeated
    if (request.refuseDuplicateSince !== null) {
      const duplicate = { ...owner, hash: request.inputHash, since: request.refuseDuplicateSince }
      if ((yield* run(sql.duplicate, duplicate)).length > 0) return { outcome: 'duplicate' }
    }
    const waits = request.whenBusy === 'wait'
    const [held] = yield* run(sql.hold, {
      ...owner,
      session: turn.session,
      turn: turn.id,
      instance,
      maxQueued: waits ? request.maxQueued : 0,
      at: turn.createdAt,
    })
    if (held === undefined) {
      const [session] = yield* run(sql.whyNotHeld, { ...owner, session: turn.session })
      if (session === undefined) return { outcome: 'no-session' }
      if (session.status !== 'active') return { outcome: 'session-closed' }
      return { outcome: waits ? 'queue-full' : 'busy' }
    }
    const started = held.running_turn === turn.id
    const row = newTurnRow(owner, request, held.turn_count, started)
    yield* run(sql.insertTurn, row)
    if (!started) return { outcome: 'queued', turn: turnOf(row) }
    yield* insertAll(sql.insertMessages, [userMessageRow(row, held.last_sequence, turn.createdAt)])
    const lease = { session: turn.session, turn: turn.id, instance, epoch: held.epoch }
    return { outcome: 'started', started: { turn: turnOf(row), lease, lastSequence: held.last_sequence } }
  }

  /** Gives a session that nobody holds to its first queued turn. */
  function* startNext(session: string, instance: string, at: number): Work<StartedTurn | null> {
    const [queued] = yield* run(sql.firstQueued, { session })
    if (queued === undefined) return null
    const [held] = yield* run(sql.startSession, { session, turn: queued.id, instance, at })
    if (held === undefined) return null
    const [turn] = yield* run(sql.startTurn, { turn: queued.id, at })
    if (turn === undefined) throw loopErrors.LEASE_LOST()
    yield* insertAll(sql.insertMessages, [userMessageRow(turn, held.last_sequence, at)])
    const lease = { session, turn: turn.id, instance, epoch: held.epoch }
    return { turn: turnOf(turn), lease, lastSequence: held.last_sequence }
  }

  function* commit(lease: Lease, change: TurnCommit): Work<Committed> {
    const { status, messages = [], toolCalls = [], toolCallEnds = [], approvals = [] } = change
    const settles = status !== undefined && isSettled(status)
    const fence = settles ? sql.settle : status === 'waiting' ? sql.suspend : sql.keep
    const [session] = yield* run(fence, { ...lease, messages: messages.length, at: change.at })
    if (session === undefined) throw loopErrors.LEASE_LOST()
    const [turn] = yield* run(sql.progress, progressValues(lease, change))
    if (turn === undefined) throw loopErrors.LEASE_LOST()

    const first = session.last_sequence - messages.length + 1
    yield* insertAll(
      sql.insertMessages,
      messages.map((message, index) => messageRow(lease.session, first + index, message)),
    )
    const position = turn.tool_call_count - toolCalls.length
    yield* insertAll(sql.insertToolCalls, newToolCallRows(lease, toolCalls, position))
    for (const end of toolCallEnds) {
      const output = JSON.stringify(end.output)
      const values = { id: end.id, session: lease.session, status: end.status, output, endedAt: end.endedAt }
      const [ended] = yield* run(sql.endToolCall, values)
      if (ended === undefined) throw new Error('the tool call is not of this session')
      if (ended.turn !== lease.turn) yield* run(sql.followedUp, { toolCall: end.id })
    }
    yield* insertAll(sql.insertApprovals, newApprovalRows(lease, approvals, turn))

    const gaveUp = status === 'failed' || status === 'cancelled'
    if (gaveUp && turn.tool_call_count > 0) yield* closeQuestions(lease.turn, change.at)
    const next = settles && session.queued_turns > 0 ? yield* startNext(lease.session, lease.instance, change.at) : null
    return { lastSequence: session.last_sequence, next, cancelRequested: turn.cancel_requested === 1 }
  }

  /** A turn that was given up asks nobody any more. */
  function* closeQuestions(turn: string, at: number): Work<void> {
    yield* run(sql.cancelApprovals, { turn, at })
    yield* run(sql.denyWaitingCalls, { turn, at })
  }

  function* cancel(
    reach: Reach,
    id: string,
    instance: string,
    at: number,
  ): Work<{ turn: Turn; next: StartedTurn | null } | null> {
    const [found] = yield* run(sql.turnToCancel(reachKind(reach)), { ...reachValues(reach), turn: id })
    if (found === undefined || isSettled(found.status)) return null
    const { session, status } = found
    const running = status === 'running'
    const [turn] = yield* running ? run(sql.markCancelled, { turn: id }) : run(sql.cancelTurn, { turn: id, at })
    if (turn === undefined) return null
    let next: StartedTurn | null = null
    if (status === 'queued') {
      yield* run(sql.leaveQueue, { session, at })
    } else if (status === 'waiting') {
      yield* closeQuestions(id, at)
      const [freed] = yield* run(sql.freeSession, { session, turn: id, at })
      if (freed !== undefined && freed.queued_turns > 0) next = yield* startNext(session, instance, at)
    }
    return { turn: turnOf(turn), next }
  }

  function* resumed(
    turn: Parameters<typeof turnOf>[0] & Pick<TurnTable, 'log'>,
    instance: string,
    held: { readonly epoch: number; readonly last_sequence: number },
  ): Work<ResumedTurn> {
    const toolCalls = yield* run(sql.toolCalls, { turn: turn.id })
    return {
      turn: turnOf(turn),
      lease: { session: turn.session, turn: turn.id, instance, epoch: held.epoch },
      lastSequence: held.last_sequence,
      toolCalls: toolCalls.map(toolCallOf),
      logSequence: lastLogSequence(turn.log),
    }
  }

  function* resume(id: string, instance: string, at: number): Work<ResumedTurn | null> {
    const [held] = yield* run(sql.resumeSession, { turn: id, instance, at })
    if (held === undefined) return null
    const [turn] = yield* run(sql.resumeTurn, { turn: id })
    if (turn === undefined) throw loopErrors.LEASE_LOST()
    return yield* resumed(turn, instance, held)
  }

  function* takeOver(instance: string, staleBefore: number, at: number, limit: number): Work<ResumedTurn[]> {
    const taken: ResumedTurn[] = []
    for (const { id: session, running_turn } of yield* run(sql.abandoned, { instance, staleBefore, limit })) {
      const [held] = yield* run(sql.takeSession, { session, instance })
      const [turn] = yield* run(sql.takenTurn, { turn: running_turn ?? '' })
      if (held !== undefined && turn !== undefined) taken.push(yield* resumed(turn, instance, held))
    }
    if (taken.length === limit) return taken
    for (const { id: session } of yield* run(sql.stalled, { limit: limit - taken.length })) {
      const started = yield* startNext(session, instance, at)
      if (started !== null) taken.push({ ...started, toolCalls: [], logSequence: 0 })
    }
    return taken
  }

  return {
    accept: (owner, request) => engine.transaction('write', () => accept(owner, request)),

    async commit(lease, change) {
      const { status } = change
      if (status !== undefined && status !== 'running' && !turnTransitions.running.includes(status)) {
        throw new TypeError(`a running turn cannot become ${status}`)
      }
      return engine.transaction('write', () => commit(lease, change))
    },

    async flush({ session, turn, instance, epoch }, log) {
      const found = await engine.query(sql.flush, { session, turn, instance, epoch, log })
      if (found.length === 0) throw loopErrors.LEASE_LOST()
    },

    cancel: (reach, turn, instance, at) => engine.transaction('write', () => cancel(reach, turn, instance, at)),

    resume: (turn, instance, at) => engine.transaction('write', () => resume(turn, instance, at)),

    takeOver: (instance, staleBefore, at, limit) =>
      engine.transaction('write', () => takeOver(instance, staleBefore, at, atLeastZero(limit))),

    async heartbeat(instance, at) {
      await engine.query(sql.heartbeat, { instance, at })
    },

    async retire(instance) {
      await engine.query(sql.retire, { instance })
    },
  }
}

/** A queued turn gets its message when it starts, so that history keeps the order of answers. */
function userMessageRow(
  turn: Pick<TurnTable, 'id' | 'session' | 'user_message' | 'input'>,
  sequence: number,
  at: number,
) {
  const row = messageRow(turn.session, sequence, {
    id: turn.user_message,
    turn: turn.id,
    role: 'user',
    parts: [],
    usage: null,
    createdAt: at,
  })
  return { ...row, parts: turn.input }
}
