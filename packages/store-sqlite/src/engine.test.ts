import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createStore, type Engine, type Statement } from '@keelson/store-kysely'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createSqliteEngine } from './engine.ts'

function newEngine(synchronous: 'normal' | 'full' = 'normal'): Engine {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-'))
  const engine = createSqliteEngine({
    file: join(folder, 'keelson.db'),
    synchronous,
    patienceMs: 100,
    trace: undefined,
  })
  onTestFinished(async () => {
    await engine.close()
    rmSync(folder, { recursive: true })
  })
  return engine
}

const plain = <Row>(sql: string, reads = false): Statement<null, Row> => ({ sql, reads, bind: () => [] })
const pragma = async (engine: Engine, name: string) =>
  Object.values((await engine.query(plain<object>(`pragma ${name}`), null))[0] ?? {})[0]

const owner = { tenant: 'acme', subject: 'ada' }
const newSession = (id: string, title = 'title') => ({
  id,
  agent: 'assistant',
  scope: 'main',
  title,
  metadata: null,
  createdAt: 1,
})

describe('the connection', () => {
  it('logs ahead, checks references and never blocks for long', async () => {
    const engine = newEngine()
    await engine.open()
    expect(await pragma(engine, 'journal_mode')).toBe('wal')
    expect(await pragma(engine, 'foreign_keys')).toBe(1)
    expect(await pragma(engine, 'busy_timeout')).toBeLessThanOrEqual(50)
  })

  it.each([
    ['normal', 1],
    ['full', 2],
  ] as const)('synchronises as asked: %s', async (synchronous, level) => {
    const engine = newEngine(synchronous)
    await engine.open()
    expect(await pragma(engine, 'synchronous')).toBe(level)
  })
})

describe('a transaction', () => {
  const insert = (id: number) => ({ statement: plain(`insert into things values (${id})`), values: [] })
  const count = async (engine: Engine) =>
    (await engine.query(plain<{ count: number }>('select count(*) as count from things', true), null))[0]?.count
  const open = async () => {
    const engine = newEngine()
    await engine.open()
    await engine.query(plain('create table things (id integer primary key)'), null)
    return engine
  }

  it('keeps all of its statements or none', async () => {
    const engine = await open()
    await engine.transaction('write', function* () {
      yield insert(1)
      yield insert(2)
    })
    const failing = engine.transaction('write', function* () {
      yield insert(3)
      throw new Error('on second thoughts')
    })
    await expect(failing).rejects.toThrow('on second thoughts')
    const clashing = engine.transaction('write', function* () {
      yield insert(4)
      yield insert(1)
    })
    await expect(clashing).rejects.toThrow()
    expect(await count(engine)).toBe(2)
  })

  it('is seen whole or not at all by calls that are made meanwhile', async () => {
    const engine = await open()
    const seen: Promise<number | undefined>[] = []
    const writing = engine.transaction('write', function* () {
      yield insert(1)
      seen.push(Promise.resolve().then(() => count(engine)))
      yield insert(2)
      throw new Error('undone')
    })
    await expect(writing).rejects.toThrow('undone')
    expect(await Promise.all(seen)).toEqual([0])
  })
})

describe('a full disk', () => {
  it('fails the call, loses nothing, and is over once there is space', async () => {
    const engine = newEngine()
    const store = createStore(engine, { migrate: 'on-open' })
    await store.open()
    const first = await store.sessions.open(owner, newSession('first'))
    const pages = await pragma(engine, 'page_count')
    await pragma(engine, `max_page_count = ${Number(pages) + 4}`)
    const large = 'x'.repeat(100_000)
    for (const call of [
      () => store.sessions.create(owner, newSession('second', large)),
      () => store.sessions.update(owner, 'first', { title: large }, 2),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'STORE_FULL' })
    }
    expect(await store.sessions.list(owner, { limit: 10, offset: 0 })).toEqual([first])
    await pragma(engine, 'max_page_count = 100000')
    await store.sessions.create(owner, newSession('second', large))
    expect(await store.sessions.list(owner, { limit: 10, offset: 0 })).toHaveLength(2)
  })
})
