import type { Owner, Reach } from '../../kernel/context.ts'
import type { Window } from '../../kernel/pages.ts'
import type { Note, NoteSummary, Topic } from './note.ts'

/** A note to be stored. `path` is where it goes unless that is taken. */
export type NewNote = Omit<Note, 'tenant' | 'subject' | 'updatedAt'>

/** Fields left out stay as they are. */
export type NotePatch = Partial<
  Pick<Note, 'title' | 'content' | 'type' | 'status' | 'tags' | 'priority' | 'due' | 'parentPath' | 'reminder'>
>

export interface NoteFilter {
  readonly type?: string
  readonly status?: string
  readonly parentPath?: string
}

/** A word of `searchWords`; with `prefix` every word that begins with it matches too. */
export interface SearchTerm {
  readonly word: string
  readonly prefix: boolean
}

/** What a turn is told of a note. */
export interface RecalledNote {
  readonly path: string
  readonly title: string
  readonly content: string
  /** True when the content goes on. */
  readonly cut: boolean
  /** How well it matches: comparable within one answer only. */
  readonly score: number
}

/**
 * What is remembered beyond a session. Every method looks only at rows within `reach`; a row outside it does not exist.
 * The words of a note are searchable as soon as it is stored, and those of its last version alone: one transaction.
 */
export interface MemoryStore {
  /**
   * Stores a note under `path`, or under the next of `path-2`, `path-3` ... when the owner has one there. Atomic: of
   * creators who race each gets a path of its own. A note of the owner with this id is given back as it is; null when
   * the id is somebody else's.
   */
  createNote(owner: Owner, note: NewNote): Promise<Note | null>

  /** By id, or by path. Where several subjects within the reach have the path, the oldest of their notes. */
  note(reach: Reach, key: { readonly id: string } | { readonly path: string }): Promise<Note | null>

  /** Null when there is no such note. Atomic. */
  updateNote(reach: Reach, id: string, patch: NotePatch, at: number): Promise<Note | null>

  /** Last edited first, those never edited last; ties newest created first, then by id downwards. One query. */
  notes(reach: Reach, window: Window, filter?: NoteFilter): Promise<NoteSummary[]>

  /** Notes of type `topic` that are not archived, by title. One query. */
  topics(reach: Reach, window: Window): Promise<Topic[]>

  /**
   * Notes with all of the terms in title, content or tags, best first; ties newest stored first. None without a term.
   * Which notes are found is the same on every engine; which of two is better may not be, unless one has a term more often in
   * as many words, or as often in fewer. One query.
   */
  searchNotes(reach: Reach, terms: readonly SearchTerm[], window: Window, filter?: NoteFilter): Promise<NoteSummary[]>

  /** Notes whose folded title, path or tags contain a folded text as it is, ordered as `notes`. One query. */
  notesContaining(reach: Reach, text: string, window: Window, filter?: NoteFilter): Promise<NoteSummary[]>

  /**
   * Notes with any of the terms that are not archived, best first; content cut to `characters`. None without a term. Fewer
   * than there are where most of the best ones are archived. One query.
   */
  recallNotes(
    owner: Owner,
    terms: readonly SearchTerm[],
    bounds: { readonly limit: number; readonly characters: number },
  ): Promise<RecalledNote[]>
}
