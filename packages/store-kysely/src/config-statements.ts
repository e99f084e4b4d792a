import { type Kysely, sql } from 'kysely'
import type { Features } from './engine.ts'
import type { ConfigCodeTable, ConfigContentTable, ConfigGenerationTable, ConfigHeadTable, Database } from './schema.ts'
import { columnsOf, type Parameters, statement } from './statement.ts'

export const headColumns = ['tenant', 'active', 'latest', 'revision'] as const

export const generationColumns = [
  'number',
  'parent',
  'author',
  'description',
  'made_by',
  'content_hash',
  'code_hash',
  'pinned',
  'created_at',
] as const

export const insertedColumns = [...generationColumns, 'tenant', 'left_at'] as const

export interface OfTenant {
  tenant: string
}

/** The statements of generations and of the pointer to the active one. */
export function configStatements(db: Kysely<Database>, { rowLocks }: Features) {
  return {
    heads: statement((parameter: Parameters<{ after: number; limit: number }>) =>
      db
        .selectFrom('config_heads')
        .select(headColumns)
        .where('revision', '>', parameter('after'))
        .orderBy('revision')
        .limit(parameter('limit')),
    ),

    head: statement((parameter: Parameters<OfTenant>) =>
      db.selectFrom('config_heads').select(headColumns).where('tenant', '=', parameter('tenant')),
    ),

    list: statement((parameter: Parameters<OfTenant & { before: number; limit: number }>) =>
      db
        .selectFrom('config_generations')
        .select(generationColumns)
        .where('tenant', '=', parameter('tenant'))
        .where('number', '<', parameter('before'))
        .orderBy('number', 'desc')
        .limit(parameter('limit')),
    ),

    get: statement((parameter: Parameters<OfTenant & { number: number }>) =>
      db
        .selectFrom('config_generations')
        .select(generationColumns)
        .where('tenant', '=', parameter('tenant'))
        .where('number', '=', parameter('number')),
    ),

    content: statement((parameter: Parameters<OfTenant & { number: number }>) =>
      db
        .selectFrom('config_generations')
        .innerJoin('config_contents', (join) =>
          join
            .onRef('config_contents.tenant', '=', 'config_generations.tenant')
            .onRef('config_contents.hash', '=', 'config_generations.content_hash'),
        )
        .select(['config_contents.hash', 'config_contents.format', 'config_contents.content'])
        .where('config_generations.tenant', '=', parameter('tenant'))
        .where('config_generations.number', '=', parameter('number')),
    ),

    definitions: statement((parameter: Parameters<OfTenant & { hash: string }>) =>
      db
        .selectFrom('config_codes')
        .select('definitions')
        .where('tenant', '=', parameter('tenant'))
        .where('hash', '=', parameter('hash')),
    ),

    /** Has all other writers wait, and orders what is written. */
    advance: statement((_: { readonly values?: Record<string, never> }) =>
      db
        .updateTable('config_state')
        .set((row) => ({ revision: row('revision', '+', sql.lit(1)) }))
        .where('id', '=', sql.lit(1))
        .returning('revision'),
    ),

    /** Has all other writers wait, for a write that moves no pointer. */
    hold: statement((_: { readonly values?: Record<string, never> }) => {
      const state = db.selectFrom('config_state').select('revision').where('id', '=', sql.lit(1))
      return rowLocks ? state.forUpdate() : state
    }),

    newestOfContent: statement((parameter: Parameters<OfTenant & { hash: string }>) =>
      db
        .selectFrom('config_generations')
        .select('number')
        .where('tenant', '=', parameter('tenant'))
        .where('content_hash', '=', parameter('hash'))
        .orderBy('number', 'desc')
        .limit(sql.lit(1)),
    ),

    insertContent: statement((parameter: Parameters<ConfigContentTable>) =>
      db
        .insertInto('config_contents')
        .values(columnsOf(parameter, ['tenant', 'hash', 'format', 'content']))
        .onConflict((conflict) => conflict.columns(['tenant', 'hash']).doNothing()),
    ),

    insertCode: statement((parameter: Parameters<ConfigCodeTable>) =>
      db
        .insertInto('config_codes')
        .values(columnsOf(parameter, ['tenant', 'hash', 'definitions', 'created_at']))
        .onConflict((conflict) => conflict.columns(['tenant', 'hash']).doNothing()),
    ),

    insertGeneration: statement((parameter: Parameters<ConfigGenerationTable>) =>
      db.insertInto('config_generations').values(columnsOf(parameter, insertedColumns)),
    ),

    insertHead: statement((parameter: Parameters<ConfigHeadTable>) =>
      db.insertInto('config_heads').values(columnsOf(parameter, headColumns)),
    ),

    /** Decides every race for the pointer. */
    moveHead: statement((parameter: Parameters<ConfigHeadTable & { base: number }>) =>
      db
        .updateTable('config_heads')
        .set({ active: parameter('active'), latest: parameter('latest'), revision: parameter('revision') })
        .where('tenant', '=', parameter('tenant'))
        .where('active', '=', parameter('base'))
        .returning(headColumns),
    ),

    leave: statement((parameter: Parameters<OfTenant & { number: number; at: number }>) =>
      db
        .updateTable('config_generations')
        .set({ left_at: parameter('at') })
        .where('tenant', '=', parameter('tenant'))
        .where('number', '=', parameter('number')),
    ),

    pin: statement((parameter: Parameters<OfTenant & { number: number; pinned: number }>) =>
      db
        .updateTable('config_generations')
        .set({ pinned: parameter('pinned') })
        .where('tenant', '=', parameter('tenant'))
        .where('number', '=', parameter('number'))
        .returning(generationColumns),
    ),
  }
}
