import { storeErrors } from '@keelson/core/stores'
import type { Kysely } from 'kysely'
import { type Engine, run, type Statement } from './engine.ts'
import { migrations } from './migrations/index.ts'
import type { Database } from './schema.ts'
import { statement } from './statement.ts'

type Versions = Record<string, number>

const known: Versions = Object.fromEntries(migrations.map(({ capability, number }) => [capability, number]))

const plain = (sql: string): Statement<Record<string, never>, unknown> => ({ sql, reads: false, bind: () => [] })

/** How a schema stands to these migrations. Throws `STORE_TOO_NEW` when it has one that is not among them. */
function isCurrent(versions: Versions): boolean {
  for (const [capability, number] of Object.entries(versions)) {
    if (number > (known[capability] ?? 0)) throw storeErrors.STORE_TOO_NEW()
  }
  return Object.entries(known).every(([capability, number]) => versions[capability] === number)
}

export interface Migrator {
  /** True when nothing is to be done. One row is read. Throws `STORE_TOO_NEW`. */
  isCurrent(): Promise<boolean>
  /** Applies what is missing, in one transaction that excludes every other migrator. Throws `STORE_TOO_NEW`. */
  migrate(): Promise<void>
}

export function createMigrator(db: Kysely<Database>, engine: Engine): Migrator {
  const create = plain(
    `create table if not exists schema_version (
      id ${engine.features.integer} not null primary key check (id = 1),
      versions ${engine.features.text} not null
    )${engine.features.table}`,
  )
  const read = statement((_: { readonly values?: Record<string, never> }) =>
    db.selectFrom('schema_version').select('versions').where('id', '=', 1),
  )
  const write = statement<{ versions: string }, unknown>((parameter) =>
    db
      .insertInto('schema_version')
      .values({ id: 1, versions: parameter('versions') })
      .onConflict((conflict) =>
        conflict.column('id').doUpdateSet((row) => ({ versions: row.ref('excluded.versions') })),
      ),
  )
  const versionsOf = (rows: readonly { versions: string }[]): Versions =>
    rows[0] === undefined ? {} : (JSON.parse(rows[0].versions) as Versions)

  const migrate = (): Promise<void> =>
    engine.exclusively(function* () {
      yield* run(create, {})
      const versions = versionsOf(yield* run(read, {}))
      if (isCurrent(versions)) return
      for (const migration of migrations) {
        if (migration.number <= (versions[migration.capability] ?? 0)) continue
        for (const sql of migration.statements(engine.features)) yield* run(plain(sql), {})
      }
      yield* run(write, { versions: JSON.stringify(known) })
    })

  return { isCurrent: async () => isCurrent(versionsOf(await engine.query(read, {}))), migrate }
}
