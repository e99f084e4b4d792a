import { chmodSync, chownSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { accepting, answering, owner } from '../../store-kysely/test/rows.ts'
import { startChild } from './child.ts'
import { newFile, openStore } from './scene.ts'

const all = { limit: 100_000, offset: 0 }

describe('a process that is killed while it writes', () => {
  it.each([3, 40, 41, 89, 150])('loses nothing it was told is stored, after %i commit points', async (points) => {
    const file = newFile()
    const writer = startChild('child-writer.ts', [file, 's'])
    expect(await writer.line()).toBe('open')
    const told: string[] = []
    while (told.length < points) told.push((await writer.line()) ?? 'ended')
    await writer.kill()
    for (let line = await writer.line(); line !== null; line = await writer.line()) told.push(line)

    const store = await openStore(file)
    const turns = new Map((await store.sessions.turns(owner, 's', all)).map((turn) => [turn.id, turn]))
    const messages = await store.sessions.messages(owner, 's', { after: 0, limit: 100_000 })
    const ids = new Set(messages.map(({ id }) => id))
    for (const line of told) {
      const [what, id = ''] = line.split(' ')
      const turn = turns.get(id)
      const log = (await store.sessions.turnLog(owner, id))?.split('\n').filter(Boolean) ?? []
      expect(ids).toContain(`question of ${id}`)
      if (what === 'flushed') expect(log.length).toBeGreaterThanOrEqual(3)
      if (what !== 'completed') continue
      expect(turn).toMatchObject({ status: 'completed', cost: 1_234 })
      expect(ids).toContain(`answer of ${id}`)
      expect(log.map((each) => JSON.parse(each).sequence)).toEqual([1, 2, 3, 4])
    }
  })

  it('leaves whole commits only, and a turn that the next process goes on with', async () => {
    const file = newFile()
    const writer = startChild('child-writer.ts', [file, 's'])
    for (let line = await writer.line(); line !== 'accepted s-20'; line = await writer.line()) expect(line).toBeTruthy()
    await writer.kill()

    const store = await openStore(file)
    const session = await store.sessions.get(owner, 's')
    const turns = await store.sessions.turns(owner, 's', all)
    const messages = await store.sessions.messages(owner, 's', { after: 0, limit: 100_000 })
    expect(messages.map(({ sequence }) => sequence)).toEqual(messages.map((_, index) => index + 1))
    expect(session).toMatchObject({ lastSequence: messages.length, turnCount: turns.length })
    const expected = turns.flatMap(({ id, status }) =>
      status === 'completed' ? [`question of ${id}`, `answer of ${id}`] : [`question of ${id}`],
    )
    expect(messages.map(({ id }) => id)).toEqual(expected)

    const running = turns.filter(({ status }) => status === 'running')
    const taken = await store.loop.takeOver('next', Number.MAX_SAFE_INTEGER, 5, 10)
    expect(taken.map(({ turn }) => turn)).toEqual(running)
    for (const { turn, lease } of taken) await store.loop.commit(lease, answering(turn.id))
    expect(await store.loop.accept(owner, accepting('s', 'after'))).toMatchObject({ outcome: 'started' })
    await store.close()
    const database = new DatabaseSync(file)
    expect(database.prepare('pragma integrity_check').get()).toEqual({ integrity_check: 'ok' })
    expect(database.prepare('pragma foreign_key_check').all()).toEqual([])
    database.close()
  })
})

/** Root may write anywhere, so what a file's permissions do is seen by somebody else. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined

describe.runIf(process.platform !== 'win32')('a process that may not write', () => {
  const open = (file: string) => startChild('child-opener.ts', [file, 'other'], nobody).line()
  const give = (path: string, mode: number) => {
    if (nobody) chownSync(path, nobody.uid, nobody.gid)
    chmodSync(path, mode)
  }

  it('is told so of a folder, and of a file, which stays as it is', async () => {
    const file = newFile()
    await (await openStore(file)).close()
    for (const path of [dirname(file), file, `${file}.lock`]) give(path, 0o700)
    expect(await open(file)).toBe('done')
    give(file, 0o400)
    expect(await open(file)).toBe('STORE_READ_ONLY')
    give(file, 0o600)
    give(`${file}.lock`, 0o400)
    expect(await open(file)).toBe('STORE_READ_ONLY')
    give(`${file}.lock`, 0o600)
    give(dirname(file), 0o500)
    expect(await open(file)).toBe('STORE_READ_ONLY')
    give(dirname(file), 0o700)
    const store = await openStore(file)
    expect(await store.sessions.list(owner, all)).toHaveLength(1)
  })
})
