import { type Kysely, sql } from 'kysely'
import { statuses } from './columns.ts'
import { insertedColumns, type OfTenant } from './config-statements.ts'
import type { Features } from './engine.ts'
import type { Database } from './schema.ts'
import { type Parameters, statement } from './statement.ts'

interface DeployValues {
  hash: string
  definitions: string
  author: string
  description: string
  trigger: string
  at: number
  revision: number
}

/** The statements of deploys, for all tenants at once, and of retention. */
export function upkeepStatements(db: Kysely<Database>, { integer, text }: Features) {
  /** A value in the list of a select that is inserted: its type follows from nothing else there. */
  const typed = <Value extends string | number>(value: unknown, type: string) =>
    sql<Value>`cast(${value} as ${sql.raw(type.split(' ')[0] ?? '')})`

  const unseen = (parameter: Parameters<{ hash: string }>) =>
    db
      .selectFrom('config_heads')
      .where((row) =>
        row.not(
          row.exists(
            row
              .selectFrom('config_codes')
              .select('config_codes.hash')
              .whereRef('config_codes.tenant', '=', 'config_heads.tenant')
              .where('config_codes.hash', '=', parameter('hash')),
          ),
        ),
      )

  return {
    unseen: statement((parameter: Parameters<{ hash: string }>) =>
      unseen(parameter).select('config_heads.tenant').limit(sql.lit(1)),
    ),

    deployGenerations: statement((parameter: Parameters<DeployValues>) =>
      db
        .insertInto('config_generations')
        .columns(insertedColumns)
        .expression(
          unseen(parameter)
            .innerJoin('config_generations as base', (join) =>
              join.onRef('base.tenant', '=', 'config_heads.tenant').onRef('base.number', '=', 'config_heads.active'),
            )
            .select((row) => [
              row('config_heads.latest', '+', sql.lit(1)).as('number'),
              'config_heads.active as parent',
              typed<string>(parameter('author'), text).as('author'),
              typed<string>(parameter('description'), text).as('description'),
              typed<string>(parameter('trigger'), text).as('made_by'),
              'base.content_hash',
              typed<string>(parameter('hash'), text).as('code_hash'),
              sql.lit(0).as('pinned'),
              typed<number>(parameter('at'), integer).as('created_at'),
              'config_heads.tenant',
              sql<number | null>`cast(null as ${sql.raw(integer)})`.as('left_at'),
            ]),
        )
        .returning('number'),
    ),

    /** Those whose next generation has just been inserted. */
    deployHeads: statement((parameter: Parameters<{ revision: number }>) =>
      db
        .updateTable('config_heads')
        .set((row) => ({
          active: row('latest', '+', sql.lit(1)),
          latest: row('latest', '+', sql.lit(1)),
          revision: parameter('revision'),
        }))
        .where((row) =>
          row.exists(
            row
              .selectFrom('config_generations')
              .select('config_generations.number')
              .whereRef('config_generations.tenant', '=', 'config_heads.tenant')
              .whereRef('config_generations.number', '=', sql<number>`${row.ref('config_heads.latest')} + 1`),
          ),
        ),
    ),

    deployLeft: statement((parameter: Parameters<{ revision: number; at: number }>) =>
      db
        .updateTable('config_generations')
        .set({ left_at: parameter('at') })
        .where((row) =>
          row.exists(
            row
              .selectFrom('config_heads')
              .innerJoin('config_generations as made', (join) =>
                join.onRef('made.tenant', '=', 'config_heads.tenant').onRef('made.number', '=', 'config_heads.active'),
              )
              .select('made.number')
              .where('config_heads.revision', '=', parameter('revision'))
              .whereRef('config_heads.tenant', '=', 'config_generations.tenant')
              .whereRef('made.parent', '=', 'config_generations.number'),
          ),
        ),
    ),

    deployCodes: statement((parameter: Parameters<DeployValues>) =>
      db
        .insertInto('config_codes')
        .columns(['tenant', 'hash', 'definitions', 'created_at'])
        .expression(
          unseen(parameter).select([
            'config_heads.tenant',
            typed<string>(parameter('hash'), text).as('hash'),
            typed<string>(parameter('definitions'), text).as('definitions'),
            typed<number>(parameter('at'), integer).as('created_at'),
          ]),
        ),
    ),

    prune: statement((parameter: Parameters<OfTenant & { keep: number; leftBefore: number; limit: number }>) =>
      db
        .deleteFrom('config_generations')
        .where('tenant', '=', parameter('tenant'))
        .where('number', 'in', (row) =>
          row
            .selectFrom('config_generations as old')
            .innerJoin('config_heads', 'config_heads.tenant', 'old.tenant')
            .select('old.number')
            .where('old.tenant', '=', parameter('tenant'))
            .where('old.number', '<=', sql<number>`${sql.ref('config_heads.latest')} - ${parameter('keep')}`)
            .where('old.pinned', '=', sql.lit(0))
            .whereRef('old.number', '<>', 'config_heads.active')
            .where((each) =>
              each.or([each('old.left_at', 'is', null), each('old.left_at', '<', parameter('leftBefore'))]),
            )
            .where((each) =>
              each.not(
                each.exists(
                  each
                    .selectFrom('turns')
                    .select('turns.id')
                    .whereRef('turns.tenant', '=', 'old.tenant')
                    .whereRef('turns.generation', '=', 'old.number')
                    .where('turns.generation', '>', sql.lit(0))
                    .where('turns.status', 'in', statuses('queued', 'running', 'waiting', 'interrupted')),
                ),
              ),
            )
            .orderBy('old.number')
            .limit(parameter('limit')),
        )
        .returning('number'),
    ),

    pruneContents: statement((parameter: Parameters<OfTenant>) =>
      db
        .deleteFrom('config_contents')
        .where('tenant', '=', parameter('tenant'))
        .where((row) =>
          row.not(
            row.exists(
              row
                .selectFrom('config_generations')
                .select('config_generations.number')
                .whereRef('config_generations.tenant', '=', 'config_contents.tenant')
                .whereRef('config_generations.content_hash', '=', 'config_contents.hash'),
            ),
          ),
        ),
    ),

    /** A code layer is forgotten with the last generation that was made on it, unless it is the newest. */
    pruneCodes: statement((parameter: Parameters<OfTenant>) =>
      db
        .deleteFrom('config_codes')
        .where('tenant', '=', parameter('tenant'))
        .where('created_at', '<', (row) =>
          row
            .selectFrom('config_codes as newest')
            .select((each) => each.fn.max('newest.created_at').as('at'))
            .where('newest.tenant', '=', parameter('tenant')),
        )
        .where((row) =>
          row.not(
            row.exists(
              row
                .selectFrom('config_generations')
                .select('config_generations.number')
                .whereRef('config_generations.tenant', '=', 'config_codes.tenant')
                .whereRef('config_generations.code_hash', '=', 'config_codes.hash'),
            ),
          ),
        ),
    ),
  }
}
