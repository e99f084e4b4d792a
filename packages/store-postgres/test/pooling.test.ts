import { defineAgent, defineTool } from '@keelson/core'
import { callTool, createTestRuntime, respond, say, scriptedModel } from '@keelson/core/testing'
import { postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import {
  accepting,
  answering,
  everything,
  messageNamed,
  owner,
  sessionNamed,
  startTurn,
} from '../../store-kysely/test/rows.ts'
import { transactionPooler } from './pools.ts'
import { newSchema } from './postgres-server.ts'
import { usePostgres } from './scene.ts'

const server = usePostgres()

/** Connections of the server behind a pooler. */
async function backends(count: number): Promise<pg.Client[]> {
  const clients = Array.from({ length: count }, () => new pg.Client({ connectionString: server().url }))
  for (const client of clients) await client.connect()
  onTestFinished(async () => {
    for (const client of clients) await client.end()
  })
  return clients
}

describe.each([
  ['without prepared statements', false],
  ['although statements are prepared that it does not know', true],
])('through a pooler that deals out connections by transaction, %s', (_, prepare) => {
  const open = async () => {
    const statements: string[] = []
    const pool = transactionPooler(await backends(4))
    const store = postgresStore({ pool, schema: newSchema(), prepare, trace: (sql) => statements.push(sql) })
    onTestFinished(() => store.close())
    await store.open()
    return { store, statements }
  }

  it('every verb does its work', async () => {
    const { store } = await open()
    const { sessions, loop, approvals } = store
    await sessions.create(owner, sessionNamed('s'))
    await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        sessions.create(owner, sessionNamed(`scoped ${index}`, { scope: 'main' })),
      ),
    )
    expect(await sessions.list(owner, everything, { status: 'active' })).toHaveLength(2)
    const appended = await Promise.all(
      Array.from({ length: 10 }, (_, index) => sessions.append(owner, 's', messageNamed(`m${index}`))),
    )
    const sequences = appended.map((message) => message?.sequence ?? 0)
    expect(sequences.toSorted((one, other) => one - other)).toEqual(appended.map((_, index) => index + 1))

    const { lease } = await startTurn(store, 's', 't1')
    await Promise.all([2, 3, 4].map((count) => loop.accept(owner, accepting('s', `t${count}`))))
    await loop.flush(lease, '{"sequence":1}\n')
    let next = (await loop.commit(lease, answering('t1'))).next
    for (let count = 0; next; count += 1) {
      if (count > 3) throw new Error('more turns than there are')
      next = (await loop.commit(next.lease, answering(next.turn.id))).next
    }
    const turns = await sessions.turns(owner, 's', everything)
    expect(turns.map(({ status }) => status)).toEqual(Array(4).fill('completed'))
    await loop.heartbeat('one', 1)
    await startTurn(store, 's', 't5')
    expect(await loop.takeOver('two', 5, 5, 10)).toHaveLength(1)
    expect(await loop.cancel(owner, 't5', 'two', 6)).toMatchObject({ turn: { cancelRequested: true } })
    expect(await loop.held('two')).toEqual([{ turn: 't5', cancelRequested: true }])
    expect(await approvals.expire(1, 10)).toEqual([])
  })

  it('a conversation with tools and a decision comes to its end', async () => {
    const { store } = await open()
    const pay = defineTool({
      name: 'pay',
      description: 'Pays',
      input: z.object({}),
      approval: 'always',
      execute: () => 'paid',
    })
    const agents = [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['test/one'], tools: [pay] })]
    const model = scriptedModel([], {
      otherwise: respond(({ messages }) => (messages.at(-1)?.role === 'tool' ? say('done') : callTool('pay'))),
    })
    await using runtime = await createTestRuntime({ store, agents, model })
    const { client } = runtime
    const waiting = await Promise.all(Array.from({ length: 4 }, () => client.run('clerk', { message: 'pay' }).result))
    for (const { approvals, turn } of waiting) {
      await client.approvals.decide({ id: approvals[0]?.id ?? '', decision: 'approve' })
      expect(await client.attach(turn).outcome).toMatchObject({ status: 'completed', text: 'done' })
    }
  })
})
