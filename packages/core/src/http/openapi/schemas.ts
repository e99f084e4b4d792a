import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'
import type { Json, JsonObject } from '../../kernel/json.ts'

/** What a client sends, or what it gets: they differ where a schema transforms. */
export type Side = 'input' | 'output'

const place = '#/components/schemas/'

/**
 * The JSON Schemas of a document. A schema object that is used more than once becomes a component, and so does every
 * definition that a schema brings along.
 */
export class Schemas {
  readonly components: Record<string, JsonObject> = {}
  readonly #uses = new Map<StandardSchemaV1, Record<Side, number>>()
  readonly #made = new Map<StandardSchemaV1, Partial<Record<Side, JsonObject>>>()

  /** Announces uses. All are announced before the first schema is asked for. */
  count(schema: StandardSchemaV1 | undefined, side: Side, times = 1): void {
    if (!schema) return
    const uses = this.#uses.get(schema) ?? { input: 0, output: 0 }
    uses[side] += times
    this.#uses.set(schema, uses)
  }

  /** The schema where it is used; `name` is for the component, if it becomes one. Without a schema anything goes. */
  of(schema: StandardSchemaV1 | undefined, side: Side, name: string): JsonObject {
    if (!schema) return {}
    const made = this.#made.get(schema) ?? {}
    this.#made.set(schema, made)
    made[side] ??= this.#make(schema, side, name)
    return made[side]
  }

  /** An object schema's properties, written out wherever it is used. */
  inline(schema: StandardSchemaV1, side: Side, name: string): JsonObject {
    const { root, body } = this.#hoist(convert(schema, side), name)
    return root ? this.#component(name, body, root) : body
  }

  #make(schema: StandardSchemaV1, side: Side, hint: string): JsonObject {
    const json = convert(schema, side)
    const title = json['title']
    const name = typeof title === 'string' && /^[\w.-]+$/.test(title) ? title : hint
    const { root, body } = this.#hoist(json, name)
    const shared = (this.#uses.get(schema)?.[side] ?? 0) > 1
    // One that is no more than a reference is a component already.
    const isReference = typeof body['$ref'] === 'string' && Object.keys(body).length === 1
    return root || (shared && !isReference) ? this.#component(name, body, root) : body
  }

  /** Moves definitions into components. `root` is the name that references to the schema itself use, if there are any. */
  #hoist({ $schema: _dialect, $defs: definitions, ...rest }: JsonObject, name: string) {
    const names = new Map<string, string>()
    let root: string | undefined
    const own = (definitions ?? {}) as { readonly [key: string]: JsonObject }
    const keys = Object.keys(own)
    for (const [index, key] of keys.entries()) {
      names.set(key, this.#free(/^[A-Za-z][\w.-]*$/.test(key) ? key : `${name}Part${index + 1}`, own[key]))
    }
    const point = (value: Json): Json => {
      if (typeof value !== 'object' || value === null) return value
      if (isArray(value)) return value.map(point)
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => {
          if (key !== '$ref' || typeof item !== 'string') return [key, point(item)]
          if (item === '#') {
            root ??= this.#free(name, undefined)
            return [key, place + root]
          }
          const definition = names.get(item.replace(/^#\/\$defs\//, ''))
          return [key, definition === undefined ? item : place + definition]
        }),
      )
    }
    for (const key of keys) {
      const component = names.get(key)
      const definition = own[key]
      if (component && definition) this.components[component] = point(definition) as JsonObject
    }
    const body = point(rest) as JsonObject
    return { root, body }
  }

  #component(name: string, body: JsonObject, reserved: string | undefined): JsonObject {
    const component = reserved ?? this.#free(name, body)
    this.components[component] = body
    return { $ref: place + component }
  }

  /** The name, or with a number after it when another schema has it. */
  #free(name: string, body: JsonObject | undefined): string {
    for (let number = 1; ; number += 1) {
      const candidate = number === 1 ? name : `${name}${number}`
      const taken = this.components[candidate]
      if (taken !== undefined && (body === undefined || JSON.stringify(taken) !== JSON.stringify(body))) continue
      this.components[candidate] = body ?? {}
      return candidate
    }
  }
}

const isArray = (value: Json): value is readonly Json[] => Array.isArray(value)

/** A schema of a library that makes no JSON Schema, or of a value that JSON Schema cannot say, admits anything. */
function convert(schema: StandardSchemaV1, side: Side): JsonObject {
  const standard: StandardSchemaV1.Props & Partial<StandardJSONSchemaV1.Props> = schema['~standard']
  try {
    const json = standard.jsonSchema?.[side]({
      target: 'draft-2020-12',
      libraryOptions: { unrepresentable: 'any' },
    })
    return (json ?? {}) as JsonObject
  } catch {
    return {}
  }
}
