import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec'
import type { JsonObject } from '../../kernel/json.ts'
import { checkWithJsonSchema, checkWithStandardSchema } from './check.ts'
import type { Checked } from './tool.ts'

/** A schema that models can be told of and whose values can be checked. */
export interface CompiledSchema<Value = unknown> {
  /** Its root is an object: every vendor demands that. */
  readonly schema: JsonObject
  /** Checks a parsed value; what is checked is what the schema library made of it. Never throws for a bad value. */
  check(value: unknown): Checked<Value> | Promise<Checked<Value>>
}

/** The errors of whoever asks for a schema. */
export interface SchemaErrors {
  /** The library cannot write it as JSON Schema, and none was given. `cause` says why when it tried. */
  missing(vendor: string, cause?: unknown): Error
  notPlainJson(cause: unknown): Error
  notObject(): Error
  /** Thrown by `check`: the schema itself is broken. */
  broken(cause: unknown): Error
  /** Thrown by `check`: the library threw instead of reporting a problem. */
  threw(cause: unknown): Error
}

/** Typed by the library (zod, valibot, arktype ...). */
export const isStandardSchema = (schema: unknown): schema is StandardSchemaV1 =>
  (typeof schema === 'object' || typeof schema === 'function') && schema !== null && '~standard' in schema

/** Reads a schema once. `json` is its JSON Schema for libraries that make none. Throws one of the given errors. */
export function compileSchema(
  schema: StandardSchemaV1 | JsonObject,
  json: JsonObject | undefined,
  errors: SchemaErrors,
): CompiledSchema {
  if (isStandardSchema(schema)) {
    return {
      schema: objectSchema(json ?? jsonSchemaOf(schema, errors), errors),
      check: checkWithStandardSchema(schema, errors.threw),
    }
  }
  const copy = objectSchema(schema, errors)
  return { schema: copy, check: checkWithJsonSchema(copy, errors.broken) }
}

/** What the schema library says its input looks like as JSON Schema. */
function jsonSchemaOf(schema: StandardSchemaV1, errors: SchemaErrors): unknown {
  const props: StandardSchemaV1.Props & Partial<StandardJSONSchemaV1.Props> = schema['~standard']
  if (props.jsonSchema === undefined) throw errors.missing(props.vendor)
  try {
    return props.jsonSchema.input({ target: 'draft-2020-12' })
  } catch (cause) {
    throw errors.missing(props.vendor, cause)
  }
}

/** A copy that later changes to the original do not reach. */
function objectSchema(schema: unknown, errors: SchemaErrors): JsonObject {
  let copy: JsonObject | null = null
  try {
    copy = JSON.parse(JSON.stringify(schema) ?? 'null')
  } catch (cause) {
    throw errors.notPlainJson(cause)
  }
  if (copy?.['type'] !== 'object') throw errors.notObject()
  return copy
}
