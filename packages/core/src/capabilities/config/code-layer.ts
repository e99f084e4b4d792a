import { canonicalJson, sha256 } from '../../kernel/canonical.ts'
import type { ConfigSection } from './section.ts'
import type { CodeLayer } from './store.ts'

/** What the code of this process defines, section by section, as hashes. */
export function codeLayerOf(sections: readonly ConfigSection[]): CodeLayer {
  const hashes: Record<string, string> = {}
  for (const { name, code } of sections) {
    for (const [id, definition] of Object.entries(code?.() ?? {})) {
      hashes[`${name}/${id}`] = sha256(canonicalJson(definition))
    }
  }
  const definitions = canonicalJson(hashes)
  return { hash: sha256(definitions), definitions }
}

/** The names of what was added, changed or removed between two code layers. */
export function codeChanges(from: string, to: string): string[] {
  const [before, after] = [from, to].map((text) => JSON.parse(text) as Record<string, string>)
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])
  return [...names].filter((name) => before?.[name] !== after?.[name]).sort()
}
