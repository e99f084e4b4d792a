import { endsTurn, isSettled, type TurnEvent, textOf } from '@keelson/core'
import {
  type CallRow,
  type DeadDatabase,
  eventsOf,
  type LedgerRow,
  type MessageRow,
  type SessionRow,
  type TurnRow,
} from './database.ts'
import { recorded } from './effects.ts'
import { checkLedger, checkMoney } from './money.ts'

/** Tells what is wrong, and of whom. */
export type Complain = (what: string, id: string) => void

/** Everything stored of one session. */
interface Stored {
  readonly session: SessionRow
  readonly turns: readonly TurnRow[]
  readonly messages: readonly MessageRow[]
  readonly calls: readonly CallRow[]
  readonly ledger: readonly LedgerRow[]
  readonly approvals: ReturnType<DeadDatabase['approvals']>
}

/** What processes wrote down outside of the database. */
interface Witness {
  readonly starts: ReadonlyMap<string, readonly number[]>
  readonly endings: ReadonlySet<string>
  readonly retries: ReadonlyMap<string, number>
}

export interface Figures {
  readonly turns: Record<string, number>
  toolRuns: number
  resumed: number
  interrupted: number
}

/**
 * Checks a database that nobody has open against what must hold after any death, and with `settled` also against what
 * must hold when everything has come to an end. Sessions that have not changed since `since` are passed over.
 */
export function checkAll(
  database: DeadDatabase,
  folder: string,
  complain: Complain,
  { settled, since }: { readonly settled: boolean; readonly since: number },
): Figures {
  const witness = witnessOf(folder)
  const figures: Figures = { turns: {}, toolRuns: witness.starts.size, resumed: 0, interrupted: 0 }
  checkMoney(database, settled, complain)
  const known = new Set<string>()
  const rows = new Set<string>()
  for (const session of database.sessions()) {
    if (session.updated_at < since) continue
    const { id } = session
    const stored: Stored = {
      session,
      turns: database.turns(id),
      messages: database.messages(id),
      calls: database.calls(id),
      ledger: database.ledger(id),
      approvals: database.approvals(id),
    }
    checkSession(stored, complain, settled)
    checkMessages(stored, complain)
    checkCalls(stored, witness, complain)
    for (const turn of stored.turns) {
      known.add(turn.id)
      checkTurn(stored, turn, complain, figures)
    }
    for (const { id: row } of stored.calls) rows.add(row)
  }
  if (since > 0) return figures
  for (const { turn } of recorded(folder, 'accepted')) if (!known.has(turn)) complain('an accepted turn is lost', turn)
  for (const key of witness.starts.keys()) if (!rows.has(key)) complain('a tool ran that no row tells of', key)
  return figures
}

function witnessOf(folder: string): Witness {
  const starts = new Map<string, number[]>()
  const endings = new Set<string>()
  for (const { key, phase, at } of recorded(folder, 'effects')) {
    if (phase === 'end') endings.add(key)
    else starts.set(key, [...(starts.get(key) ?? []), at])
  }
  const retries = new Map<string, number>()
  for (const { turn, decision } of recorded(folder, 'decisions')) {
    if (decision === 'retry') retries.set(turn, (retries.get(turn) ?? 0) + 1)
  }
  return { starts, endings, retries }
}

function checkSession({ session, turns, messages, approvals }: Stored, complain: Complain, settled: boolean): void {
  const { id, instance, running_turn: held } = session
  const holder = turns.find((turn) => turn.id === held)
  const queued = turns.filter(({ status }) => status === 'queued')
  if (session.queued_turns !== queued.length) complain('queued_turns is not the number of queued turns', id)
  if (session.last_sequence !== messages.length) complain('last_sequence is not the number of messages', id)
  if (session.turn_count !== turns.length) complain('turn_count is not the number of turns', id)
  if (turns.some(({ sequence }, index) => sequence !== index + 1)) complain('turn sequences have a gap', id)
  if (messages.some(({ sequence }, index) => sequence !== index + 1)) complain('message sequences have a gap', id)
  if (held !== null && !holder) complain('the session is held by no turn of its own', id)
  if (holder && holder.status !== 'running' && holder.status !== 'waiting') {
    complain(`the session is held by a turn that is ${holder.status}`, id)
  }
  if (holder?.status === 'running' && instance === null) complain('a running turn has no lease', id)
  if (holder?.status === 'waiting' && instance !== null) complain('a waiting turn has a lease', id)
  if (held === null && instance !== null) complain('an instance holds a free session', id)
  if (held === null && queued.length > 0) complain('turns wait for a session that is free', id)
  for (const { id: turn, status } of turns) {
    if ((status === 'running' || status === 'waiting') && turn !== held) complain(`${status} without its session`, turn)
    if (settled && !['completed', 'failed', 'cancelled'].includes(status)) complain(`still ${status} in the end`, turn)
  }
  for (const approval of approvals) {
    const followers = turns.filter(({ options }) => options.continues === approval.id)
    if (followers.length > 1) complain('an approval was followed up more than once', approval.id)
    if (followers.length > 0 && approval.status !== 'approved') complain('followed up, not approved', approval.id)
    const deferred = turns.find(({ id: turn }) => turn === approval.turn)?.options.approvals === 'defer'
    if (!deferred && followers.length > 0) complain('an approval of a waiting turn was followed up', approval.id)
    if (settled && deferred && approval.status === 'approved' && followers.length === 0) {
      complain('an approved call was never carried out', approval.id)
    }
    if (settled && approval.status === 'pending') complain('an approval is still pending', approval.id)
  }
}

/** Every call has at most one result, after it; every result a call; what is missing belongs to a turn that was cut. */
function checkMessages({ turns, messages }: Stored, complain: Complain): void {
  const open = new Map<string, string>()
  const status = new Map(turns.map((turn) => [turn.id, turn.status]))
  const keyOf = (turn: string | null, call: string) => `${turn} ${call}`
  for (const { id, parts, role, turn } of messages) {
    for (const part of parts) {
      if (part.type === 'tool-call' && role === 'assistant') open.set(keyOf(turn, part.call), turn ?? '')
      if (part.type === 'tool-result' && !open.delete(keyOf(turn, part.call))) complain('a result without a call', id)
    }
  }
  for (const [call, turn] of open) {
    if (status.get(turn) === 'completed') complain('a completed turn left a call without a result', call)
  }
  for (const turn of turns) {
    const own = messages.filter(({ id }) => id === turn.user_message)
    const count = turn.started_at === null ? 0 : 1
    if (own.length !== count) complain(`its user message is there ${own.length} times, not ${count}`, turn.id)
    if (own.some((message) => message.role !== 'user' || message.turn !== turn.id)) complain('a wrong message', turn.id)
  }
}

function checkCalls(
  { turns, calls, approvals }: Stored,
  { starts, endings, retries }: Witness,
  complain: Complain,
): void {
  const turnOf = new Map(turns.map((turn) => [turn.id, turn]))
  const approvalOf = new Map(approvals.map((approval) => [approval.tool_call, approval]))
  for (const { id, tool, status, turn: turnId, ended_at, output } of calls) {
    const turn = turnOf.get(turnId)
    if (!turn) {
      complain('a call of no turn', id)
      continue
    }
    const runs = starts.get(id) ?? []
    const allowed = tool === 'save' ? Number.POSITIVE_INFINITY : 1 + (retries.get(turnId) ?? 0)
    if (runs.length > allowed) complain(`${tool} ran ${runs.length} times`, id)
    const byHand = typeof output === 'string' && output.startsWith('a person says')
    const elsewhere = typeof output === 'object' && output !== null && 'continuedBy' in output
    if (status === 'succeeded' && !byHand && !elsewhere) {
      if (!endings.has(id)) complain(`${tool} is said to have succeeded and never came to its end`, id)
      if (runs.some((at) => ended_at !== null && at > ended_at))
        complain(`${tool} ran after its success was stored`, id)
    }
    if ((status === 'waiting' || status === 'denied') && runs.length > 0) complain(`${tool} ran while ${status}`, id)
    const over = isSettled(turn.status) && turn.status !== 'interrupted'
    if (over && status === 'started') complain('a call is still open in a turn that is over', id)
    if (over && status === 'waiting' && turn.options.approvals === 'suspend')
      complain('a question outlived its turn', id)
    const approval = approvalOf.get(id)
    const asked = approval ?? approvals.find((one) => one.id === turn.options.continues)
    if (tool === 'wire' && runs.length > 0 && asked?.status !== 'approved') complain('wire ran without approval', id)
  }
}

/** The log rises, ends as the turn did, and tells the same of usage, steps and answer as the rows do. */
function checkTurn({ messages, calls, ledger }: Stored, turn: TurnRow, complain: Complain, figures: Figures): void {
  const { id, status, steps, usage } = turn
  figures.turns[status] = (figures.turns[status] ?? 0) + 1
  const events = eventsOf(turn)
  let position = 0
  for (const event of events) {
    const length = event.type === 'text.delta' || event.type === 'reasoning.delta' ? event.text.length : 1
    if (event.sequence - length < position) complain('the log does not rise', id)
    position = event.sequence
    if (event.type === 'turn.resumed') figures.resumed += 1
    if (event.type === 'turn.interrupted') figures.interrupted += 1
  }
  const finished = events.flatMap((event) => (event.type === 'step.finished' ? event : []))
  const carriedOut =
    turn.options.continues !== null && calls.some((call) => call.turn === id && call.step === 1) ? 1 : 0
  if (finished.length + carriedOut !== steps) complain(`${steps} steps, ${finished.length} in the log`, id)
  for (const bucket of ['input', 'cacheRead', 'cacheWrite', 'output', 'reasoning'] as const) {
    const sum = finished.reduce((total, event) => total + event.usage[bucket], 0)
    if (sum !== usage[bucket]) complain(`${bucket} is ${usage[bucket]}, its steps say ${sum}`, id)
  }
  const paid = ledger.filter((row) => row.turn === id)
  checkLedger(turn, events, paid, complain)
  const last = events.at(-1)
  const ends = events.filter(({ type }) => endsTurn(type) && type !== 'turn.interrupted')
  if (ends.length > 1 || (ends.length === 1 && ends[0] !== last)) complain('something comes after the end', id)
  if (['completed', 'failed', 'interrupted', 'waiting'].includes(status) && last?.type !== `turn.${status}`) {
    complain(`it is ${status} and its log ends with ${last?.type}`, id)
  }
  if ((status === 'running' || status === 'queued') && ends.length > 0) complain(`${status} after its end`, id)
  const answer = last?.type === 'turn.completed' || last?.type === 'turn.failed' ? last.message : null
  if (answer === null) return
  const message = messages.find((one) => one.id === answer)
  if (message?.turn !== id) complain('its answer is not stored', id)
  else if (textOf(message.parts) !== shownText(events)) complain('its log tells another answer', id)
  const done = new Set<string>()
  for (const event of events) {
    if (event.type !== 'tool.finished') continue
    if (done.has(event.call)) complain('a call ended twice in the log', id)
    done.add(event.call)
  }
}

/** What a reader shows in the end: the text of the last step, as often as that began. */
function shownText(events: readonly TurnEvent[]): string {
  let text = ''
  for (const event of events) {
    if (event.type === 'step.started' || event.type === 'step.restarted') text = ''
    if (event.type === 'text.delta') text += event.text
  }
  return text
}
