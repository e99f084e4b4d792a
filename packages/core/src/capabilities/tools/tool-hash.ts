import { canonicalJson, sha256 } from '../../kernel/canonical.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { Tool } from './tool.ts'

const known = new WeakMap<JsonObject, string>()

/** SHA-256 of the JSON Schema of a tool's arguments, hex: what a stored call was made for. Null of no tool. */
export function toolHash(tool: Pick<Tool, 'parameters'> | undefined): string | null {
  if (!tool) return null
  const { parameters } = tool
  const before = known.get(parameters)
  if (before !== undefined) return before
  const made = sha256(canonicalJson(parameters))
  known.set(parameters, made)
  return made
}
