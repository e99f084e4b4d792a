import type {
  ActivatedGeneration,
  AddedGeneration,
  ConfigHead,
  ConfigStore,
  Generation,
  SecretsPut,
} from '@keelson/core/stores'
import type { Kysely } from 'kysely'
import { atLeastZero } from './columns.ts'
import { configStatements, type generationColumns } from './config-statements.ts'
import { upkeepStatements } from './config-upkeep.ts'
import { type Engine, run, type Work } from './engine.ts'
import type { ConfigGenerationTable, Database } from './schema.ts'
import { createVaultWriter } from './vault.ts'

const generationOf = (row: Pick<ConfigGenerationTable, (typeof generationColumns)[number]>): Generation => ({
  number: row.number,
  parent: row.parent,
  author: row.author,
  description: row.description,
  trigger: row.made_by,
  contentHash: row.content_hash,
  codeHash: row.code_hash,
  pinned: row.pinned === 1,
  createdAt: row.created_at,
})

export function createConfigStore(db: Kysely<Database>, engine: Engine): ConfigStore {
  const statements = { ...configStatements(db, engine.features), ...upkeepStatements(db, engine.features) }
  const writeVault = createVaultWriter(db)

  function* advance(): Work<number> {
    const [state] = yield* run(statements.advance, {})
    if (state === undefined) throw new Error('the row that orders the configuration is gone')
    return state.revision
  }

  /** The pointer moves from `base`, where it was a moment ago and still is: nobody else writes meanwhile. */
  function* move(before: ConfigHead | undefined, head: ConfigHead, base: number, at: number): Work<ConfigHead> {
    if (before === undefined) {
      yield* run(statements.insertHead, head)
      return head
    }
    const [moved] = yield* run(statements.moveHead, { ...head, base })
    if (moved === undefined) throw new Error('the pointer has moved although it was held')
    if (base > 0 && head.active !== base) yield* run(statements.leave, { tenant: head.tenant, number: base, at })
    return moved
  }

  return {
    heads: (after, limit) => engine.query(statements.heads, { after, limit: atLeastZero(limit) }),

    async head(tenant) {
      const [row] = await engine.query(statements.head, { tenant })
      return row ?? null
    },

    async list(tenant, { before = Number.MAX_SAFE_INTEGER, limit }) {
      const rows = await engine.query(statements.list, { tenant, before, limit: atLeastZero(limit) })
      return rows.map(generationOf)
    },

    async get(tenant, number) {
      const [row] = await engine.query(statements.get, { tenant, number })
      return row === undefined ? null : generationOf(row)
    },

    async content(tenant, number) {
      const [row] = await engine.query(statements.content, { tenant, number })
      return row ?? null
    },

    async definitions(tenant, hash) {
      const [row] = await engine.query(statements.definitions, { tenant, hash })
      return row?.definitions ?? null
    },

    add: (tenant, { generation, code, empty, base, numbering, activate, secrets }) =>
      engine.transaction('write', function* (): Work<AddedGeneration> {
        const revision = yield* advance()
        const [head] = yield* run(statements.head, { tenant })
        const active = head?.active ?? 0
        if (active !== base) return { outcome: 'conflict', active }
        const { author, content, createdAt, description, trigger } = generation
        const latest = head?.latest ?? 0
        yield* writeVault(tenant, secrets, generation.createdAt)
        if (numbering === 'reuse') {
          const [same] = yield* run(statements.newestOfContent, { tenant, hash: content.hash })
          const number = same?.number ?? (empty ? 0 : undefined)
          if (number !== undefined) {
            const moved = yield* move(head, { tenant, active: number, latest, revision }, base, createdAt)
            return { outcome: 'reactivated', head: moved, number }
          }
        }
        const number = latest + 1
        yield* run(statements.insertContent, { tenant, ...content })
        yield* run(statements.insertCode, { tenant, ...code, created_at: createdAt })
        yield* run(statements.insertGeneration, {
          tenant,
          number,
          parent: base,
          author,
          description,
          made_by: trigger,
          content_hash: content.hash,
          code_hash: code.hash,
          pinned: 0,
          left_at: null,
          created_at: createdAt,
        })
        const next = { tenant, active: activate ? number : base, latest: number, revision }
        return { outcome: 'created', head: yield* move(head, next, base, createdAt), number }
      }),

    putSecrets: (tenant, { secrets, base, at }) =>
      engine.transaction('write', function* (): Work<SecretsPut> {
        yield* run(statements.hold, {})
        const [head] = yield* run(statements.head, { tenant })
        const active = head?.active ?? 0
        if (active !== base) return { outcome: 'conflict', active }
        yield* writeVault(tenant, secrets, at)
        return { outcome: 'put' }
      }),

    activate: (tenant, number, base, at) =>
      engine.transaction('write', function* (): Work<ActivatedGeneration> {
        const revision = yield* advance()
        const [head] = yield* run(statements.head, { tenant })
        const active = head?.active ?? 0
        if (active !== base) return { outcome: 'conflict', active }
        const [found] = number === 0 ? [{ number }] : yield* run(statements.get, { tenant, number })
        if (found === undefined) return { outcome: 'missing' }
        const next = { tenant, active: number, latest: head?.latest ?? 0, revision }
        return { outcome: 'activated', head: yield* move(head, next, base, at) }
      }),

    async deploy({ hash, definitions }, { author, description, trigger, createdAt: at }) {
      if ((await engine.query(statements.unseen, { hash })).length === 0) return 0
      return await engine.transaction('write', function* () {
        const revision = yield* advance()
        const values = { hash, definitions, author, description, trigger, at, revision }
        const made = yield* run(statements.deployGenerations, values)
        yield* run(statements.deployHeads, { revision })
        yield* run(statements.deployLeft, { revision, at })
        yield* run(statements.deployCodes, values)
        return made.length
      })
    },

    pin: (tenant, number, pinned) =>
      engine.transaction('write', function* () {
        yield* run(statements.hold, {})
        const [row] = yield* run(statements.pin, { tenant, number, pinned: pinned ? 1 : 0 })
        return row === undefined ? null : generationOf(row)
      }),

    prune: (tenant, { keep, leftBefore, limit }) =>
      engine.transaction('write', function* () {
        yield* run(statements.hold, {})
        const values = { tenant, keep: atLeastZero(keep), leftBefore, limit: atLeastZero(limit) }
        const gone = yield* run(statements.prune, values)
        if (gone.length > 0) {
          yield* run(statements.pruneContents, { tenant })
          yield* run(statements.pruneCodes, { tenant })
        }
        return gone.length
      }),
  }
}
