import { setTimeout as sleep } from 'node:timers/promises'
import { defineAgent, endsTurn } from '@keelson/core'
import { createTestRuntime, hang, respond, say, scriptedModel } from '@keelson/core/testing'
import { postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  accepting,
  answering,
  everything,
  messageNamed,
  owner,
  sessionNamed,
  startTurn,
} from '../../store-kysely/test/rows.ts'
import { type Intercept, interceptedPool } from './pools.ts'
import { inspect, newSchema } from './postgres-server.ts'
import { newPool, usePostgres } from './scene.ts'

const server = usePostgres()

const busy = { code: 'STORE_BUSY', kind: 'unavailable' }

function poolOfTest(config: pg.PoolConfig = {}): pg.Pool {
  const pool = newPool(server().url, config)
  onTestFinished(() => pool.end())
  return pool
}

/** An open store with a session, on a pool whose queries go through the test. */
async function openThrough(intercept: Intercept = (_, run) => run(), config: pg.PoolConfig = {}) {
  const pool = poolOfTest(config)
  let through: Intercept = (_, run) => run()
  const schema = newSchema()
  const store = postgresStore({ pool: interceptedPool(pool, (...given) => through(...given)), schema })
  onTestFinished(() => store.close())
  await store.open()
  await store.sessions.create(owner, sessionNamed('s'))
  through = intercept
  return { store, pool, schema }
}

/** Ends the server's side of a connection. */
async function cut(client: pg.PoolClient): Promise<void> {
  const { processID } = client as pg.PoolClient & { readonly processID: number }
  await inspect(server().url, 'select pg_terminate_backend($1, 5000)', [processID])
}

const once = (pattern: RegExp, act: Intercept): Intercept => {
  let done = false
  return (query, run, client) => {
    if (done || !pattern.test(query.text)) return run()
    done = true
    return act(query, run, client)
  }
}

describe('a connection that is cut', () => {
  it.each([
    ['before the second statement', /^insert into .*"turns"/],
    ['before the last statement', /^insert into .*"messages"/],
    ['before the commit', /^commit$/],
  ])('%s leaves nothing half done, and is given up', async (_, pattern) => {
    const { store, pool } = await openThrough(
      once(pattern, async (_query, run, client) => {
        await cut(client)
        return run()
      }),
    )
    await expect(store.loop.accept(owner, accepting('s', 't'))).rejects.toMatchObject(busy)
    expect(await store.sessions.turns(owner, 's', everything)).toEqual([])
    expect(await store.sessions.get(owner, 's')).toMatchObject({ turnCount: 0, lastSequence: 0 })
    await startTurn(store, 's', 'u')
    expect(pool.idleCount).toBe(pool.totalCount)
  })

  it('while nothing is under way does not end the process', async () => {
    const { store, pool } = await openThrough(
      once(/^commit$/, async (_, run, client) => {
        await cut(client)
        await sleep(20)
        return run()
      }),
    )
    await expect(store.sessions.append(owner, 's', messageNamed('m'))).rejects.toMatchObject(busy)
    expect(pool.totalCount).toBe(0)
  })

  it('before a transaction has begun, or while it is read, costs another try and no more', async () => {
    const { store } = await openThrough(
      once(/^begin/, async (_, run, client) => {
        await cut(client)
        return run()
      }),
    )
    await startTurn(store, 's', 't')
    const reading = await openThrough(
      once(/^select/, async (_, run, client) => {
        await cut(client)
        return run()
      }),
    )
    expect(await reading.store.sessions.get(owner, 's')).toMatchObject({ id: 's' })
  })

  it('says nothing of where the database is', async () => {
    const pool = poolOfTest({ connectionString: 'postgres://someone:secret-word@127.0.0.1:1/hidden' })
    const store = postgresStore({ pool })
    const error: unknown = await store.open().catch((thrown) => thrown)
    expect(error).toMatchObject(busy)
    expect(String(error)).not.toMatch(/secret|someone|hidden|127/)
    expect(JSON.stringify(error)).not.toMatch(/secret|someone|hidden/)
  })
})

describe('a full pool', () => {
  it('is reported as busy, and works again once there is room', async () => {
    const { store, pool } = await openThrough(undefined, { max: 1, connectionTimeoutMillis: 100 })
    const client = await pool.connect()
    await expect(store.sessions.get(owner, 's')).rejects.toMatchObject(busy)
    await expect(store.loop.accept(owner, accepting('s', 't'))).rejects.toMatchObject(busy)
    client.release()
    await startTurn(store, 's', 't')
  })

  it('of one connection lets everything through, one after the other', async () => {
    const { store } = await openThrough(undefined, { max: 1 })
    const accepted = await Promise.all(
      Array.from({ length: 20 }, (_, index) => store.loop.accept(owner, accepting('s', `t${index}`))),
    )
    expect(accepted.filter(({ outcome }) => outcome === 'started')).toHaveLength(1)
    expect(accepted.filter(({ outcome }) => outcome === 'queued')).toHaveLength(19)
  })
})

const agents = [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['test/one'] })]

describe('a runtime', () => {
  it.skipIf(process.env['KEELSON_TEST_POSTGRES_URL'] !== undefined)(
    'goes on with its turns after the server was away in the middle of them',
    async () => {
      const asked = Promise.withResolvers<void>()
      const answer = Promise.withResolvers<void>()
      let calls = 0
      const model = scriptedModel([], {
        otherwise: respond(async ({ messages }) => {
          calls += 1
          if (calls === 4) asked.resolve()
          if (calls <= 4) await answer.promise
          return say(`answer ${messages.length}`)
        }),
      })
      const store = postgresStore({ pool: poolOfTest({ connectionTimeoutMillis: 5_000 }), schema: newSchema() })
      await using runtime = await createTestRuntime({ store, agents, model, leaseMs: 900 })
      const handles = [1, 2, 3, 4].map((count) => runtime.client.run('clerk', { message: `question ${count}` }))
      await asked.promise
      await server().power?.cut()
      answer.resolve()
      await expect(runtime.client.run('clerk', { message: 'meanwhile' }).accepted).rejects.toMatchObject(busy)
      await server().power?.restore()
      for (const handle of handles) {
        expect(await handle.result).toMatchObject({ status: 'completed', text: 'answer 1' })
      }
      const session = (await handles[0]?.accepted)?.session ?? ''
      expect(await runtime.client.run('clerk', { message: 'after', session }).result).toMatchObject({
        text: 'answer 3',
      })
    },
  )

  it('runs what was stored although the answer that said so got lost', async () => {
    const pool = poolOfTest()
    let losing = false
    const through = interceptedPool(pool, async (query, run, client) => {
      const result = await run()
      if (!losing || query.text !== 'commit') return result
      losing = false
      client.emit('error', new Error('Connection terminated unexpectedly'))
      throw new Error('Connection terminated unexpectedly')
    })
    const schema = newSchema()
    const store = postgresStore({ pool: through, schema })
    const model = scriptedModel([], { otherwise: say('answer') })
    await using runtime = await createTestRuntime({ store, agents, model, leaseMs: 900 })
    losing = true
    const message = { message: 'lost?', idempotencyKey: 'k' }
    await expect(runtime.client.run('clerk', message).accepted).rejects.toMatchObject(busy)
    // The caller asks again, as after any failure of the network.
    const again = runtime.client.run('clerk', message)
    expect(await again.result).toMatchObject({ status: 'completed', text: 'answer' })
    const rows = await inspect(server().url, `select status from "${schema}".turns`)
    expect(rows).toEqual([{ status: 'completed' }])
  })
})

describe('two runtimes that do not listen', () => {
  it("follow each other's turns, and stop one that was cancelled by the other", async () => {
    const pool = poolOfTest()
    const schema = newSchema()
    const model = scriptedModel([], { otherwise: [say('so far'), hang()] })
    const start = () =>
      createTestRuntime({
        store: postgresStore({ pool, schema }),
        agents,
        model,
        leaseMs: 900,
        limits: { flushMs: 20 },
      })
    await using one = await start()
    await using two = await start()
    const { id } = await one.client.run('clerk', { message: 'hello' }).accepted
    let text = ''
    for await (const event of await two.client.turns.follow({ id })) {
      if (event.type === 'text.delta') text += event.text
      if (text === 'so far' && event.type === 'text.delta') await two.client.turns.cancel({ id })
      if (endsTurn(event.type)) expect(event.type).toBe('turn.cancelled')
    }
    expect(text).toBe('so far')
    expect(await one.client.attach(id).outcome).toMatchObject({ status: 'cancelled' })
  })
})

describe('the listening connection', () => {
  it('is made anew when it is lost, and what others do is heard again', async () => {
    const schema = newSchema()
    const connect = () => new pg.Client({ connectionString: server().url })
    const errors: unknown[] = []
    const open = async () => {
      const store = postgresStore({
        pool: poolOfTest(),
        schema,
        listen: connect,
        onListenError: (error) => errors.push(error),
      })
      onTestFinished(() => store.close())
      await store.open()
      return store
    }
    const [here, there] = [await open(), await open()]
    const heard: string[] = []
    const unsubscribe = here.changes?.subscribe((change) => 'turn' in change && heard.push(change.turn))
    await there.sessions.create(owner, sessionNamed('s'))
    const { lease } = await startTurn(there, 's', 't')
    await there.loop.flush(lease, 'line\n')
    await expect.poll(() => heard).toContain('t')

    const channel = `listen "keelson ${schema}"`
    const listening = 'select pid from pg_stat_activity where query = $1'
    const before = await inspect<{ pid: number }>(server().url, listening, [channel])
    expect(before).toHaveLength(2)
    for (const { pid } of before) await inspect(server().url, 'select pg_terminate_backend($1, 5000)', [pid])
    await expect.poll(async () => (await inspect(server().url, listening, [channel])).length).toBe(2)
    expect(errors).toHaveLength(2)
    heard.length = 0
    const second = await startTurn(there, (await there.sessions.create(owner, sessionNamed('r'))).id, 'u')
    await there.loop.commit(second.lease, answering('u'))
    await expect.poll(() => heard).toEqual(['u'])

    unsubscribe?.()
    await there.loop.flush(lease, 'line\n')
    await here.loop.cancel(owner, 't', 'here', 3)
    await here.close()
    await there.close()
    expect(heard).toEqual(['u'])
    await expect.poll(async () => (await inspect(server().url, listening, [channel])).length).toBe(0)
  })

  it('that cannot be had keeps nobody from working', async () => {
    const errors: unknown[] = []
    const listen = () => new pg.Client({ host: '127.0.0.1', port: 1 })
    const store = postgresStore({
      pool: poolOfTest(),
      schema: newSchema(),
      listen,
      onListenError: (error) => errors.push(error),
    })
    await store.open()
    await store.sessions.create(owner, sessionNamed('s'))
    await startTurn(store, 's', 't')
    expect(errors.length).toBeGreaterThan(0)
    await store.close()
  })
})
