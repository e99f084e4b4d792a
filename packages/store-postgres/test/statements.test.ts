import { type PostgresStoreOptions, postgresStore } from '@keelson/store-postgres'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  accepting,
  answering,
  everything,
  messageNamed,
  owner,
  sessionNamed,
  setAside,
  startTurn,
} from '../../store-kysely/test/rows.ts'
import { type Intercept, interceptedPool } from './pools.ts'
import { inspect, newSchema } from './postgres-server.ts'
import { newPool, openStore, usePostgres } from './scene.ts'

const server = usePostgres()

/** An open store with a session, and the first words of what it has run since it was last asked. */
async function traced(options: Partial<PostgresStoreOptions> = {}) {
  const statements: string[] = []
  const opened = await openStore(server().url, { trace: (sql) => statements.push(sql), ...options })
  onTestFinished(opened.close)
  await opened.store.sessions.create(owner, sessionNamed('s'))
  statements.length = 0
  return { ...opened, taken: () => statements.splice(0).map((sql) => sql.split(' ', 1)[0]) }
}

describe('the number of round trips', () => {
  it('of accepting a message in a free session is three statements in a transaction', async () => {
    const { store, taken } = await traced()
    await startTurn(store, 's', 't')
    expect(taken()).toEqual(['begin', 'update', 'insert', 'insert', 'commit'])
  })

  it('of the last commit of a plain turn is five: ledger and roll-ups are written with it', async () => {
    const { store, taken } = await traced()
    const { lease } = await startTurn(store, 's', 't')
    taken()
    await store.loop.commit(lease, answering('t'))
    expect(taken()).toEqual(['begin', 'update', 'update', 'insert', 'insert', 'insert', 'commit'])
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

  it('of what one statement does is one', async () => {
    const { store, taken } = await traced()
    const { lease } = await startTurn(store, 's', 't')
    taken()
    await store.loop.flush(lease, 'line\n')
    await store.loop.heartbeat('one', 1)
    await store.approvals.decide(owner, 'a', { status: 'approved', decidedBy: 'ada', at: 2 })
    await store.approvals.expire(1, 10)
    await store.sessions.messages(owner, 's', { after: 0, limit: 10 })
    await store.loop.held('one')
    expect(taken()).toEqual(['update', 'insert', 'update', 'select', 'select', 'select'])
  })
})

describe('statements', () => {
  it('are prepared once per connection under a name that follows from their text', async () => {
    const names = new Map<string, string>()
    const pool = newPool(server().url, { max: 1 })
    const schema = newSchema()
    const through = interceptedPool(pool, (query, run) => {
      if (query.name !== undefined) names.set(query.text, query.name)
      return run()
    })
    const first = postgresStore({ pool: through, schema })
    await first.open()
    await first.sessions.get(owner, 's')
    const seen = new Map(names)
    const second = postgresStore({ pool: through, schema })
    await second.open()
    await second.sessions.get(owner, 's')
    expect(new Map(names)).toEqual(seen)
    expect(new Set(names.values()).size).toBe(names.size)
    for (const name of names.values()) expect(name).toMatch(/^keelson_[0-9a-f]{24}$/)
    const { rows } = await pool.query('select statement from pg_prepared_statements where name = any($1)', [
      [...names.values()],
    ])
    expect(rows.map(({ statement }) => statement).toSorted()).toEqual([...names.keys()].toSorted())
    await second.close()
    await pool.end()
  })

  it('have no name when they are not to be prepared', async () => {
    const { store, pool } = await traced({ prepare: false })
    await startTurn(store, 's', 't')
    const { rows } = await pool.query('select count(*)::int as count from pg_prepared_statements')
    expect(rows).toEqual([{ count: 0 }])
  })

  it('that a change of a table has outdated are prepared anew', async () => {
    const { store, schema } = await traced({})
    expect(await store.sessions.get(owner, 's')).toMatchObject({ title: null })
    await inspect(server().url, `alter table "${schema}".sessions alter column title type varchar(200)`)
    expect(await store.sessions.get(owner, 's')).toMatchObject({ title: null })
    await startTurn(store, 's', 't')
  })
})

describe('values', () => {
  it('of 64 bits come back as the numbers they were', async () => {
    const { store } = await traced()
    const createdAt = Number.MAX_SAFE_INTEGER
    await store.sessions.create(owner, sessionNamed('late', { createdAt }))
    expect(await store.sessions.get(owner, 'late')).toMatchObject({ createdAt, lastSequence: 0 })
    await expect(store.sessions.create(owner, sessionNamed('odd', { createdAt: 0.5 }))).rejects.toThrow(RangeError)
  })

  it('beyond what a number can hold are bigints and not rounded', async () => {
    const { store, schema } = await traced()
    await inspect(server().url, `update "${schema}".sessions set created_at = 9007199254740993 where id = 's'`)
    expect(await store.sessions.get(owner, 's')).toMatchObject({ createdAt: 9007199254740993n })
  })

  it('with the character NUL are stored with a mark in its place, and found nowhere', async () => {
    const { store } = await traced()
    await store.sessions.create(owner, sessionNamed('nul', { title: 'a\0b' }))
    expect(await store.sessions.get(owner, 'nul')).toMatchObject({ title: 'a\ufffdb' })
    expect(await store.sessions.get(owner, 'nul\0')).toBeNull()
    expect(await store.sessions.messages(owner, '\0', { after: 0, limit: 10 })).toEqual([])
  })

  it('that are too long for an index are refused without harm', async () => {
    const { store } = await traced()
    const idempotency = { key: Array.from({ length: 20_000 }, () => Math.random().toString(36)[2]).join(''), hash: 'h' }
    await expect(store.loop.accept(owner, accepting('s', 't', { idempotency }))).rejects.toMatchObject({
      code: 'STORE_VALUE_TOO_LONG',
      kind: 'bad_request',
    })
    expect(await store.sessions.turns(owner, 's', everything)).toEqual([])
    await startTurn(store, 's', 't')
  })
})

describe('a lease', () => {
  it('that is being taken over lets no flush through behind it', async () => {
    const pool = newPool(server().url)
    onTestFinished(() => pool.end())
    const [reached, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let holding = false
    const through = interceptedPool(pool, async (query, run) => {
      if (holding && query.text === 'commit') {
        holding = false
        reached.resolve()
        await go.promise
      }
      return run()
    })
    const store = postgresStore({ pool: through, schema: newSchema() })
    await store.open()
    await store.sessions.create(owner, sessionNamed('s'))
    const { lease } = await startTurn(store, 's', 't')
    holding = true
    const taking = store.loop.takeOver('two', 5, 5, 10)
    await reached.promise
    const flushing = store.loop.flush(lease, '{"sequence":9}\n')
    const early = await Promise.race([flushing.then(() => 'flushed'), inspect(server().url, 'select pg_sleep(0.1)')])
    go.resolve()
    await expect(flushing).rejects.toMatchObject({ code: 'LEASE_LOST' })
    expect(early).not.toBe('flushed')
    expect(await taking).toMatchObject([{ logSequence: 0 }])
    expect(await store.sessions.turnLog(owner, 't')).toBe('')
  })
})

describe('a deadlock', () => {
  it('is undone and tried again, so that both get through', async () => {
    const waiting: (() => void)[] = []
    const together: Intercept = async (query, run) => {
      const result = await run()
      // After its first title each waits until the other one has set its own.
      if (/^update .*"title"/.test(query.text) && waiting.length < 2) {
        await new Promise<void>((resolve) => {
          waiting.push(resolve)
          if (waiting.length === 2) for (const go of waiting) go()
        })
      }
      return result
    }
    const pool = newPool(server().url, { options: '-c deadlock_timeout=20ms' })
    onTestFinished(() => pool.end())
    const store = postgresStore({ pool: interceptedPool(pool, together), schema: newSchema() })
    await store.open()
    for (const id of ['r', 's']) await store.sessions.create(owner, sessionNamed(id))
    const titles = ['r', 's'].map((id) => ({ id, title: `Title of ${id}` }))
    const set = await Promise.all([
      store.sessions.setTitles(owner, titles),
      store.sessions.setTitles(owner, titles.toReversed()),
    ])
    expect(set.toSorted()).toEqual([0, 2])
    expect(waiting).toHaveLength(2)
  })
})

describe('a closed store', () => {
  it('leaves the pool as it was and refuses what comes', async () => {
    const { store, pool } = await traced()
    const listeners = pool.listenerCount('error')
    await store.close()
    await store.close()
    expect(pool.listenerCount('error')).toBe(listeners - 1)
    await expect(store.sessions.append(owner, 's', messageNamed('m'))).rejects.toMatchObject({ code: 'STORE_CLOSED' })
    await expect(store.open()).rejects.toMatchObject({ code: 'STORE_CLOSED' })
    await expect(store.migrate()).rejects.toMatchObject({ code: 'STORE_CLOSED' })
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  it('is what a store becomes when its pool was ended', async () => {
    const pool = newPool(server().url)
    const store = postgresStore({ pool, schema: newSchema() })
    await store.open()
    await pool.end()
    await expect(store.sessions.get(owner, 's')).rejects.toMatchObject({ code: 'STORE_CLOSED' })
    await store.close()
  })
})
