import type { JsonObject } from '../../kernel/json.ts'

/** What OpenAI's strict mode understands of JSON Schema; with anything else it refuses the whole request. */
const understood: ReadonlySet<string> = new Set([
  '$defs',
  '$ref',
  'additionalProperties',
  'anyOf',
  'const',
  'description',
  'enum',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'items',
  'maxItems',
  'maximum',
  'minItems',
  'minimum',
  'multipleOf',
  'pattern',
  'properties',
  'required',
  'title',
  'type',
])

const deepest = 10
const mostProperties = 5_000

/**
 * True for a schema that strict mode takes as it is: every object names all its properties as required and no others.
 * It is never rewritten to fit: the answer is checked against the schema that was given.
 */
export function isStrict(schema: JsonObject): boolean {
  if (schema['type'] !== 'object') return false
  let properties = 0

  const allStrict = (schemas: unknown, depth: number): boolean =>
    typeof schemas === 'object' && schemas !== null && Object.values(schemas).every((each) => strict(each, depth))

  function strict(value: unknown, depth: number): boolean {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || depth > deepest) return false
    const part = value as Record<string, unknown>
    if (!Object.keys(part).every((name) => understood.has(name))) return false
    if (part['type'] === 'object' || part['properties'] !== undefined) {
      const names = Object.keys((part['properties'] as object | undefined) ?? {})
      const required = Array.isArray(part['required']) ? new Set(part['required']) : new Set()
      properties += names.length
      if (properties > mostProperties || part['additionalProperties'] !== false) return false
      if (required.size !== names.length || !names.every((name) => required.has(name))) return false
      if (!allStrict(part['properties'] ?? {}, depth + 1)) return false
    }
    if (part['items'] !== undefined && !strict(part['items'], depth + 1)) return false
    if (part['anyOf'] !== undefined && !allStrict(part['anyOf'], depth + 1)) return false
    return part['$defs'] === undefined || allStrict(part['$defs'], depth + 1)
  }

  return strict(schema, 0)
}
