import type { NoteFilter, Reach, Window } from '@keelson/core/stores'
import { type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely'
import { type ReachKind, type ReachValues, reachKind, within } from './columns.ts'
import type { Features } from './engine.ts'
import type { Database, NoteTable } from './schema.ts'
import { columnsOf, type Parameters, remembered, statement } from './statement.ts'

const summaryColumns = [
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

const noteColumns = [...summaryColumns, 'number', 'content'] as const
const insertedColumns = [...summaryColumns, 'content', 'base_path', 'path_number', 'search_text'] as const
const listedColumns = summaryColumns.map((column) => `notes.${column}` as const)

export type SummaryRow = Pick<NoteTable, (typeof summaryColumns)[number]>
export type NoteRow = SummaryRow & { readonly number: number; readonly content: string }

interface FilterValues extends ReachValues, Window {
  type: string
  status: string
  parentPath: string
}

interface SearchValues {
  match: string
  rank: string
}

interface PathValues extends ReachValues {
  path: string
}

const filters = ['type', 'status', 'parentPath'] as const

/** The kind of reach and the filters given, parted by spaces: one statement for each. */
export const noteShape = (reach: Reach, filter: NoteFilter): string =>
  [reachKind(reach), ...filters.filter((name) => filter[name] !== undefined)].join(' ')

export function memoryStatements(db: Kysely<Database>, { fullText, rowLocks }: Features) {
  /** The notes of a shape. */
  const matching = (shape: string, parameter: Parameters<FilterValues>): RawBuilder<SqlBool> => {
    const [kind, ...given] = shape.split(' ')
    const conditions = [within('notes', kind === 'tenant' ? 'tenant' : 'own', parameter)]
    if (given.includes('type')) conditions.push(sql`${sql.ref('notes.type')} = ${parameter('type')}`)
    if (given.includes('status')) conditions.push(sql`${sql.ref('notes.status')} = ${parameter('status')}`)
    if (given.includes('parentPath')) {
      conditions.push(sql`${sql.ref('notes.parent_path')} = ${parameter('parentPath')}`)
    }
    return sql.join(conditions, sql` and `)
  }

  const get = (kind: ReachKind, parameter: Parameters<ReachValues & { id: string }>) =>
    db
      .selectFrom('notes')
      .select(noteColumns)
      .where('id', '=', parameter('id'))
      .where(within('notes', kind, parameter))

  const listed = (shape: string, parameter: Parameters<FilterValues>) =>
    db
      .selectFrom('notes')
      .select(summaryColumns)
      .where(matching(shape, parameter))
      .orderBy('updated_at', 'desc')
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(parameter('limit'))
      .offset(parameter('offset'))

  /** The index first, whatever an engine thinks of it: from the notes' side every note would be looked at. */
  const found = (parameter: Parameters<SearchValues>) =>
    db
      .selectFrom('note_words')
      .crossJoin('notes')
      .whereRef('notes.number', '=', 'note_words.rowid')
      .where(fullText.matches('note_words', parameter('match')))

  const score = (parameter: Parameters<SearchValues>) => fullText.score('note_words', parameter('rank'))

  return {
    get: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { id: string }>) => get(kind, parameter)),
    ),

    getToChange: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & { id: string }>) =>
        rowLocks ? get(kind, parameter).forUpdate() : get(kind, parameter),
      ),
    ),

    getByPath: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<PathValues>) =>
        db
          .selectFrom('notes')
          .select(noteColumns)
          .where('path', '=', parameter('path'))
          .where(within('notes', kind, parameter))
          .orderBy('created_at')
          .orderBy('id')
          .limit(1),
      ),
    ),

    /**
     * The number after the highest one given, and from there on the first whose path is free: a title may itself end in
     * a number.
     */
    freeNumber: statement((parameter: Parameters<PathValues>) =>
      db
        .withRecursive('candidate', (query) =>
          query
            .selectNoFrom((row) =>
              sql<number>`coalesce(${row
                .selectFrom('notes')
                .select(({ fn }) => fn.max('path_number').as('highest'))
                .where('tenant', '=', parameter('tenant'))
                .where('subject', '=', parameter('subject'))
                .where('base_path', '=', parameter('path'))}, 0) + 1`.as('number'),
            )
            .unionAll((row) =>
              row
                .selectFrom('candidate')
                .select(sql<number>`${sql.ref('candidate.number')} + 1`.as('number'))
                .where(({ exists, selectFrom }) =>
                  exists(
                    selectFrom('notes')
                      .select('notes.number')
                      .where('tenant', '=', parameter('tenant'))
                      .where('subject', '=', parameter('subject'))
                      .where(
                        'path',
                        '=',
                        sql<string>`case ${sql.ref('candidate.number')} when 1 then ${parameter('path')}
                          else ${parameter('path')} || '-' || cast(${sql.ref('candidate.number')} as text) end`,
                      ),
                  ),
                ),
            ),
        )
        .selectFrom('candidate')
        .select(({ fn }) => fn.max<number>('candidate.number').as('number')),
    ),

    insert: statement((parameter: Parameters<Omit<NoteTable, 'number'>>) =>
      db
        .insertInto('notes')
        .values(columnsOf(parameter, insertedColumns))
        .onConflict((conflict) => conflict.column('id').doNothing())
        .returning(noteColumns),
    ),

    index: statement((parameter: Parameters<{ number: number; terms: string }>) =>
      db.insertInto('note_words').values({ rowid: parameter('number'), terms: fullText.stored(parameter('terms')) }),
    ),

    unindex: statement((parameter: Parameters<{ number: number }>) =>
      db.deleteFrom('note_words').where('rowid', '=', parameter('number')),
    ),

    /** Under the lock of `getToChange`. */
    update: statement(
      (
        parameter: Parameters<{
          number: number
          type: string
          status: string
          priority: number
          due: string | null
          parentPath: string | null
          reminder: number
          at: number
        }>,
      ) =>
        db
          .updateTable('notes')
          .set({
            type: parameter('type'),
            status: parameter('status'),
            priority: parameter('priority'),
            due: parameter('due'),
            parent_path: parameter('parentPath'),
            reminder: parameter('reminder'),
            updated_at: parameter('at'),
          })
          .where('number', '=', parameter('number')),
    ),

    updateText: statement(
      (parameter: Parameters<{ number: number; title: string; tags: string; content: string; searchText: string }>) =>
        db
          .updateTable('notes')
          .set({
            title: parameter('title'),
            tags: parameter('tags'),
            content: parameter('content'),
            search_text: parameter('searchText'),
          })
          .where('number', '=', parameter('number')),
    ),

    list: remembered((shape: string) => statement((parameter: Parameters<FilterValues>) => listed(shape, parameter))),

    containing: remembered((shape: string) =>
      statement((parameter: Parameters<FilterValues & { pattern: string }>) =>
        listed(shape, parameter).where(sql<SqlBool>`search_text like ${parameter('pattern')} escape '\\'`),
      ),
    ),

    topics: remembered((kind: ReachKind) =>
      statement((parameter: Parameters<ReachValues & Window>) =>
        db
          .selectFrom('notes')
          .select(listedColumns)
          .select(({ selectFrom }) =>
            sql<number>`${selectFrom('notes as filed')
              .select(({ fn }) => fn.countAll<number>().as('count'))
              .whereRef('filed.tenant', '=', 'notes.tenant')
              .whereRef('filed.subject', '=', 'notes.subject')
              .whereRef('filed.parent_path', '=', 'notes.path')
              .where('filed.status', '<>', sql.lit('archived'))}`.as('notes'),
          )
          .where('notes.type', '=', sql.lit('topic'))
          .where('notes.status', '<>', sql.lit('archived'))
          .where(within('notes', kind, parameter))
          .orderBy('notes.title')
          .orderBy('notes.id')
          .limit(parameter('limit'))
          .offset(parameter('offset')),
      ),
    ),

    search: remembered((shape: string) =>
      statement((parameter: Parameters<FilterValues & SearchValues>) =>
        found(parameter)
          .select(listedColumns)
          .where(matching(shape, parameter))
          .orderBy(score(parameter), 'desc')
          .orderBy('notes.updated_at', 'desc')
          .orderBy('notes.created_at', 'desc')
          .orderBy('notes.id', 'desc')
          .limit(parameter('limit'))
          .offset(parameter('offset')),
      ),
    ),

    /** Ranked without the texts, which are then read of the best alone. */
    recall: statement((parameter: Parameters<ReachValues & SearchValues & { limit: number; characters: number }>) =>
      db
        .selectFrom(
          found(parameter)
            .select(['notes.number', score(parameter).as('score')])
            .where(within('notes', 'own', parameter))
            .where('notes.status', '<>', sql.lit('archived'))
            .orderBy('score', 'desc')
            .orderBy('notes.updated_at', 'desc')
            .orderBy('notes.created_at', 'desc')
            .orderBy('notes.id', 'desc')
            .limit(parameter('limit'))
            .as('best'),
        )
        .innerJoin('notes', 'notes.number', 'best.number')
        .select([
          'notes.path',
          'notes.title',
          sql<string>`substr(${sql.ref('notes.content')}, 1, ${parameter('characters')})`.as('content'),
          sql<number>`case when length(${sql.ref('notes.content')}) > ${parameter('characters')} then 1 else 0 end`.as(
            'cut',
          ),
          'best.score',
        ])
        .orderBy('best.score', 'desc')
        .orderBy('notes.updated_at', 'desc')
        .orderBy('notes.created_at', 'desc')
        .orderBy('notes.id', 'desc'),
    ),
  }
}
