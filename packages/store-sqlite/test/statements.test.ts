import { DatabaseSync } from 'node:sqlite'
import { defineAgent } from '@keelson/core'
import type { Store } from '@keelson/core/stores'
import { createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, it } from 'vitest'
import { accepting, answering, owner, paid, sessionNamed, setAside } from './rows.ts'
import { newFile, openStore, startTurn } from './scene.ts'

/** An open store with a session, and what it has run since it was last asked. */
async function traced(file = ':memory:') {
  const statements: string[] = []
  const store = await openStore(file, { trace: (sql) => statements.push(sql) })
  await store.sessions.create(owner, sessionNamed('s'))
  statements.length = 0
  return { store, statements, taken: () => statements.splice(0).map((sql) => sql.split(' ', 1)[0]) }
}

const toolCall = (id: string) =>
  ({
    id,
    step: 1,
    call: id,
    tool: 'search',
    arguments: '{}',
    status: 'waiting',
    policy: { decision: 'ask', rule: 'risk', reason: null },
    output: null,
    startedAt: 1,
    endedAt: null,
    toolHash: 'c3d4',
  }) as const

const approval = (id: string, toolCall: string) => ({
  id,
  toolCall,
  tool: 'search',
  arguments: '{}',
  argumentsHash: 'hash',
  reason: null,
  requestedAuthority: 'peer',
  createdAt: 1,
  expiresAt: 1_000,
  toolHash: 'c3d4',
})

const breaker = (version: number) => ({
  provider: 'openai',
  version,
  state: 'closed' as const,
  cause: null,
  failures: [1],
  lastFailure: 'server',
  cooldownMs: 1,
  openedAt: null,
  retryAt: null,
  probe: null,
  changedAt: 1,
})

describe('the number of statements', () => {
  it('of accepting a message in a free session is three in one transaction', async () => {
    const { store, taken } = await traced()
    await startTurn(store, 's', 't')
    expect(taken()).toEqual(['begin', 'update', 'insert', 'insert', 'commit'])
  })

  it('goes up by one for an idempotency key and by one for the check of duplicates', async () => {
    const { store, taken } = await traced()
    const idempotency = { key: 'k', hash: 'h' }
    await store.loop.accept(owner, accepting('s', 't', { idempotency, refuseDuplicateSince: 0 }))
    expect(taken()).toEqual(['begin', 'select', 'select', 'update', 'insert', 'insert', 'commit'])
    await store.loop.accept(owner, accepting('s', 'u', { idempotency }))
    expect(taken()).toEqual(['begin', 'select', 'commit'])
  })

  it('of the last commit of a plain turn is five in one transaction: ledger and roll-ups are written with it', async () => {
    const { store, taken } = await traced()
    const { lease } = await startTurn(store, 's', 't')
    taken()
    const answer = answering('t')
    await store.loop.commit(lease, { ...answer, messages: [...(answer.messages ?? [])] })
    expect(taken()).toEqual(['begin', 'update', 'update', 'insert', 'insert', 'insert', 'commit'])
  })

  it('of a whole plain turn is at most ten in two transactions', async () => {
    const statements: string[] = []
    const store = await openStore(':memory:', { trace: (sql) => statements.push(sql) })
    await using runtime = await createTestRuntime({
      store,
      model: scriptedModel([say('Hello')]),
      agents: [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['test/one'] })],
    })
    const { id: session } = await runtime.client.sessions.create({ agent: 'clerk' })
    statements.length = 0
    await runtime.client.run('clerk', { session, message: 'Hi' }).result
    const words = statements.map((sql) => sql.split(' ', 1)[0] ?? '')
    expect(words.filter((word) => word === 'commit')).toHaveLength(2)
    const work = words.filter((word) => !['begin', 'commit'].includes(word))
    expect(work.length).toBeLessThanOrEqual(10)
    expect(work).toEqual(['select', 'update', 'insert', 'insert', 'update', 'update', 'insert', 'insert', 'insert'])
  })

  it('of setting money aside before a call is three, and of settling it two more in the commit', async () => {
    const { store, taken } = await traced()
    const { lease } = await startTurn(store, 's', 't')
    taken()
    const reservation = setAside('r', 't')
    await store.loop.reserve(lease, reservation, { at: 1, ledger: [], settlements: [] })
    expect(taken()).toEqual(['begin', 'select', 'insert', 'insert', 'commit'])
    const settlements = [{ reservation: 'r', amount: 5_000, charge: 1, windows: reservation.windows }]
    await store.loop.commit(lease, { ...answering('t'), settlements })
    const settled = ['delete', 'insert', 'insert', 'insert']
    expect(taken()).toEqual(['begin', 'update', 'update', 'insert', ...settled, 'commit'])
  })

  it('of setting money aside with the first commit is two more, besides the look at what is used up', async () => {
    const { store, taken } = await traced()
    const reservation = setAside('r', 't')
    await store.loop.accept(owner, accepting('s', 't', { budgets: reservation.windows, reservation }))
    expect(taken()).toEqual(['begin', 'select', 'update', 'insert', 'insert', 'insert', 'insert', 'commit'])
  })

  it('of a commit does not grow with its messages', async () => {
    const { store, taken } = await traced()
    const { lease } = await startTurn(store, 's', 't')
    taken()
    const [message] = answering('t').messages ?? []
    const messages = ['a', 'b', 'c'].map((id) => ({ ...message, id }) as NonNullable<typeof message>)
    await store.loop.commit(lease, { at: 2, messages })
    expect(taken()).toEqual(['begin', 'update', 'update', 'insert', 'commit'])
  })

  it('of a flush, of a decision and of most reads is one, outside a transaction', async () => {
    const { store, taken } = await traced()
    const { lease } = await startTurn(store, 's', 't')
    await store.loop.commit(lease, { at: 1, toolCalls: [toolCall('c')], approvals: [approval('a', 'c')] })
    taken()
    await store.loop.flush(lease, 'line\n')
    expect(taken()).toEqual(['update'])
    await store.approvals.decide(owner, 'a', { status: 'approved', decidedBy: 'ada', at: 2 })
    expect(taken()).toEqual(['update'])
    await store.sessions.messages(owner, 's', { after: 0, limit: 10 })
    await store.sessions.messagesWithTurns(owner, 's', { after: 0, limit: 10 })
    await store.sessions.turn(owner, 't')
    await store.sessions.untitled(owner, 10)
    await store.sessions.selections(owner, { limit: 10, offset: 0 })
    expect(taken()).toEqual(['select', 'select', 'select', 'select', 'select'])
    await store.breakers.swap(breaker(1))
    await store.breakers.swap(breaker(2))
    await store.breakers.list('', 10)
    expect(taken()).toEqual(['insert', 'update', 'select'])
  })

  it('of a warm start is one that reads one row', async () => {
    const file = newFile()
    await (await openStore(file)).close()
    const statements: string[] = []
    await openStore(file, { trace: (sql) => statements.push(sql) })
    expect(statements).toEqual(['select "versions" from "schema_version" where "id" = ?'])
  })
})

/** Calls every verb of every port, those with filters in all their shapes. */
async function useEverything({ sessions, loop, approvals, breakers, costs }: Store): Promise<void> {
  const window = { limit: 10, offset: 0 }
  for (const reach of [owner, { tenant: owner.tenant, subject: null }]) {
    await sessions.create(owner, { ...sessionNamed(`scoped ${reach.subject}`), scope: 'main' })
    await sessions.open(owner, { ...sessionNamed(`opened ${reach.subject}`), scope: 'side' })
    await sessions.get(reach, 's')
    for (const filter of [{}, { agent: 'a' }, { status: 'active' }, { agent: 'a', status: 'active' }] as const) {
      await sessions.list(reach, window, filter)
    }
    await sessions.update(reach, 's', { title: null, model: null, metadata: null }, 1)
    await sessions.update(reach, `opened ${reach.subject}`, { status: 'active' }, 1)
    await sessions.messages(reach, 's', { after: 0, limit: 10 })
    await sessions.messagesWithTurns(reach, 's', { after: 0, limit: 10 })
    const [message] = answering('t').messages ?? []
    if (message) await sessions.append(reach, 's', { ...message, id: `appended ${reach.subject}` })
    await sessions.untitled(reach, 10)
    await sessions.setTitles(reach, [{ id: 's', title: 'Title' }])
    await sessions.turn(reach, 't')
    await sessions.turns(reach, 's', window)
    await sessions.selections(reach, window)
    await sessions.turnLog(reach, 't')
    await sessions.toolCalls(reach, 't')
    await approvals.get(reach, 'a')
    for (const filter of [{}, { status: 'pending' }, { turn: 't' }, { status: 'pending', turn: 't' }] as const) {
      await approvals.list(reach, window, filter)
    }
    await approvals.decide(reach, 'a', { status: 'approved', decidedBy: 'ada', at: 1 })
    await loop.cancel(reach, 'unknown', 'one', 1)
    for (const filter of [
      {},
      { turn: 't' },
      { session: 's' },
      { agent: 'a' },
      { model: 'm' },
      { turn: 't', agent: 'a' },
    ]) {
      await costs.entries(reach, window, filter)
    }
    for (const groupBy of [[], ['hour'], ['day'], ['subject'], ['agent', 'model'], ['day', 'model']] as const) {
      await costs.report(reach, { from: 0, to: 1e9, groupBy, limit: 10 })
    }
    await costs.budgets(reach, 1, 10)
  }
  await breakers.list('', 10)
  for (const version of [1, 2]) await breakers.swap(breaker(version))
  const outside = setAside('outside', null)
  await costs.reserve(owner, outside, 'one', 1)
  await costs.charge(owner, { at: 1, ledger: [paid('outside')], settlements: [] })
  await costs.settleAbandoned('two', 5_000, 1, 10)
  await loop.heartbeat('one', 1)
  const idempotency = { key: 'k', hash: 'h' }
  const first = await loop.accept(owner, accepting('s', 't', { idempotency, refuseDuplicateSince: 0 }))
  if (first.outcome !== 'started') throw new Error(first.outcome)
  const { lease } = first.started
  await loop.accept(owner, accepting('s', 'limited', { budgets: outside.windows, whenBusy: 'refuse' }))
  await loop.reserve(lease, setAside('r', 't'), { at: 1, ledger: [], settlements: [] })
  for (const turn of ['queued 1', 'queued 2', 'queued 3']) await loop.accept(owner, accepting('s', turn))
  await loop.accept(owner, accepting('s', 'refused', { whenBusy: 'refuse' }))
  await loop.flush(lease, 'line\n')
  const toolCallEnds = [{ id: 'c', status: 'started', output: null, endedAt: null }] as const
  await loop.commit(lease, { at: 1, toolCalls: [toolCall('c')], toolCallEnds, approvals: [approval('a', 'c')] })
  await loop.commit(lease, { at: 1, status: 'waiting' })
  await approvals.resumable(10)
  await loop.held('one')
  await approvals.expire(5_000, 10)
  await approvals.unfollowed(10)
  const resumed = await loop.resume('t', 'one', 1)
  await loop.cancel(owner, 't', 'one', 1)
  await loop.cancel(owner, 'queued 3', 'one', 1)
  const second = await loop.commit(resumed?.lease ?? lease, { ...answering('t'), status: 'failed' })
  await loop.commit(second.next?.lease ?? lease, {
    at: 1,
    status: 'waiting',
    toolCallEnds: [{ id: 'c', status: 'succeeded', output: null, endedAt: 1 }],
  })
  await loop.cancel(owner, 'queued 1', 'one', 1)
  await loop.takeOver('two', 5_000, 1, 10)
  await loop.retire('one')
}

interface Plan {
  readonly sql: string
  readonly steps: readonly string[]
}

/** How SQLite finds the rows of every statement there is but inserts. */
async function plansOfAll(): Promise<Plan[]> {
  const file = newFile()
  const { store, statements } = await traced(file)
  await useEverything(store)
  await store.close()
  const database = new DatabaseSync(file, { readOnly: true })
  const distinct = [...new Set(statements)].filter((sql) => /^(select|update|delete)/.test(sql))
  const plans = distinct.map((sql) => {
    const rows = database.prepare(`explain query plan ${sql}`).all(...Array(sql.split('?').length - 1).fill(null))
    return { sql, steps: rows.map(({ detail }) => String(detail)) }
  })
  database.close()
  return plans
}

describe('the plan of every statement', () => {
  it('finds its rows through an index, and sorts nothing', async () => {
    const plans = await plansOfAll()
    expect(plans.length).toBeGreaterThan(60)
    const fits = ({ sql, steps }: Plan) =>
      steps.every((step) => isFitting(step) || (sql.includes('"cost_rollups"') && report.test(step)))
    expect(plans.filter((plan) => !fits(plan))).toEqual([])
  })

  it('uses the index that was made for it', async () => {
    const plans = await plansOfAll()
    const indexes = (pattern: RegExp): string[] => {
      const steps = plans.filter(({ sql }) => pattern.test(sql)).flatMap((plan) => plan.steps)
      return [...new Set(steps.map((step) => /USING (?:COVERING )?(?:INDEX )?(\w+)/.exec(step)?.[1] ?? step))]
    }
    expect(indexes(/"running_turn" = \? and "instance" = \? returning/)).toEqual(['sqlite_autoindex_sessions_1'])
    expect(indexes(/from "turns" where "session" = \? and "status" = 'queued'/)).toEqual(['turns_queued'])
    expect(indexes(/"idempotency_key" = \?/)).toEqual(['turns_idempotency'])
    expect(indexes(/"input_hash" = \?/)).toEqual(['turns_unanswered'])
    expect(indexes(/"approvals"."turn" = \?.* order by/)).toContain('approvals_of_turn')
    expect(indexes(/"approvals"."turn" = \?.* order by/)).not.toContain('approvals_of_tenant')
    expect(indexes(/from "ledger" where "turn" = \?/)).toEqual(['ledger_of_turn'])
    expect(indexes(/from "ledger" where "session" = \?/)).toEqual(['ledger_of_session'])
    expect(indexes(/from "ledger" where "ledger"."tenant" = \? and "subject" = \?/)).toEqual(['ledger_of_subject'])
    expect(indexes(/from "ledger" where "ledger"."tenant" = \? order/)).toEqual(['ledger_of_tenant'])
    expect(indexes(/"sessions"."tenant" = \? order by "created_at" desc/)).toEqual(['sessions_of_tenant'])
    expect(indexes(/"turns"."tenant" = \? order by "created_at" desc/)).toEqual(['turns_of_tenant'])
    expect(indexes(/"turns"."subject" = \? order by "created_at" desc/)).toEqual(['turns_of_subject'])
    expect(indexes(/"messages"."sequence" > \?/)).toEqual([
      'sqlite_autoindex_sessions_1',
      'PRIMARY',
      'sqlite_autoindex_turns_1',
    ])
  })
})

/** Groups and order of a report: the sums of few buckets, cut to its limit. */
const report =
  /^(USE TEMP B-TREE FOR (GROUP BY|ORDER BY|LAST \d+ TERMS OF ORDER BY)|COMPOUND QUERY|LEFT-MOST SUBQUERY|UNION ALL|(CO-ROUTINE|SCAN|MATERIALIZE) part)$/

/** These indexes hold only the rows that are looked for: all of them are read on purpose. */
const complete =
  /^SCAN \w+ USING (COVERING )?INDEX (sessions_(leased|waiting|stalled)|approvals_unfollowed|reservations_without_turn)$/
/** Temporary: what the inner query has cut to its limit, and what is sorted to be cut to it. */
const small = /^(SCAN owner|MATERIALIZE owner|CO-ROUTINE owner|(CORRELATED )?(SCALAR|LIST) SUBQUERY \d+)$/

function isFitting(detail: string): boolean {
  if (detail.startsWith('SEARCH ')) return / USING (COVERING |INTEGER )?(INDEX|PRIMARY KEY)/.test(detail)
  return complete.test(detail) || small.test(detail)
}
