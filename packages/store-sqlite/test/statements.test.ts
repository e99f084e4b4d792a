import { defineAgent } from '@keelson/core'
import { createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, it } from 'vitest'
import {
  accepting,
  answering,
  approval,
  breaker,
  owner,
  sessionNamed,
  setAside,
  startTurn,
  toolCall,
} from '../../store-kysely/test/rows.ts'
import { newFile, openStore } from './scene.ts'

/** An open store with a session, and what it has run since it was last asked. */
async function traced(file = ':memory:') {
  const statements: string[] = []
  const store = await openStore(file, { trace: (sql) => statements.push(sql) })
  await store.sessions.create(owner, sessionNamed('s'))
  statements.length = 0
  return { store, statements, taken: () => statements.splice(0).map((sql) => sql.split(' ', 1)[0]) }
}

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
