// Runs a shop on a database file until it is killed, or settles everything when it is told to.
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createRuntime, isKeelsonError, singleOwner, type Turn } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { record } from './effects.ts'
import { below, budgets, chance, oneOf, shop } from './shop.ts'

/** Opens the database and works in the sessions of an era; stops as a process does; brings everything to an end and exits. */
export type Order =
  | { readonly what: 'work'; readonly era: number }
  | { readonly what: 'stop' }
  | { readonly what: 'settle' }

const sessionCount = 16
const workerCount = 10
const sweepMs = 300
const page = { limit: 200, offset: 0 }

/** What may be refused: the session is full or busy, somebody else decided, the runtime stops. */
const expected = new Set([
  'TURN_QUEUE_FULL',
  'SESSION_BUSY',
  'APPROVAL_SETTLED',
  'TURN_NOT_INTERRUPTED',
  'TURN_DUPLICATE',
  'RUNTIME_STOPPED',
  'STORE_CLOSED',
])

function complain(error: unknown, where: string): void {
  if (isKeelsonError(error) && expected.has(error.code)) return
  process.send?.({ complaint: `${where}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}` })
}

const [, , folder = ''] = process.argv
const { agent, model } = shop(folder)
const runtime = createRuntime({
  store: sqliteStore(join(folder, 'soak.db')),
  agents: [agent],
  providers: [model],
  budgets,
  limits: { backoffMs: 2, flushMs: 5, queuedTurns: 4, approvalMs: 60_000, attempts: 2, historyBytes: 2 ** 20 },
  // One that opens closes again soon: behind it, turns only fail.
  breakers: { cooldownMs: 20, maxCooldownMs: 40, probeMs: 200 },
  stopMs: 200,
  leaseMs: 3 * sweepMs,
  onError(error, where) {
    if (!where.startsWith('model ')) complain(error, where)
  },
})
const client = runtime.as(singleOwner('code'))
let working = true

async function runSome(sessions: readonly string[]): Promise<void> {
  const session = oneOf(sessions) ?? ''
  const key = chance(0.3) ? `${session} ${below(40)}` : null
  const turn = client.run('clerk', {
    session,
    message: key ?? `message ${crypto.randomUUID()}`,
    approvals: chance(0.5) ? 'suspend' : 'defer',
    whenBusy: chance(0.9) ? 'wait' : 'refuse',
    ...(key === null ? {} : { idempotencyKey: key }),
    ...(chance(0.5) ? { failureReply: 'Sorry.' } : {}),
  })
  const { id } = await turn.accepted
  record(folder, 'accepted', { turn: id, key })
  if (chance(0.2)) await client.turns.cancel({ id })
  else if (chance(0.5)) for await (const _ of turn.events()) if (chance(0.1)) break
}

async function decideSome(who: Client, all = false): Promise<void> {
  const pending = await who.approvals.list({ ...page, status: 'pending' })
  for (const { id } of all ? pending : pending.slice(0, 3)) {
    await who.approvals
      .decide({ id, decision: chance(0.7) ? 'approve' : 'deny' })
      .catch((error) => complain(error, 'decide'))
  }
}

const turnsOf = async (sessions: readonly string[], wanted: readonly Turn['status'][]): Promise<Turn[]> => {
  const found: Turn[] = []
  for (const session of sessions) {
    const { turnCount } = await client.sessions.get({ id: session })
    const window = { limit: 1_000, offset: Math.max(0, turnCount - 1_000) }
    found.push(...(await client.sessions.turns({ session, ...window })).filter(({ status }) => wanted.includes(status)))
  }
  return found
}

async function settleInterrupted(sessions: readonly string[]): Promise<void> {
  for (const { id } of await turnsOf(sessions, ['interrupted'])) {
    const decision = oneOf(['retry', 'done', 'failed'] as const) ?? 'done'
    record(folder, 'decisions', { turn: id, decision })
    await client.turns.decide({ id, decision }).catch((error) => complain(error, 'interrupted'))
  }
}

async function work(sessions: readonly string[]): Promise<void> {
  while (working) {
    try {
      const what = Math.random()
      if (what < 0.75) await runSome(sessions)
      else if (what < 0.95) await decideSome(client)
      else await settleInterrupted([oneOf(sessions) ?? ''])
    } catch (error) {
      complain(error, 'work')
    }
    await sleep(below(10))
  }
}

const openSessions = async (era: number): Promise<string[]> => {
  const names = Array.from({ length: sessionCount }, (_, index) => `${era}-${index}`)
  return await Promise.all(names.map(async (scope) => (await client.sessions.open({ agent: 'clerk', scope })).id))
}

async function settle(sessions: readonly string[]): Promise<void> {
  working = false
  let quiet = 0
  for (;;) {
    await decideSome(client, true)
    await settleInterrupted(sessions)
    const open = await turnsOf(sessions, ['queued', 'running', 'waiting', 'interrupted'])
    const pending = await client.approvals.list({ ...page, status: 'pending' })
    quiet = open.length === 0 && pending.length === 0 ? quiet + 1 : 0
    // What a dead process has left to be carried out is found by the next sweep.
    if (quiet * 20 > 2 * sweepMs) return
    await sleep(20)
  }
}

const allSessions = async (): Promise<string[]> => {
  const found: string[] = []
  for (let offset = 0; ; offset += page.limit) {
    const sessions = await client.sessions.list({ ...page, offset })
    found.push(...sessions.map(({ id }) => id))
    if (sessions.length < page.limit) return found
  }
}

process.on('message', async (order: Order) => {
  try {
    if (order.what === 'stop') {
      working = false
      await runtime.stop()
      return
    }
    if (order.what === 'work') {
      const sessions = await openSessions(order.era)
      process.send?.('working')
      await Promise.all(Array.from({ length: workerCount }, () => work(sessions)))
      return
    }
    await settle(await allSessions())
    await runtime.stop()
    process.disconnect()
  } catch (error) {
    complain(error, order.what)
  }
})
// A process that is killed would leave no cache behind, and the next one would compile everything anew.
flushCompileCache()
process.send?.('loaded')
