import { utf8Length } from '../../kernel/text.ts'
import { noteErrors } from './contract.ts'
import { checkPath } from './note-path.ts'
import type { NotePatch } from './store.ts'

const longestTitle = 200
const contentBytes = 262_144
const mostTags = 32
const longestTag = 64

const invalid = (message: string) => noteErrors.NOTE_INVALID({ message })

/** Checks the fields that are there and gives them as they are stored. Throws a `NOTE_...` error. */
export function checkFields(fields: NotePatch): NotePatch {
  const { content, due, parentPath, priority, reminder, status, tags, title, type } = fields
  const checked: { -readonly [Key in keyof NotePatch]: NotePatch[Key] } = {}
  if (title !== undefined) {
    checked.title = textOf(title, 'title').replace(/\s+/g, ' ').trim()
    if (checked.title === '' || checked.title.length > longestTitle) {
      throw invalid(`title must have 1 to ${longestTitle} characters`)
    }
  }
  if (content !== undefined) {
    checked.content = textOf(content, 'content')
    const bytes = utf8Length(checked.content)
    if (bytes > contentBytes) throw noteErrors.NOTE_TOO_LARGE({ details: { bytes, limit: contentBytes } })
  }
  if (type !== undefined) checked.type = wordOf(type, 'type')
  if (status !== undefined) checked.status = wordOf(status, 'status')
  if (tags !== undefined) checked.tags = checkTags(tags)
  if (priority !== undefined) {
    if (!Number.isInteger(priority) || priority < 0 || priority > 3) throw invalid('priority must be 0, 1, 2 or 3')
    checked.priority = priority
  }
  if (due !== undefined) checked.due = due === null ? null : checkDue(due)
  if (parentPath !== undefined) checked.parentPath = parentPath === null ? null : checkPath(parentPath)
  if (reminder !== undefined) {
    if (typeof reminder !== 'boolean') throw invalid('reminder must be true or false')
    checked.reminder = reminder
  }
  return checked
}

function textOf(value: string, what: string): string {
  if (typeof value !== 'string' || value.includes('\0'))
    throw invalid(`${what} must be a text without the character NUL`)
  return value.toWellFormed()
}

function wordOf(value: string, what: string): string {
  if (typeof value === 'string' && /^[a-z][a-z0-9_-]{0,31}$/.test(value)) return value
  throw invalid(`${what} must be a word of at most 32 lower-case letters, digits, "_" and "-"`)
}

function checkTags(tags: readonly string[]): readonly string[] {
  const problem = `tags must be at most ${mostTags} texts of 1 to ${longestTag} characters`
  if (!Array.isArray(tags)) throw invalid(problem)
  const distinct = new Set<string>()
  for (const tag of tags) {
    const name = textOf(tag, 'a tag').trim()
    if (name === '' || name.length > longestTag) throw invalid(problem)
    distinct.add(name)
    if (distinct.size > mostTags) throw invalid(problem)
  }
  return [...distinct]
}

/** A date, or a date with a time, that exists. */
function checkDue(due: string): string {
  const pattern = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/
  const sound = typeof due === 'string' && pattern.test(due) && isDay(due.slice(0, 10)) && !Number.isNaN(timeOf(due))
  if (!sound) throw invalid('due must be a date or a date with a time as ISO 8601 has them, e.g. 2026-11-23T09:00:00Z')
  return due
}

const isDay = (day: string): boolean => {
  const time = Date.parse(`${day}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day)
}

/** Dates of Python's making have six digits of a second and may have an offset without a colon. */
const timeOf = (due: string): number =>
  Date.parse(
    due
      .replace(' ', 'T')
      .replace(/(\.\d{3})\d+/, '$1')
      .replace(/([+-]\d{2})(\d{2})$/, '$1:$2'),
  )
