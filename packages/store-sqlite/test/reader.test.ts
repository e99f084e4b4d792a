import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Store } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { owner, sessionNamed } from '../../store-kysely/test/rows.ts'
import { createReader } from '../src/reader.ts'
import { newFile, openStore } from './scene.ts'

const window = { limit: 10, offset: 0 }

const note = (title: string) => ({
  id: title,
  path: `notes/${title}`,
  title,
  content: '',
  type: 'note',
  status: 'active',
  tags: [],
  priority: 0,
  due: null,
  parentPath: 'notes',
  reminder: false,
  createdAt: 1,
})

const titles = (found: readonly { readonly title: string }[]) => found.map(({ title }) => title)

/** Searches that may have to look at every note there is. */
const searches = {
  'a part of a word': ({ memory }: Store) => memory.notesContaining(owner, 'arbou', window),
  'the beginning of many words': ({ memory }: Store) =>
    memory.searchNotes(owner, [{ word: 'ha', prefix: true }], window),
}

describe.each(Object.entries(searches))('a search for %s', (_, search) => {
  it('finds what was stored the moment before', async () => {
    const store = await openStore(newFile())
    const stored: string[] = []
    for (let number = 1; number <= 5; number += 1) {
      stored.unshift(`harbour${number}`)
      await store.memory.createNote(owner, { ...note(`harbour${number}`), createdAt: number })
      expect(titles(await search(store)).sort()).toEqual(stored.toSorted())
    }
  })

  it('leaves the event loop to others meanwhile', async () => {
    const store = await openStore(newFile())
    await store.memory.createNote(owner, note('harbour'))
    const others = nextTurn('others')
    const found = search(store).then(titles)
    expect(await Promise.race([found, others])).toBe('others')
    expect(await found).toEqual(['harbour'])
  })

  it('is refused when the store is closed before it ends, and after', async () => {
    const file = newFile()
    const store = await openStore(file)
    await store.memory.createNote(owner, note('harbour'))
    const refused = expect(search(store)).rejects.toMatchObject({ code: 'STORE_CLOSED' })
    await store.close()
    await refused
    await expect(search(store)).rejects.toMatchObject({ code: 'STORE_CLOSED' })
    expect(existsSync(`${file}-wal`)).toBe(false)
  })

  it('works on a store in memory', async () => {
    const store = await openStore(':memory:')
    await store.memory.createNote(owner, note('harbour'))
    expect(titles(await search(store))).toEqual(['harbour'])
  })
})

describe('a list of all sessions of a tenant by their last activity', () => {
  it('leaves the event loop to others meanwhile, and has what changed the moment before', async () => {
    const store = await openStore(newFile())
    for (const id of ['first', 'second']) await store.sessions.create(owner, sessionNamed(id))
    await store.sessions.update(owner, 'first', { title: 'Title' }, 2)
    const others = nextTurn('others')
    const reach = { tenant: owner.tenant, subject: null }
    const listed = store.sessions.list(reach, window, { order: 'activity' })
    expect(await Promise.race([listed, others])).toBe('others')
    expect((await listed).map(({ id }) => id)).toEqual(['first', 'second'])
  })
})

describe('the connection that reads aside', () => {
  it("rejects with SQLite's own error, and goes on", async () => {
    const file = newFile()
    await openStore(file)
    const reader = createReader(file, 100)
    await expect(reader.read('select nothing', [])).rejects.toMatchObject({ errcode: 1 })
    await expect(reader.read('delete from notes', [])).rejects.toMatchObject({ errcode: 8 })
    expect(await reader.read('select ? as a, ? as b, ? as c', [1n, 'text', null])).toEqual([
      { a: 1, b: 'text', c: null },
    ])
    await reader.close()
  })

  it('rejects when there is no such file', async () => {
    const reader = createReader(newFile(), 100)
    await expect(reader.read('select 1', [])).rejects.toThrow('unable to open database file')
    await reader.close()
  })

  it('keeps no process alive', async () => {
    const file = newFile()
    await (await openStore(file)).close()
    const script = `
      import { sqliteStore } from '@keelson/store-sqlite'
      const store = sqliteStore(${JSON.stringify(file)})
      await store.open()
      console.log(await store.memory.notesContaining(${JSON.stringify(owner)}, 'a', { limit: 1, offset: 0 }))
    `
    const flags = ['--conditions=keelson-source', '--input-type=module', '--eval', script]
    const child = spawn(process.execPath, flags, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] })
    const output: string[] = []
    child.stdout.on('data', (data) => output.push(String(data)))
    expect(await once(child, 'close')).toEqual([0, null])
    expect(output.join('')).toBe('[]\n')
  })
})
