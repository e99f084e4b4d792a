import { type PostgresStoreOptions, postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  accepting,
  answering,
  everything,
  messageNamed,
  noteNamed,
  owner,
  sessionNamed,
  startTurn,
} from '../../store-kysely/test/rows.ts'
import { inspect, newSchema } from './postgres-server.ts'
import { newPool, usePostgres } from './scene.ts'

const server = usePostgres()

function storeAs(role: string, schema: string, options: Partial<PostgresStoreOptions> & { pool?: never } = {}) {
  const url = new URL(server().url)
  url.username = role
  const pool = newPool(url.href, { max: 4 })
  const store = postgresStore({ pool, schema, ...options })
  onTestFinished(async () => {
    await store.close()
    await pool.end()
  })
  return store
}

const databaseOf = () => pg.escapeIdentifier(decodeURIComponent(new URL(server().url).pathname.slice(1)))

/** Roles of one test: one that may make schemas, and one that may log in. */
async function newRoles(schema: string) {
  const [migrator, runtime] = [`${schema}_migrator`, `${schema}_runtime`]
  await inspect(
    server().url,
    `create role ${migrator} login; create role ${runtime} login;
     grant create on database ${databaseOf()} to ${migrator}`,
  )
  onTestFinished(async () => {
    for (const role of [runtime, migrator]) {
      await inspect(server().url, `drop owned by ${role} cascade; drop role ${role}`)
    }
  })
  return { migrator, runtime }
}

/** Who may do everything. */
const ownerOf = () => decodeURIComponent(new URL(server().url).username)

const grants = (schema: string, role: string) => `
  grant usage on schema "${schema}" to ${role};
  grant select, insert, update, delete on all tables in schema "${schema}" to ${role}`

const versions = (schema: string) => inspect(server().url, `select versions from "${schema}".schema_version`)

describe('a role that may only read and write rows', () => {
  it('does everything but the migration, which the owner of the schema does', async () => {
    const schema = newSchema()
    const { migrator, runtime } = await newRoles(schema)
    const owners = storeAs(migrator, schema, { migrate: 'manual' })
    await expect(owners.open()).rejects.toMatchObject({ code: 'STORE_NOT_MIGRATED' })
    await owners.migrate()
    await inspect(server().url, grants(schema, runtime))

    for (const migrate of ['manual', 'on-open'] as const) {
      const store = storeAs(runtime, schema, { migrate })
      await store.open()
      await store.migrate()
      const id = `s ${migrate}`
      await store.sessions.create(owner, sessionNamed(id, { scope: 'main' }))
      await store.sessions.append(owner, id, messageNamed(`m ${migrate}`))
      const { lease } = await startTurn(store, id, `t ${migrate}`)
      await store.loop.accept(owner, accepting(id, `u ${migrate}`, { refuseDuplicateSince: 0 }))
      await store.loop.heartbeat('one', 1)
      await store.loop.flush(lease, 'line\n')
      const { next } = await store.loop.commit(lease, answering(`t ${migrate}`))
      expect(await store.loop.cancel(owner, next?.turn.id ?? '', 'one', 3)).not.toBeNull()
      await store.loop.takeOver('two', 5, 5, 10)
      await store.loop.retire('one')
      expect(await store.approvals.expire(1, 10)).toEqual([])
      expect(await store.sessions.turns(owner, id, everything)).toHaveLength(2)
      await store.memory.createNote(owner, noteNamed(`n ${migrate}`))
      await store.memory.updateNote(owner, `n ${migrate}`, { content: 'mast' }, 2)
      const found = await store.memory.searchNotes(owner, [{ word: 'mast', prefix: true }], everything)
      expect(found.map(({ id }) => id)).toContain(`n ${migrate}`)
    }
  })

  it('is told that the schema is missing, or that it lacks a right', async () => {
    const schema = newSchema()
    const { migrator, runtime } = await newRoles(schema)
    await expect(storeAs(runtime, schema, { migrate: 'manual' }).open()).rejects.toMatchObject({
      code: 'STORE_NOT_MIGRATED',
    })
    await expect(storeAs(runtime, schema).open()).rejects.toMatchObject({
      code: 'STORE_READ_ONLY',
      message: expect.stringContaining('permission'),
    })
    await storeAs(migrator, schema).open()
    await expect(storeAs(runtime, schema).open()).rejects.toMatchObject({ code: 'STORE_READ_ONLY' })
    await inspect(server().url, `grant usage on schema "${schema}" to ${runtime}`)
    await inspect(server().url, `grant select on all tables in schema "${schema}" to ${runtime}`)
    const reader = storeAs(runtime, schema)
    await reader.open()
    expect(await reader.sessions.list(owner, everything)).toEqual([])
    await expect(reader.sessions.create(owner, sessionNamed('s'))).rejects.toMatchObject({ code: 'STORE_READ_ONLY' })
  })
})

describe('migration', () => {
  it('is done once by many instances that start at once', async () => {
    const schema = newSchema()
    const stores = Array.from({ length: 6 }, () => storeAs(ownerOf(), schema))
    await Promise.all(stores.map((store) => store.open()))
    await Promise.all(stores.map((store, index) => store.sessions.create(owner, sessionNamed(`s${index}`))))
    expect(await stores[0]?.sessions.list(owner, everything)).toHaveLength(6)
    const newest =
      '{"sessions":2,"loop":2,"approvals":2,"breakers":1,"costs":1,"memory":2,"config":1,"vault":1,"connectors":1}'
    expect(await versions(schema)).toEqual([{ versions: newest }])
  })

  it('costs one statement that reads one row when there is nothing to do', async () => {
    const schema = newSchema()
    await storeAs(ownerOf(), schema).open()
    const statements: string[] = []
    await storeAs(ownerOf(), schema, { trace: (sql) => statements.push(sql) }).open()
    expect(statements).toEqual([`select "versions" from "${schema}"."schema_version" where "id" = $1`])
  })

  it('that fails half-way leaves nothing', async () => {
    const schema = newSchema()
    await inspect(server().url, `create schema "${schema}"; create table "${schema}".turns (somebody_elses text)`)
    await expect(storeAs(ownerOf(), schema).open()).rejects.toThrow()
    const tables = 'select table_name from information_schema.tables where table_schema = $1'
    expect(await inspect(server().url, tables, [schema])).toEqual([{ table_name: 'turns' }])
  })

  it.each([
    '{"sessions":1,"loop":9,"approvals":1,"breakers":1,"memory":1}',
    '{"sessions":1,"loop":2,"approvals":1,"breakers":1,"memory":1,"sorcery":1}',
  ])('refuses the newer schema %s and leaves it as it is', async (newer) => {
    const schema = newSchema()
    await storeAs(ownerOf(), schema).open()
    await inspect(server().url, `update "${schema}".schema_version set versions = $1`, [newer])
    for (const migrate of ['on-open', 'manual'] as const) {
      const store = storeAs(ownerOf(), schema, { migrate })
      await expect(store.open()).rejects.toMatchObject({ code: 'STORE_TOO_NEW' })
      await expect(store.migrate()).rejects.toMatchObject({ code: 'STORE_TOO_NEW' })
    }
    expect(await versions(schema)).toEqual([{ versions: newer }])
  })

  it('keeps to a schema of any name, whatever the search path is', async () => {
    const schema = `Odd "name"; ${newSchema()}`
    const decoy = newSchema()
    await inspect(server().url, `create schema ${decoy}; create table ${decoy}.sessions (id text)`)
    const url = new URL(server().url)
    url.searchParams.set('options', `-c search_path=${decoy}`)
    const pool = newPool(url.href)
    const store = postgresStore({ pool, schema })
    onTestFinished(async () => {
      await store.close()
      await pool.end()
    })
    await store.open()
    await store.sessions.create(owner, sessionNamed('s'))
    await startTurn(store, 's', 't')
    expect(await inspect(server().url, `select * from ${decoy}.sessions`)).toEqual([])
    expect((await pool.query('show search_path')).rows).toEqual([{ search_path: decoy }])
    await pool.query(`drop schema ${pg.escapeIdentifier(schema)} cascade`)
  })

  it('refuses a name that no schema can have', () => {
    const pool = new pg.Pool()
    for (const schema of ['', 'x'.repeat(49), 'a\0b', 7 as unknown as string]) refused({ pool, schema })
  })
})

/** Options that are wrong are told at once, before anything is connected to. */
function refused(options: PostgresStoreOptions): void {
  expect(() => postgresStore(options)).toThrow(expect.objectContaining({ code: 'STORE_OPTIONS_INVALID' }))
}

describe('options', () => {
  it('are refused where a caller without types gets them wrong', () => {
    refused({ pool: 'postgres://localhost' as never })
    refused({} as never)
    refused({ pool: new pg.Pool(), migrate: 'later' as never })
  })
})
