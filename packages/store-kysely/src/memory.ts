import { hash } from 'node:crypto'
import {
  foldText,
  type MemoryStore,
  type NewNote,
  type Note,
  type NoteFilter,
  type NoteSummary,
  type Owner,
  type Reach,
  type SearchTerm,
  searchWords,
  type Window,
} from '@keelson/core/stores'
import type { Kysely } from 'kysely'
import { atLeastZero, type ReachValues, reachKind, reachValues, windowValues } from './columns.ts'
import { type Engine, run, type Work } from './engine.ts'
import { memorySearchStatements, noteShape, notesPerOwner } from './memory-search.ts'
import { memoryStatements, type NoteRow, type SummaryRow } from './memory-statements.ts'
import type { Database, NoteTable } from './schema.ts'

/** How many notes are ranked for one that is recalled. */
const rankedPerRecalled = 4

/** Most notes may have a word that begins like this, and every one that does is ranked. */
const isBroad = ({ prefix, word }: SearchTerm): boolean => prefix && word.length <= 3

/** Whose documents a reach leaves, as an index may know it: names may be longer than what it holds. */
const scopeOf = ({ tenant, subject }: Reach): string => hash('sha256', JSON.stringify([tenant, subject])).slice(0, 32)

const scopesOf = ({ tenant, subject }: Owner): readonly string[] => [
  scopeOf({ tenant, subject: null }),
  scopeOf({ tenant, subject }),
]

const summaryOf = (row: SummaryRow): NoteSummary => ({
  id: row.id,
  tenant: row.tenant,
  subject: row.subject,
  path: row.path,
  title: row.title,
  type: row.type,
  status: row.status,
  tags: JSON.parse(row.tags) as string[],
  priority: row.priority,
  due: row.due,
  parentPath: row.parent_path,
  reminder: row.reminder === 1,
  createdAt: row.created_at,
  updatedAt: row.updated_at === 0 ? null : row.updated_at,
})

const noteOf = (row: NoteRow): Note => ({ ...summaryOf(row), content: row.content })

type TextFields = Pick<Note, 'path' | 'title' | 'tags' | 'content'>

const searchText = ({ path, tags, title }: Omit<TextFields, 'content'>): string =>
  foldText([title, path, ...tags].join('\n'))

type InsertValues = Omit<NoteTable, 'number' | 'path' | 'base_path' | 'path_number' | 'search_text'>

const insertValues = (owner: Owner, note: NewNote): InsertValues => ({
  id: note.id,
  tenant: owner.tenant,
  subject: owner.subject,
  title: note.title,
  type: note.type,
  status: note.status,
  tags: JSON.stringify(note.tags),
  priority: note.priority,
  due: note.due,
  parent_path: note.parentPath,
  reminder: note.reminder ? 1 : 0,
  created_at: note.createdAt,
  updated_at: 0,
  content: note.content,
})

export function createMemoryStore(db: Kysely<Database>, engine: Engine): MemoryStore {
  const { fullText } = engine.features
  const sql = { ...memoryStatements(db, engine.features), ...memorySearchStatements(db, fullText) }

  /** Titles are words of their own: a title's last word and the content's first are not next to each other. */
  function* index(number: number, owner: Owner, { content, tags, title }: TextFields): Work<void> {
    const terms = fullText.terms(searchWords(`${title}\n${tags.join('\n')}\n${content}`), scopesOf(owner))
    yield* run(sql.index, { number, terms })
  }

  const filterValues = (reach: Reach, window: Window, { parentPath, status, type }: NoteFilter) => ({
    ...reachValues(reach),
    ...windowValues(window),
    type: type ?? '',
    status: status ?? '',
    parentPath: parentPath ?? '',
  })

  const queryValues = (scope: Reach, terms: readonly SearchTerm[], match: 'all' | 'any') =>
    fullText.query({ terms, match, scope: scopeOf(scope) })

  return {
    async createNote(owner, note) {
      const row = await engine.transaction('write', function* () {
        const { tenant, subject } = owner
        // Holds the owner's row: whoever creates another note of theirs meanwhile waits, and then sees this one.
        const [counted] = yield* run(sql.count, { tenant, subject })
        const number = (counted?.serial ?? 0) * notesPerOwner + (counted?.last_note ?? 0)
        const [free] = yield* run(sql.freePath, { tenant, subject, path: note.path })
        const pathNumber = free?.number ?? 1
        const path = pathNumber === 1 ? note.path : `${note.path}-${pathNumber}`
        const [made] = yield* run(sql.insert, {
          ...insertValues(owner, note),
          number,
          path,
          base_path: note.path,
          path_number: pathNumber,
          search_text: searchText({ ...note, path }),
        })
        if (made === undefined) {
          const [there] = yield* run(sql.get('own'), { tenant, subject, id: note.id })
          return there ?? null
        }
        yield* index(number, owner, note)
        return made
      })
      return row && noteOf(row)
    },

    async note(reach, key) {
      const [row] =
        'id' in key
          ? await engine.query(sql.get(reachKind(reach)), { ...reachValues(reach), id: key.id })
          : await engine.query(sql.getByPath(reachKind(reach)), { ...reachValues(reach), path: key.path })
      return row === undefined ? null : noteOf(row)
    },

    async updateNote(reach, id, patch, at) {
      return await engine.transaction('write', function* () {
        const key: ReachValues & { id: string } = { ...reachValues(reach), id }
        const [row] = yield* run(sql.getToChange(reachKind(reach)), key)
        if (row === undefined) return null
        const before = noteOf(row)
        // Fields that are there and undefined are fields left out.
        const given = Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined))
        const note: Note = { ...before, ...given, updatedAt: at }
        const { number } = row
        yield* run(sql.update, {
          number,
          type: note.type,
          status: note.status,
          priority: note.priority,
          due: note.due,
          parentPath: note.parentPath,
          reminder: note.reminder ? 1 : 0,
          at,
        })
        if (patch.title === undefined && patch.tags === undefined && patch.content === undefined) return note
        const { content, title } = note
        yield* run(sql.updateText, {
          number,
          title,
          tags: JSON.stringify(note.tags),
          content,
          searchText: searchText(note),
        })
        yield* run(sql.unindex, { number })
        yield* index(number, note, note)
        return note
      })
    },

    async notes(reach, window, filter = {}) {
      const rows = await engine.query(sql.list(noteShape(reach, filter)), filterValues(reach, window, filter))
      return rows.map(summaryOf)
    },

    async topics(reach, window) {
      const rows = await engine.query(sql.topics(reachKind(reach)), { ...reachValues(reach), ...windowValues(window) })
      return rows.map((row) => ({ ...summaryOf(row), notes: row.notes }))
    },

    async searchNotes(reach, terms, window, filter = {}) {
      if (terms.length === 0) return []
      const values = { ...filterValues(reach, window, filter), ...queryValues(reach, terms, 'all') }
      const statement = sql.search(noteShape(reach, filter))
      const found = terms.some(isBroad) ? engine.queryAside(statement, values) : engine.query(statement, values)
      return (await found).map(summaryOf)
    },

    async notesContaining(reach, text, window, filter = {}) {
      const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`
      const values = { ...filterValues(reach, window, filter), pattern }
      return (await engine.queryAside(sql.containing(noteShape(reach, filter)), values)).map(summaryOf)
    },

    async recallNotes(owner, terms, { limit, characters }) {
      if (terms.length === 0) return []
      const values = {
        tenant: owner.tenant,
        subject: owner.subject,
        ...queryValues(owner, terms, 'any'),
        limit: atLeastZero(limit),
        ranked: atLeastZero(limit * rankedPerRecalled),
        characters: atLeastZero(characters),
      }
      const rows = await engine.query(sql.recall, values)
      return rows.map(({ cut, path, title, content, score }) => ({
        path,
        title,
        content,
        cut: Number(cut) === 1,
        score: Number(score),
      }))
    },
  }
}
