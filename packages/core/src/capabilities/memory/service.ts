import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { isOperator, type Owner, ownerOf, type Principal, type Reach, reachOf } from '../../kernel/context.ts'
import type { NewId } from '../../kernel/ids.ts'
import { paged, type Window } from '../../kernel/pages.ts'
import { foldText, searchWords } from '../../kernel/search-words.ts'
import { checkFields } from './check-note.ts'
import { type CreateNote, type NoteKey, noteErrors, type noteOperations } from './contract.ts'
import type { Note } from './note.ts'
import { checkPath, pathOf } from './note-path.ts'
import { readHints, titleOf } from './note-text.ts'
import { compose, mostRecalled, type Recalled, type RecallOptions, termsOf } from './recall.ts'
import type { MemoryStore, NewNote, NoteFilter, NotePatch } from './store.ts'

const longestQuery = 1_024
const mostQueryWords = 32
const mostListed = 1_000
const defaultRecallTokens = 1_000

export interface MemoryDependencies {
  readonly store: MemoryStore
  readonly clock: Clock
  readonly newId: NewId
}

export interface Memory {
  readonly notes: Implementation<typeof noteOperations>
  /** What bears on a message to an agent. One query. */
  recall(owner: Owner, message: string, options: RecallOptions): Promise<Recalled | null>
}

export function createMemory({ store, clock, newId }: MemoryDependencies): Memory {
  /** An operator has notes like anybody else: of two under one path these are meant. */
  async function find(principal: Principal, key: NoteKey): Promise<Note> {
    const reach = reachOf(principal)
    const note =
      'id' in key && key.id !== undefined
        ? await store.note(reach, { id: checkId(key.id) })
        : await byPath(principal, reach, checkPath((key as { path: string }).path))
    if (!note) throw noteErrors.NOTE_NOT_FOUND()
    return note
  }

  async function byPath(principal: Principal, reach: Reach, path: string): Promise<Note | null> {
    const own = await store.note(ownerOf(principal), { path })
    return own === null && isOperator(principal) ? await store.note(reach, { path }) : own
  }

  /** One statement where the key names one row; a path may stand for a note of somebody else. */
  async function change(principal: Principal, key: NoteKey, patch: NotePatch): Promise<Note> {
    const reach = reachOf(principal)
    const id = 'id' in key && key.id !== undefined ? checkId(key.id) : (await find(principal, key)).id
    const note = await store.updateNote(reach, id, patch, clock.now())
    if (!note) throw noteErrors.NOTE_NOT_FOUND()
    return note
  }

  return {
    notes: {
      async create({ principal }, input) {
        const note = await store.createNote(ownerOf(principal), newNote(input, clock.now(), newId))
        if (!note) throw noteErrors.NOTE_INVALID({ message: 'the id belongs to another note' })
        return note
      },

      get: ({ principal }, key) => find(principal, key),

      update({ principal }, { id, path, ...patch }: { id?: string; path?: string } & NotePatch) {
        return change(principal, keyOf(id, path), checkFields(patch))
      },

      archive: ({ principal }, key) => change(principal, key, { status: 'archived' }),

      list({ principal }, input) {
        const { window, filter } = paged(input)
        return store.notes(reachOf(principal), bounded(window), filterOf(filter))
      },

      topics: ({ principal }, page) => store.topics(reachOf(principal), bounded(paged(page).window)),

      async search({ principal }, { query, ...input }) {
        if (typeof query !== 'string' || query.length > longestQuery) throw noteErrors.NOTE_QUERY_INVALID()
        const { window: wanted, filter: given } = paged(input)
        const [reach, window, filter] = [reachOf(principal), bounded(wanted), filterOf(given)]
        const words = new Set(searchWords(query).slice(0, mostQueryWords))
        if (words.size > 0) {
          const terms = [...words].map((word) => ({ word, prefix: true }))
          const found = await store.searchNotes(reach, terms, window, filter)
          // Beyond the last page there is nothing either, but that does not mean that nothing was found.
          if (found.length > 0 || window.offset > 0) return found
        }
        const text = foldText(query.toWellFormed().replaceAll('\0', '')).replace(/\s+/g, ' ').trim()
        return text === '' ? [] : await store.notesContaining(reach, text, window, filter)
      },
    },

    async recall(owner, message, { notes, tokens = defaultRecallTokens }) {
      const terms = notes ? termsOf(message) : []
      if (terms.length === 0) return null
      // Of no note more is used than fits, whatever its characters are.
      return compose(await store.recallNotes(owner, terms, { limit: mostRecalled, characters: tokens * 4 }), tokens)
    },
  }
}

const keyOf = (id: string | undefined, path: string | undefined): NoteKey =>
  id === undefined ? { path: path ?? '' } : { id }

function checkId(id: string): string {
  if (typeof id === 'string' && id.length >= 1 && id.length <= 128 && !id.includes('\0')) return id
  throw noteErrors.NOTE_INVALID({ message: 'an id has 1 to 128 characters' })
}

const bounded = ({ limit, offset }: Window): Window => ({ limit: Math.min(limit, mostListed), offset })

/** Without the keys that are there and undefined: they would be taken for a filter. */
function filterOf({ type, status, parentPath }: NoteFilter): NoteFilter {
  return {
    ...(type === undefined ? {} : { type }),
    ...(status === undefined ? {} : { status }),
    ...(parentPath === undefined ? {} : { parentPath }),
  }
}

function newNote(input: CreateNote, now: number, newId: NewId): NewNote {
  const { id, parse = false, timeZone = 'UTC', ...given } = input
  const content = given.content ?? ''
  const title = given.title ?? (typeof content === 'string' ? titleOf(content) : '')
  // Checked first: what comes next reads them as texts.
  checkFields({ ...given, content, title })
  const hints = parse ? readHints(`${given.title === undefined ? '' : `${title}\n`}${content}`, now, timeZone) : null
  const due = given.due === undefined ? (hints?.due ?? null) : given.due
  const reminder = given.reminder ?? hints?.reminder ?? false
  const type = given.type ?? (hints?.task ? 'task' : 'note')
  const fields = checkFields({
    title,
    content,
    type,
    status: given.status ?? (hints?.task && type === 'task' ? 'open' : 'active'),
    tags: [...(given.tags ?? hints?.tags ?? [])],
    priority: given.priority ?? 0,
    due,
    reminder,
    parentPath: given.parentPath === undefined ? (due !== null || reminder ? 'tasks' : 'notes') : given.parentPath,
  }) as Required<NotePatch>
  return { ...fields, id: id === undefined ? newId() : checkId(id), path: pathOf(type, fields.title), createdAt: now }
}
