import { foldText } from '../../kernel/search-words.ts'
import { findDate } from './note-dates.ts'

/** What somebody who writes a note down says in passing. */
export interface NoteHints {
  readonly tags: readonly string[]
  readonly due: string | null
  readonly reminder: boolean
  /** It is something to do. */
  readonly task: boolean
}

/** Hints stand at the front; a document is not read to its end for them. */
const longestRead = 4_000
const mostTags = 32
const longestTitle = 120

const todo = /^\s*(?:[-*]\s*)?(?:\[ ?\]\s*|(?:to-?do|aufgabe)(?![\p{L}\p{N}])\s*[:-]?\s*)/iu
const remind = /(?<![\p{L}\p{N}])(?:remind me|reminder|erinnere? mich|erinnerung)(?![\p{L}\p{N}])/u
const tag = /(?<![^\s(,;])#(\p{L}[\p{L}\p{N}_-]{0,63})/gu

/** Reads `#tags`, a `TODO` at the start, dates (also German ones) and `remind me` out of a text. */
export function readHints(text: string, now: number, timeZone: string): NoteHints {
  const start = text.slice(0, longestRead)
  const folded = foldText(start)
  const date = findDate(folded, now, timeZone)
  const tags = new Set<string>()
  for (const [, name = ''] of start.matchAll(tag)) {
    if (tags.size < mostTags) tags.add(name.toLowerCase())
  }
  const asked = remind.test(folded)
  return {
    tags: [...tags],
    due: date?.due ?? null,
    reminder: asked || date?.timed === true,
    task: todo.test(start) || asked || date !== null,
  }
}

/** The first line that says something, without marks of headings, lists and tasks; empty when there is none. */
export function titleOf(content: string): string {
  for (const line of content.slice(0, longestRead).split('\n')) {
    const text = line
      .replace(todo, '')
      .replace(/^\s*(?:#{1,6}\s+|[-*>]\s+)+/, '')
      .replace(/\s+/g, ' ')
      .trim()
    if (text === '') continue
    return text.length <= longestTitle ? text : `${text.slice(0, longestTitle - 1).trimEnd()}…`.toWellFormed()
  }
  return ''
}
