import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Store, storeErrors } from '@keelson/core/stores'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, it } from 'vitest'
import { accepting, owner, sessionNamed, startTurn } from '../../store-kysely/test/rows.ts'
import { startChild } from './child.ts'
import { newFile, newFolder, openStore } from './scene.ts'

const all = { limit: 1_000, offset: 0 }
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error) => error.code,
  )

describe('a file', () => {
  it('keeps what was written until it is opened again', async () => {
    const file = newFile()
    const store = await openStore(file)
    const session = await store.sessions.create(owner, sessionNamed('s'))
    const { turn } = await startTurn(store, 's', 't')
    await store.close()
    const again = await openStore(file)
    expect(await again.sessions.get(owner, 's')).toEqual({ ...session, lastSequence: 1, turnCount: 1, messageCount: 1 })
    expect(await again.sessions.turn(owner, 't')).toEqual(turn)
  })

  it('is one file besides its lock once it is closed', async () => {
    const folder = newFolder()
    const store = await openStore(join(folder, 'keelson.db'))
    await store.sessions.create(owner, sessionNamed('s'))
    await store.close()
    expect(readdirSync(folder).toSorted()).toEqual(['keelson.db', 'keelson.db.lock'])
  })

  it('is refused to a second store of the process until the first is closed', async () => {
    const file = newFile()
    const first = await openStore(file)
    const second = sqliteStore(file)
    expect(await codeOf(second.open())).toBe('STORE_IN_USE')
    expect(await codeOf(second.open())).toBe('STORE_IN_USE')
    await first.sessions.create(owner, sessionNamed('s'))
    await first.close()
    await second.open()
    expect(await second.sessions.get(owner, 's')).not.toBeNull()
    await second.close()
  })

  it('is known under all of its names', async () => {
    const folder = newFolder()
    mkdirSync(join(folder, 'real'))
    symlinkSync(join(folder, 'real'), join(folder, 'linked'))
    await openStore(join(folder, 'real', 'keelson.db'))
    symlinkSync(join(folder, 'real', 'keelson.db'), join(folder, 'alias.db'))
    for (const name of ['linked/keelson.db', 'alias.db', 'real/../linked/keelson.db']) {
      expect(await codeOf(sqliteStore(join(folder, name)).open())).toBe('STORE_IN_USE')
    }
  })

  it('is given to one of those who open it at once', async () => {
    const file = newFile()
    const stores = Array.from({ length: 5 }, () => sqliteStore(file))
    const codes = await Promise.all(stores.map((store) => codeOf(store.open())))
    expect(codes.toSorted()).toEqual([...Array.from({ length: 4 }, () => 'STORE_IN_USE'), 'no error'])
    await Promise.all(stores.map((store) => store.close()))
  })

  it('is refused to another process until the first is killed', async () => {
    const file = newFile()
    const writer = startChild('child-writer.ts', [file, 's'])
    expect(await writer.line()).toBe('open')
    expect(await codeOf(sqliteStore(file).open())).toBe('STORE_IN_USE')
    expect(await startChild('child-opener.ts', [file, 'other']).line()).toBe('STORE_IN_USE')
    await writer.kill()
    expect(await startChild('child-opener.ts', [file, 'other']).line()).toBe('done')
  })

  it('that cannot be opened or is no database leaves nothing locked', async () => {
    const file = newFile()
    writeFileSync(file, 'this is a text file and no database at all, whatever its name says'.repeat(50))
    const store = sqliteStore(file)
    await expect(store.open()).rejects.toThrow()
    writeFileSync(file, '')
    await store.open()
    await store.close()
  })

  it.each([
    ['a folder', (folder: string) => mkdirSync(join(folder, 'keelson.db'))],
    ['a lock that is a folder', (folder: string) => mkdirSync(join(folder, 'keelson.db.lock'))],
  ])('in the place of which is %s is reported as one that cannot be written', async (_, block) => {
    const folder = newFolder()
    block(folder)
    expect(await codeOf(sqliteStore(join(folder, 'keelson.db')).open())).toBe('STORE_READ_ONLY')
  })

  it('in a folder that does not exist is reported as one that cannot be written', async () => {
    expect(await codeOf(sqliteStore(join(newFolder(), 'missing', 'keelson.db')).open())).toBe('STORE_READ_ONLY')
  })
})

describe('a store in memory', () => {
  it('is nobody else’s', async () => {
    const [one, two] = [await openStore(':memory:'), await openStore(':memory:')]
    await one.sessions.create(owner, sessionNamed('s'))
    expect(await two.sessions.list(owner, all)).toEqual([])
  })
})

describe('a store', () => {
  it('opens once however often it is asked', async () => {
    const store = sqliteStore(newFile())
    await Promise.all([store.open(), store.open(), store.migrate()])
    await store.open()
    await store.sessions.create(owner, sessionNamed('s'))
    await store.close()
  })

  it('says that nobody else uses its database', () => {
    expect(sqliteStore(':memory:').exclusive).toBe(true)
  })

  it.each(['before it is opened', 'after it was closed'])('refuses every call %s', async (when) => {
    const store = sqliteStore(':memory:')
    if (when.startsWith('after')) {
      await store.open()
      await store.close()
      await store.close()
      expect(await codeOf(store.open())).toBe('STORE_CLOSED')
      expect(await codeOf(store.migrate())).toBe('STORE_CLOSED')
    }
    for (const call of someCalls(store)) expect(await codeOf(call())).toBe('STORE_CLOSED')
    await store.close()
  })

  it('can be closed while it opens', async () => {
    const file = newFile()
    const store = sqliteStore(file)
    const opening = codeOf(store.open())
    await store.close()
    expect(await opening).toBe('STORE_CLOSED')
    await openStore(file)
  })
})

describe('a locked file', () => {
  /** Another program that holds the file's write lock until it is told. */
  function lock(file: string): () => void {
    const other = new DatabaseSync(file)
    other.exec('begin immediate')
    return () => {
      if (other.isOpen) other.close()
    }
  }

  it('lets calls wait without blocking the process', async () => {
    const file = newFile()
    const store = await openStore(file)
    await store.sessions.create(owner, sessionNamed('s'))
    const unlock = lock(file)
    const started = startTurn(store, 's', 'first')
    let ticks = 0
    const ticking = setInterval(() => {
      ticks += 1
      if (ticks === 5) unlock()
    }, 5)
    expect(await started).toMatchObject({ turn: { id: 'first', sequence: 1 } })
    clearInterval(ticking)
    expect(ticks).toBeGreaterThanOrEqual(5)
  })

  it('lets calls through in the order in which they came, however long each has waited', async () => {
    const file = newFile()
    const store = await openStore(file)
    await store.sessions.create(owner, sessionNamed('s'))
    const unlock = lock(file)
    const names = ['first', 'second', 'third', 'fourth']
    const accepted = names.map(async (name, index) => {
      // The longer a call has waited, the longer it pauses between its attempts.
      await sleep(index * 40)
      return store.loop.accept(owner, accepting('s', name))
    })
    await sleep(170)
    unlock()
    expect((await Promise.all(accepted)).map(({ outcome }) => outcome)).toEqual([
      'started',
      'queued',
      'queued',
      'queued',
    ])
    const turns = await store.sessions.turns(owner, 's', all)
    expect(turns.map(({ id }) => id)).toEqual(names)
  })

  it('can be read, also behind a write that waits', async () => {
    const file = newFile()
    const store = await openStore(file)
    await store.sessions.create(owner, sessionNamed('s'))
    const unlock = lock(file)
    const waiting = store.sessions.create(owner, sessionNamed('later'))
    expect(await store.sessions.list(owner, all)).toHaveLength(1)
    unlock()
    await waiting
    expect(await store.sessions.list(owner, all)).toHaveLength(2)
  })

  it('is given up on after a while, with nothing written', async () => {
    const file = newFile()
    const store = await openStore(file, { busyTimeoutMs: 40 })
    await store.sessions.create(owner, sessionNamed('s'))
    const unlock = lock(file)
    const calls = Array.from({ length: 3 }, (_, index) => codeOf(startTurn(store, 's', `t${index}`)))
    expect(await Promise.all(calls)).toEqual(['STORE_BUSY', 'STORE_BUSY', 'STORE_BUSY'])
    unlock()
    expect(await store.sessions.turns(owner, 's', all)).toEqual([])
    await startTurn(store, 's', 't')
  })

  it('does not keep a store from being closed', async () => {
    const file = newFile()
    const store = await openStore(file)
    const unlock = lock(file)
    const waiting = codeOf(store.sessions.create(owner, sessionNamed('s')))
    await store.close()
    expect(await waiting).toBe('STORE_CLOSED')
    unlock()
  })
})

describe('errors', () => {
  it('can all be told apart by their code', () => {
    const codes = Object.values(storeErrors).map((make) => make().code)
    expect(new Set(codes).size).toBe(codes.length)
  })
})

function someCalls({ approvals, loop, sessions }: Store): (() => Promise<unknown>)[] {
  const lease = { session: 's', turn: 't', instance: 'i', epoch: 1 }
  return [
    () => sessions.create(owner, sessionNamed('s')),
    () => sessions.create(owner, { ...sessionNamed('s'), scope: 'main' }),
    () => sessions.open(owner, { ...sessionNamed('s'), scope: 'main' }),
    () => sessions.get(owner, 's'),
    () => sessions.untitled(owner, 1),
    () => startTurn({ loop } as Store, 's', 't'),
    () => loop.commit(lease, { at: 1 }),
    () => loop.flush(lease, 'line\n'),
    () => loop.takeOver('i', 1, 1, 1),
    () => loop.heartbeat('i', 1),
    () => approvals.expire(1, 1),
    () => approvals.resumable(1),
  ]
}
