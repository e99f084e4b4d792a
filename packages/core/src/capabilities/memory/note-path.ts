import { foldText } from '../../kernel/search-words.ts'
import { noteErrors } from './contract.ts'
import { noteFolders } from './note.ts'

const longestPath = 512
const longestSlug = 80

const spelledOut: Readonly<Record<string, string>> = { ä: 'ae', ö: 'oe', ü: 'ue' }

/** A title as part of a path: lower-case ASCII, German umlauts spelled out, whatever else is no letter or digit a `-`. */
export function slugOf(title: string): string {
  const spelled = title
    .normalize('NFC')
    .toLowerCase()
    .replace(/[äöü]/g, (letter) => spelledOut[letter] ?? letter)
  const slug = foldText(spelled)
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, longestSlug)
    .replace(/^-+|-+$/g, '')
  return slug === '' ? 'untitled' : slug
}

/** Where a note goes unless that path is taken. */
export const pathOf = (type: string, title: string): string => `${noteFolders.get(type) ?? 'notes'}/${slugOf(title)}`

/** A path as a caller may write it. Throws `NOTE_PATH_INVALID`. */
export function checkPath(path: string): string {
  const sound =
    typeof path === 'string' &&
    path.length <= longestPath &&
    /^[\p{L}\p{N}_.-]+(?:\/[\p{L}\p{N}_.-]+)*$/u.test(path) &&
    !path.split('/').some((segment) => /^\.+$/.test(segment))
  if (!sound) throw noteErrors.NOTE_PATH_INVALID()
  return path
}
