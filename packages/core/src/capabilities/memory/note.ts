/** A note without its text. */
export interface NoteSummary {
  readonly id: string
  readonly tenant: string
  readonly subject: string
  /** `folder/slug`, made of type and title; the owner's other notes have other paths. Never changes. */
  readonly path: string
  readonly title: string
  /** `note`, `task`, `topic`, `document`, `decision`, `reference`, `fact`, `journal`, or a word of the caller's. */
  readonly type: string
  /** `active`, `open`, `in-progress`, `done`, `archived`, or a word of the caller's. */
  readonly status: string
  readonly tags: readonly string[]
  /** 0 to 3. */
  readonly priority: number
  /** ISO 8601: a date, or a date with a time. */
  readonly due: string | null
  /** Path of the topic it is filed under; `tasks` or `notes` when it is not. */
  readonly parentPath: string | null
  /** True when its owner wants to be reminded when it is due. */
  readonly reminder: boolean
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** Null until it is edited. */
  readonly updatedAt: number | null
}

export interface Note extends NoteSummary {
  /** Markdown. */
  readonly content: string
}

/** A topic, and how many notes that are not archived are filed under it. */
export interface Topic extends NoteSummary {
  readonly notes: number
}

/** Where notes of a type are kept; other types are kept with plain notes. */
export const noteFolders: ReadonlyMap<string, string> = new Map([
  ['note', 'notes'],
  ['task', 'tasks'],
  ['decision', 'decisions'],
  ['reference', 'references'],
  ['fact', 'facts'],
  ['journal', 'journal'],
  ['topic', 'topics'],
])
