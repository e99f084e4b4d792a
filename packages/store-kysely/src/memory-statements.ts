import type { Window } from '@keelson/core/stores'
import { type Kysely, type SqlBool, sql } from 'kysely'
import { type ReachKind, type ReachValues, within } from './columns.ts'
import type { Features } from './engine.ts'
import { type FilterValues, listedColumns, matchingNotes, summaryColumns } from './memory-search.ts'
import type { Database, NoteTable } from './schema.ts'
import { columnsOf, type Parameters, remembered, statement } from './statement.ts'

const noteColumns = [...summaryColumns, 'number', 'content'] as const
const insertedColumns = ['number', ...summaryColumns, 'content', 'base_path', 'path_number', 'search_text'] as const

export type SummaryRow = Pick<NoteTable, (typeof summaryColumns)[number]>
export type NoteRow = SummaryRow & { readonly number: number; readonly content: string }

interface PathValues extends ReachValues {
  path: string
}

export function memoryStatements(db: Kysely<Database>, { fullText, rowLocks }: Features) {
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
      .where(matchingNotes(shape, parameter))
      .orderBy('updated_at', 'desc')
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(parameter('limit'))
      .offset(parameter('offset'))

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
  }
}
