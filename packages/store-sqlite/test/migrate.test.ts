import { DatabaseSync } from 'node:sqlite'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, it } from 'vitest'
import { owner, sessionNamed } from '../../store-kysely/test/rows.ts'
import { startChild } from './child.ts'
import { newFile, openStore } from './scene.ts'

const versions = {
  sessions: 2,
  loop: 2,
  approvals: 2,
  breakers: 1,
  costs: 1,
  memory: 2,
  config: 1,
  vault: 1,
  connectors: 1,
}

/** Runs SQL past the store and gives the rows of the last statement. */
function inspect(file: string, sql: string): unknown[] {
  const database = new DatabaseSync(file)
  try {
    return database.prepare(sql).all()
  } finally {
    database.close()
  }
}

const tablesOf = (file: string) =>
  inspect(file, "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' order by name").map(
    (row) => (row as { name: string }).name,
  )

const storedVersions = (file: string) => {
  const [row] = inspect(file, 'select versions from schema_version') as { versions: string }[]
  return row === undefined ? undefined : JSON.parse(row.versions)
}

describe('migration', () => {
  it('makes every table, checked by type, and remembers its version', async () => {
    const file = newFile()
    await (await openStore(file)).close()
    expect(tablesOf(file)).toEqual(expect.arrayContaining(['approvals', 'messages', 'sessions', 'turns']))
    // What a full-text index is made of is its own affair.
    const ordinary = "schema = 'main' and type = 'table' and name not like 'sqlite_%'"
    expect(inspect(file, `select name from pragma_table_list where ${ordinary} and strict = 0`)).toEqual([])
    expect(storedVersions(file)).toEqual(versions)
  })

  it('leaves an empty file to one of the processes that start at once, and the others find it done', async () => {
    const file = newFile()
    const names = ['one', 'two', 'three']
    const children = names.map((name) => startChild('child-opener.ts', [file, name, '2000']))
    expect(await Promise.all(children.map((child) => child.line()))).toEqual(['done', 'done', 'done'])
    const store = await openStore(file)
    const sessions = await store.sessions.list(owner, { limit: 10, offset: 0 })
    expect(sessions.map(({ id }) => id).toSorted()).toEqual(names.toSorted())
    await store.close()
    expect(storedVersions(file)).toEqual(versions)
  })

  it('is done once however often it is asked for', async () => {
    const store = sqliteStore(newFile())
    await Promise.all([store.migrate(), store.migrate(), store.open()])
    await store.migrate()
    await store.sessions.create(owner, sessionNamed('s'))
    await store.close()
  })

  it('waits to be asked for when it is manual', async () => {
    const file = newFile()
    const store = sqliteStore(file, { migrate: 'manual' })
    await expect(store.open()).rejects.toMatchObject({ code: 'STORE_NOT_MIGRATED' })
    await store.migrate()
    await store.open()
    await store.sessions.create(owner, sessionNamed('s'))
    await store.close()
    const again = await openStore(file, { migrate: 'manual' })
    expect(await again.sessions.get(owner, 's')).not.toBeNull()
  })

  it('adds what an older file lacks', async () => {
    const file = newFile()
    await (await openStore(file)).close()
    for (const table of tablesOf(file).filter((name) => /^(approvals|config_.*)$/.test(name))) {
      inspect(file, `drop table ${table}`)
    }
    inspect(file, 'drop index turns_on_generation')
    inspect(file, 'alter table tool_calls drop column tool_hash')
    const { approvals: _, config: __, ...older } = versions
    inspect(file, `update schema_version set versions = '${JSON.stringify(older)}'`)
    await (await openStore(file)).close()
    expect(tablesOf(file)).toEqual(expect.arrayContaining(['approvals', 'config_heads']))
    expect(storedVersions(file)).toEqual(versions)
  })

  it('counts the messages that an older file has', async () => {
    const file = newFile()
    const store = await openStore(file)
    await store.sessions.create(owner, sessionNamed('s'))
    const said = { type: 'text', text: 'x' } as const
    const called = { type: 'tool-call', call: 'c', tool: 'search', arguments: '{}' } as const
    for (const [role, ...parts] of [
      ['user', said],
      ['assistant', said, called],
      ['tool'],
      ['assistant', said],
    ] as const) {
      const message = { id: `${role} ${parts.length}`, turn: null, role, parts, usage: null, createdAt: 1 }
      await store.sessions.append(owner, 's', message)
    }
    await store.close()
    const database = new DatabaseSync(file)
    database.exec('alter table sessions drop column message_count')
    database.exec(`update schema_version set versions = '${JSON.stringify({ ...versions, sessions: 1 })}'`)
    database.close()
    const again = await openStore(file)
    expect(await again.sessions.get(owner, 's')).toMatchObject({ lastSequence: 4, messageCount: 2 })
  })

  it.each([
    { ...versions, loop: versions.loop + 1 },
    { ...versions, sorcery: 1 },
  ])('refuses the newer schema %j and leaves it as it is', async (newer) => {
    const file = newFile()
    await (await openStore(file)).close()
    inspect(file, `update schema_version set versions = '${JSON.stringify(newer)}'`)
    for (const migrate of ['on-open', 'manual'] as const) {
      const store = sqliteStore(file, { migrate })
      await expect(store.open()).rejects.toMatchObject({ code: 'STORE_TOO_NEW' })
      await expect(store.migrate()).rejects.toMatchObject({ code: 'STORE_TOO_NEW' })
      await store.close()
    }
    expect(storedVersions(file)).toEqual(newer)
  })

  it('that fails half-way leaves nothing', async () => {
    const file = newFile()
    inspect(file, 'create table turns (somebody_elses text)')
    const store = sqliteStore(file)
    await expect(store.open()).rejects.toThrow()
    await store.close()
    expect(tablesOf(file)).toEqual(['turns'])
  })
})
