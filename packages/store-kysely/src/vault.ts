import type { Resealed, SealedEntry, VaultEntry, VaultStore, VaultWrite } from '@keelson/core/stores'
import { type Kysely, sql } from 'kysely'
import { atLeastZero } from './columns.ts'
import { type Engine, run, type Work } from './engine.ts'
import type { Database, VaultEntryTable } from './schema.ts'
import { type Parameters, rowsStatement, statement } from './statement.ts'

const entryColumns = ['name', 'key_id', 'created_at', 'updated_at'] as const
const sealedColumns = ['tenant', 'name', 'key_id', 'envelope'] as const

const entryOf = (row: Pick<VaultEntryTable, (typeof entryColumns)[number]>): VaultEntry => ({
  name: row.name,
  keyId: row.key_id,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
})

const sealedOf = (row: Pick<VaultEntryTable, (typeof sealedColumns)[number]>): SealedEntry => ({
  tenant: row.tenant,
  name: row.name,
  keyId: row.key_id,
  envelope: row.envelope,
})

interface Fresh {
  tenant: string
  name: string
  before: string
  key_id: string
  envelope: string
}

/** Writes entries of one tenant, all of them, within a transaction of another store. */
export function createVaultWriter(db: Kysely<Database>) {
  const putAll = putStatement(db)
  const removeAll = removeStatement(db)

  return function* write(tenant: string, writes: readonly VaultWrite[], at: number): Work<void> {
    const put: VaultEntryTable[] = []
    const gone: OfName[] = []
    for (const { name, sealed } of writes) {
      if (sealed === null) gone.push({ tenant, name })
      else put.push({ tenant, name, key_id: sealed.keyId, envelope: sealed.envelope, created_at: at, updated_at: at })
    }
    if (put.length > 0) yield* run(putAll(put.length), put)
    if (gone.length > 0) yield* run(removeAll(gone.length), gone)
  }
}

interface OfName {
  tenant: string
  name: string
}

const putStatement = (db: Kysely<Database>) =>
  rowsStatement<VaultEntryTable, Pick<VaultEntryTable, (typeof entryColumns)[number]>>(
    ['tenant', 'name', 'key_id', 'envelope', 'created_at', 'updated_at'],
    (rows) =>
      db
        .insertInto('vault_entries')
        .values(rows)
        .onConflict((conflict) =>
          conflict.columns(['tenant', 'name']).doUpdateSet((row) => ({
            key_id: row.ref('excluded.key_id'),
            envelope: row.ref('excluded.envelope'),
            updated_at: row.ref('excluded.updated_at'),
          })),
        )
        .returning(entryColumns),
  )

const removeStatement = (db: Kysely<Database>) =>
  rowsStatement<OfName, Pick<OfName, 'name'>>(['tenant', 'name'], (rows) =>
    db
      .deleteFrom('vault_entries')
      .where((row) => row.or(rows.map(({ name, tenant }) => row.and({ tenant, name }))))
      .returning('name'),
  )

export function createVaultStore(db: Kysely<Database>, engine: Engine): VaultStore {
  const put = putStatement(db)(1)
  const remove = removeStatement(db)(1)

  const get = statement((parameter: Parameters<{ tenant: string; name: string }>) =>
    db
      .selectFrom('vault_entries')
      .select(sealedColumns)
      .where('tenant', '=', parameter('tenant'))
      .where('name', '=', parameter('name')),
  )

  const list = statement((parameter: Parameters<{ tenant: string; after: string; limit: number }>) =>
    db
      .selectFrom('vault_entries')
      .select(entryColumns)
      .where('tenant', '=', parameter('tenant'))
      .where('name', '>', parameter('after'))
      .orderBy('name')
      .limit(parameter('limit')),
  )

  const keyIds = statement((parameter: Parameters<{ limit: number }>) =>
    db.selectFrom('vault_entries').select('key_id').distinct().orderBy('key_id').limit(parameter('limit')),
  )

  const under = statement((parameter: Parameters<{ otherThan: string; tenant: string; name: string; limit: number }>) =>
    db
      .selectFrom('vault_entries')
      .select(sealedColumns)
      .where('key_id', '!=', parameter('otherThan'))
      .where(({ eb, refTuple, tuple }) =>
        eb(refTuple('tenant', 'name'), '>', tuple(parameter('tenant'), parameter('name'))),
      )
      .orderBy('tenant')
      .orderBy('name')
      .limit(parameter('limit')),
  )

  const reseal = rowsStatement<Fresh>(['tenant', 'name', 'before', 'key_id', 'envelope'], (rows) =>
    db
      .with(
        'fresh(tenant, name, before, key_id, envelope)',
        () =>
          sql<Fresh>`(values ${sql.join(
            rows.map((row) => sql`(${sql.join([row.tenant, row.name, row.before, row.key_id, row.envelope])})`),
          )})`,
      )
      .updateTable('vault_entries')
      .from('fresh')
      .set((row) => ({ key_id: row.ref('fresh.key_id'), envelope: row.ref('fresh.envelope') }))
      .whereRef('vault_entries.tenant', '=', 'fresh.tenant')
      .whereRef('vault_entries.name', '=', 'fresh.name')
      .whereRef('vault_entries.envelope', '=', 'fresh.before')
      .returning('vault_entries.name'),
  )

  return {
    async put({ tenant, name, keyId, envelope }, at) {
      const values = { tenant, name, key_id: keyId, envelope, created_at: at, updated_at: at }
      const [row] = await engine.query(put, [values])
      if (row === undefined) throw new Error('an entry that was put has no row')
      return entryOf(row)
    },

    async get(tenant, name) {
      const [row] = await engine.query(get, { tenant, name })
      return row === undefined ? null : sealedOf(row)
    },

    async remove(tenant, name) {
      return (await engine.query(remove, [{ tenant, name }])).length > 0
    },

    async list(tenant, after, limit) {
      return (await engine.query(list, { tenant, after, limit: atLeastZero(limit) })).map(entryOf)
    },

    async keyIds(limit) {
      return (await engine.query(keyIds, { limit: atLeastZero(limit) })).map(({ key_id }) => key_id)
    },

    async under(otherThan, { tenant, name }, limit) {
      return (await engine.query(under, { otherThan, tenant, name, limit: atLeastZero(limit) })).map(sealedOf)
    },

    async reseal(entries) {
      if (entries.length === 0) return 0
      const rows = entries.map(freshOf)
      return (await engine.query(reseal(rows.length), rows)).length
    },
  }
}

const freshOf = ({ tenant, name, before, keyId, envelope }: Resealed): Fresh => ({
  tenant,
  name,
  before,
  key_id: keyId,
  envelope,
})
