import { operation } from '../../contract/operation.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Page } from '../../kernel/pages.ts'
import type { Note, NoteSummary, Topic } from './note.ts'
import type { NoteFilter, NotePatch } from './store.ts'

export const noteErrors = defineErrors({
  NOTE_NOT_FOUND: { kind: 'not_found', message: 'no such note' },
  NOTE_INVALID: { kind: 'bad_request', message: 'the note cannot be stored like this' },
  NOTE_TOO_LARGE: { kind: 'too_large', message: 'the note is too large' },
  NOTE_PATH_INVALID: {
    kind: 'bad_request',
    message: 'a path of a note has at most 512 letters, digits, "_", "-", "." and "/", and no "..", "//" or encoding',
  },
  NOTE_QUERY_INVALID: { kind: 'bad_request', message: 'a search takes a text of at most 1024 characters' },
})

/** Which note: an id within the caller's reach, or a path; of an operator's own notes first. */
export type NoteKey = { readonly id: string } | { readonly path: string }

export interface CreateNote {
  /** Made by the caller: the same id again gives the note that is there. @default a new one */
  readonly id?: string
  /** @default the first line of the content */
  readonly title?: string
  /** Markdown, at most 262,144 bytes. */
  readonly content?: string
  /** @default 'note' */
  readonly type?: string
  /** @default 'active'; 'open' for what `parse` takes for a task */
  readonly status?: string
  readonly tags?: readonly string[]
  /** 0 to 3. @default 0 */
  readonly priority?: number
  readonly due?: string | null
  /** @default 'tasks' with a date or a reminder, else 'notes' */
  readonly parentPath?: string | null
  readonly reminder?: boolean
  /** Reads tags, dates and reminders out of title and content; what is given wins. @default false */
  readonly parse?: boolean
  /** IANA name of the zone that `parse` understands hours and days in. @default 'UTC' */
  readonly timeZone?: string
}

/** `limit` is 1,000 at most. */
export interface SearchNotes extends NoteFilter, Page {
  readonly query: string
}

const read = { auth: 'caller', effect: 'read' } as const
const write = { auth: 'caller', effect: 'write' } as const

export const noteOperations = {
  /** Stores a note of the caller's own. */
  create: operation<CreateNote, Note>({ ...write, errors: ['NOTE_INVALID', 'NOTE_TOO_LARGE', 'NOTE_PATH_INVALID'] }),
  /** One note, with its content. */
  get: operation<NoteKey, Note>({ ...read, errors: ['NOTE_NOT_FOUND', 'NOTE_PATH_INVALID'] }),
  /** Fields left out stay as they are; the path stays in any case. */
  update: operation<NoteKey & NotePatch, Note>({
    ...write,
    errors: ['NOTE_NOT_FOUND', 'NOTE_INVALID', 'NOTE_TOO_LARGE', 'NOTE_PATH_INVALID'],
  }),
  /** Sets the status `archived`: found by search, not recalled into turns. */
  archive: operation<NoteKey, Note>({ ...write, errors: ['NOTE_NOT_FOUND', 'NOTE_PATH_INVALID'] }),
  /** Last edited first, then those never edited, newest first. At most 1,000. */
  list: operation<(Page & NoteFilter) | undefined, NoteSummary[]>({ ...read, errors: [] }),
  /** Topics that are not archived, by title. At most 1,000. */
  topics: operation<Page | undefined, Topic[]>({ ...read, errors: [] }),
  /**
   * Notes with every word of the query in title, content or tags, each as a word or its beginning, best first; when there
   * is none, those whose title, path or tags contain the query, last edited first. Nothing in a query is an operator.
   */
  search: operation<SearchNotes, NoteSummary[]>({ ...read, errors: ['NOTE_QUERY_INVALID'] }),
}
