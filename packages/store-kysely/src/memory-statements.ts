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

/** 67 million; it leaves room for 134 million owners within a safe integer. */
export const notesPerOwner = 2 ** 26

const noteColumns = [...summaryColumns, 'number', 'content'] as const
const insertedColumns = ['number', ...summaryColumns, 'content', 'base_path', 'path_number', 'search_text'] as const
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
    const given = shape.split(' ')
    const conditions = [within('notes', kindOf(shape), parameter)]
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

    /** Counts a new note of its owner, who gets a serial with the first one, and holds the row. */
    count: statement((parameter: Parameters<ReachValues>) =>
      db
        .insertInto('note_owners')
        .values({
          serial: sql<number>`${db
            .selectFrom('note_owners')
            .select(({ fn }) => sql<number>`coalesce(${fn.max('serial')}, 0) + 1`.as('next'))}`,
          tenant: parameter('tenant'),
          subject: parameter('subject'),
          last_note: 1,
        })
        .onConflict((conflict) =>
          conflict
            .columns(['tenant', 'subject'])
            .doUpdateSet({ last_note: sql<number>`${sql.ref('note_owners.last_note')} + 1` }),
        )
        .returning(['serial', 'last_note']),
    ),

    /**
     * The number after the highest one given, and from there on the first whose path is free: a title may itself end in
     * a number.
     */
    freePath: statement((parameter: Parameters<PathValues>) =>
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

    insert: statement((parameter: Parameters<NoteTable>) =>
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

    /** Ranked by the index alone unless there is a filter; of the best, the rows are then read. */
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
                    .where(matching(shape, parameter)),
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
          .innerJoin('notes', 'notes.number', 'best.number')
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
          .innerJoin('notes', 'notes.number', 'best.number')
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

const kindOf = (shape: string): ReachKind => (shape.startsWith('tenant') ? 'tenant' : 'own')
