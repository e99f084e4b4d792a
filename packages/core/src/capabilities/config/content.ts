import { canonicalJson, sha256 } from '../../kernel/canonical.ts'
import type { Json, JsonObject } from '../../kernel/json.ts'
import { type ConfigDifference, type ConfigPatch, configErrors } from './contract.ts'
import { type ConfigContent, emptyContent } from './section.ts'
import type { StoredContent } from './store.ts'

/** The format that this code writes, and the newest that it reads. */
const format = 1
const mostCharacters = 4_194_304
const deepest = 64

/** A name that every object has already would be found where nothing was set. */
const isName = (name: string): boolean =>
  name !== '' && name.length <= 256 && !name.includes('\0') && !(name in Object.prototype)

const refuse = (problem: string) => configErrors.CONFIG_PATCH_INVALID({ message: problem })

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a patch is after it was JSON: nothing in it is shared with the caller. Throws `CONFIG_PATCH_INVALID`. */
export function checkPatch(patch: unknown): ConfigPatch {
  if (!isObject(patch)) throw configErrors.CONFIG_PATCH_INVALID()
  const checked: Record<string, Record<string, JsonObject | null>> = {}
  for (const [section, entries] of Object.entries(patch)) {
    if (!isName(section)) throw refuse(`${JSON.stringify(section.slice(0, 64))} is no name of a section`)
    if (!isObject(entries)) throw refuse(`section ${section} must be an object of entries`)
    const own: Record<string, JsonObject | null> = {}
    for (const [id, entry] of Object.entries(entries)) {
      if (!isName(id)) throw refuse(`section ${section}: ${JSON.stringify(id.slice(0, 64))} is no id`)
      if (entry !== null && !isObject(entry)) throw refuse(`${section}/${id} must be a JSON object, or null`)
      own[id] = entry === null ? null : (plain(entry, `${section}/${id}`, deepest) as JsonObject)
    }
    checked[section] = own
  }
  return checked
}

/** A deep, frozen copy of JSON. Members that are undefined are left out. */
function plain(value: unknown, where: string, depth: number): Json {
  if (typeof value === 'string') return value.toWellFormed()
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (depth === 0) throw refuse(`${where} is nested too deeply`)
  if (Array.isArray(value)) return Object.freeze(value.map((item) => plain(item, where, depth - 1)))
  const prototype: unknown = isObject(value) ? Object.getPrototypeOf(value) : undefined
  if (isObject(value) && (prototype === Object.prototype || prototype === null)) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined)
    return Object.freeze(Object.fromEntries(members.map(([key, member]) => [key, plain(member, where, depth - 1)])))
  }
  throw refuse(`${where} holds what is not JSON`)
}

/** The content with the patch laid over it. A section without entries is left out. */
export function patched(content: ConfigContent, patch: ConfigPatch): ConfigContent {
  const next: Record<string, ConfigContent[string]> = { ...content }
  for (const [section, entries] of Object.entries(patch)) {
    const merged = { ...next[section], ...entries }
    const kept = Object.entries(merged).filter((entry): entry is [string, JsonObject] => entry[1] !== null)
    if (kept.length === 0) delete next[section]
    else next[section] = Object.freeze(Object.fromEntries(kept))
  }
  return Object.freeze(next)
}

/** Throws `CONFIG_TOO_LARGE`. */
export function encoded(content: ConfigContent): StoredContent {
  const text = canonicalJson(content)
  if (text.length > mostCharacters) {
    throw configErrors.CONFIG_TOO_LARGE({ details: { characters: text.length, limit: mostCharacters } })
  }
  return { hash: sha256(text), format, content: text }
}

/**
 * A stored content, frozen. Throws `CONFIG_TOO_NEW` when this code cannot know what it means, and `CONFIG_DAMAGED` when
 * it is not what was stored.
 */
export function decoded(stored: StoredContent, sections: ReadonlySet<string>): ConfigContent {
  if (stored.format > format) throw configErrors.CONFIG_TOO_NEW({ details: { format: stored.format, known: format } })
  if (sha256(stored.content) !== stored.hash) throw configErrors.CONFIG_DAMAGED()
  const content = frozen(JSON.parse(stored.content) as ConfigContent)
  const unknown = Object.keys(content).filter((section) => !sections.has(section))
  if (unknown.length > 0) throw configErrors.CONFIG_TOO_NEW({ details: { sections: unknown } })
  return Object.keys(content).length === 0 ? emptyContent : content
}

function frozen<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const member of Object.values(value)) frozen(member)
  return Object.freeze(value)
}

/** What differs, by section and id. */
export function differences(from: ConfigContent, to: ConfigContent): ConfigDifference[] {
  const found: ConfigDifference[] = []
  for (const section of namesOf(from, to)) {
    const [before = {}, after = {}] = [from[section], to[section]]
    if (before === after) continue
    for (const id of namesOf(before, after)) {
      const [old = null, now = null] = [before[id], after[id]]
      if (old === null) found.push({ section, id, kind: 'added', from: null, to: now })
      else if (now === null) found.push({ section, id, kind: 'removed', from: old, to: null })
      else if (canonicalJson(old) !== canonicalJson(now)) {
        found.push({ section, id, kind: 'changed', from: old, to: now })
      }
    }
  }
  return found
}

const namesOf = (one: object, other: object): string[] =>
  [...new Set([...Object.keys(one), ...Object.keys(other)])].sort()
