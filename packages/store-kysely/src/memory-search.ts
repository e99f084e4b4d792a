import type { NoteFilter, Reach, Window } from '@keelson/core/stores'
import { type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely'
import { type ReachKind, type ReachValues, reachKind, within } from './columns.ts'
import type { FullText } from './engine.ts'
import type { Database } from './schema.ts'
import { type Parameters, remembered, statement } from './statement.ts'

/** 67 million; it leaves room for 134 million owners within a safe integer. */
export const notesPerOwner = 2 ** 26

export const summaryColumns = [
  'id',
  'tenant',
  'subject',
  'path',
  'title',
  'type',
  'status',
  'tags',
  'priority',
  'due',
  'parent_path',
  'reminder',
  'created_at',
  'updated_at',
] as const

export const listedColumns = summaryColumns.map((column) => `notes.${column}` as const)

export interface FilterValues extends ReachValues, Window {
  type: string
  status: string
  parentPath: string
}

interface SearchValues {
  match: string
  rank: string
}

const filters = ['type', 'status', 'parentPath'] as const

/** The kind of reach and the filters given, parted by spaces: one statement for each. */
export const noteShape = (reach: Reach, filter: NoteFilter): string =>
  [reachKind(reach), ...filters.filter((name) => filter[name] !== undefined)].join(' ')

export const kindOf = (shape: string): ReachKind => (shape.startsWith('tenant') ? 'tenant' : 'own')

/** The notes of a shape. */
export const matchingNotes = (shape: string, parameter: Parameters<FilterValues>): RawBuilder<SqlBool> => {
  const given = shape.split(' ')
  const conditions = [within('notes', kindOf(shape), parameter)]
  if (given.includes('type')) conditions.push(sql`${sql.ref('notes.type')} = ${parameter('type')}`)
  if (given.includes('status')) conditions.push(sql`${sql.ref('notes.status')} = ${parameter('status')}`)
  if (given.includes('parentPath')) {
    conditions.push(sql`${sql.ref('notes.parent_path')} = ${parameter('parentPath')}`)
  }
  return sql.join(conditions, sql` and `)
}

export function memorySearchStatements(db: Kysely<Database>, fullText: FullText) {
  /** The documents that match and are within the reach, as their numbers say: no note has to be looked at. */
  const found = (kind: ReachKind, parameter: Parameters<ReachValues & SearchValues>) => {
    const documents = db.selectFrom('note_words').where(fullText.matches('note_words', parameter('match')))
    const rowid = sql.ref('note_words.rowid')
    if (kind === 'tenant') {
      const serials = db.selectFrom('note_owners').select('serial').where('tenant', '=', parameter('tenant'))
      return documents.where(sql<SqlBool>`${rowid} / ${sql.lit(notesPerOwner)} in ${serials}`)
    }
    const first = db
      .selectFrom('note_owners')
      .select(sql<number>`serial * ${sql.lit(notesPerOwner)}`.as('first'))
      .where('tenant', '=', parameter('tenant'))
      .where('subject', '=', parameter('subject'))
    return documents
      .where(sql<SqlBool>`${rowid} >= ${first}`)
      .where(sql<SqlBool>`${rowid} < ${first} + ${sql.lit(notesPerOwner)}`)
  }

  const score = (parameter: Parameters<SearchValues>) => fullText.score('note_words', parameter('rank'))

  return {
    /**
     * Ranked by the index alone unless there is a filter; of the best, the rows are then read. A cross join, since SQLite
     * keeps its order: from the other side every note would be gone through.
     */
    search: remembered((shape: string) =>
      statement((parameter: Parameters<FilterValues & SearchValues>) => {
        const kind = kindOf(shape)
        const ranked = found(kind, parameter)
        const filtered =
          shape === kind
            ? ranked
            : ranked.where(({ exists, selectFrom }) =>
                exists(
                  selectFrom('notes')
                    .select('notes.number')
                    .whereRef('notes.number', '=', 'note_words.rowid')
                    .where(matchingNotes(shape, parameter)),
                ),
              )
        const best = filtered
          .select(['note_words.rowid as number', score(parameter).as('score')])
          .orderBy('score', 'desc')
          .orderBy('note_words.rowid', 'desc')
          .limit(parameter('limit'))
          .offset(parameter('offset'))
        return db
          .selectFrom(best.as('best'))
          .crossJoin('notes')
          .whereRef('notes.number', '=', 'best.number')
          .select(listedColumns)
          .where(within('notes', kind, parameter))
          .orderBy('best.score', 'desc')
          .orderBy('best.number', 'desc')
      }),
    ),

    /** More than are wanted are ranked, so that some may turn out to be archived. */
    recall: statement(
      (parameter: Parameters<ReachValues & SearchValues & { limit: number; ranked: number; characters: number }>) => {
        const best = found('own', parameter)
          .select(['note_words.rowid as number', score(parameter).as('score')])
          .orderBy('score', 'desc')
          .orderBy('note_words.rowid', 'desc')
          .limit(parameter('ranked'))
        const content = sql.ref('notes.content')
        return db
          .selectFrom(best.as('best'))
          .crossJoin('notes')
          .whereRef('notes.number', '=', 'best.number')
          .select([
            'notes.path',
            'notes.title',
            sql<string>`substr(${content}, 1, ${parameter('characters')})`.as('content'),
            sql<number>`case when length(${content}) > ${parameter('characters')} then 1 else 0 end`.as('cut'),
            'best.score',
          ])
          .where(within('notes', 'own', parameter))
          .where('notes.status', '<>', sql.lit('archived'))
          .orderBy('best.score', 'desc')
          .orderBy('best.number', 'desc')
          .limit(parameter('limit'))
      },
    ),
  }
}
