import type { JsonObject } from '../../kernel/json.ts'
import { toolErrors } from './errors.ts'
import { compileSchema, isStandardSchema, type SchemaErrors } from './schema.ts'
import type { JsonSchemaTool, Risk, SchemaTool, Tool } from './tool.ts'

const risks: readonly Risk[] = ['safe', 'caution', 'dangerous', 'forbidden']

/** The longest delay a timer can hold: beyond it, it would fire at once. */
const longestTimeout = 2 ** 31 - 1

/**
 * Makes a tool out of its definition: the type of `args` follows from the input schema. Throws a `TOOL_...` error when
 * the name, a limit or the schema will not do.
 */
export function defineTool<Arguments, Output>(definition: SchemaTool<Arguments, Output>): Tool
export function defineTool<Output>(definition: JsonSchemaTool<Output>): Tool
export function defineTool(definition: SchemaTool<unknown, unknown> | JsonSchemaTool<unknown>): Tool {
  const { name, description, risk = 'caution', timeoutMs = 120_000, maxOutputBytes = 16_384 } = definition
  if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
    const message = `tool ${JSON.stringify(name)}: a name has 1 to 64 characters out of letters, digits, "_" and "-"`
    throw toolErrors.TOOL_NAME_INVALID({ message, details: { name: String(name) } })
  }
  const need = (fulfilled: boolean, message: string): void => {
    if (!fulfilled) throw toolErrors.TOOL_DEFINITION_INVALID({ message: `tool ${name}: ${message}`, details: { name } })
  }
  need(typeof description === 'string' && description.trim() !== '', 'the description is empty')
  need(risks.includes(risk), `risk must be one of ${risks.join(', ')}`)
  need(wholeWithin(timeoutMs, 1, longestTimeout), `timeoutMs must be a whole number from 1 to ${longestTimeout}`)
  need(wholeWithin(maxOutputBytes, 256, 2 ** 24), `maxOutputBytes must be a whole number from 256 to ${2 ** 24}`)
  need(typeof definition.execute === 'function', 'execute must be a function')
  const wanted: unknown = definition.approval ?? 'never'
  need(
    wanted === 'always' || wanted === 'never' || typeof wanted === 'function',
    "approval must be 'always', 'never' or a function",
  )

  const shared = {
    name,
    description,
    risk,
    idempotent: definition.idempotent ?? false,
    timeoutMs,
    maxOutputBytes,
  }
  if (isStandard(definition)) {
    const { input, approval = 'policy', execute } = definition
    const { schema: parameters, check } = compileSchema(input, definition.parameters, schemaErrorsOf(name))
    return Object.freeze({
      ...shared,
      approval,
      parameters,
      check,
      execute: (args, context) => execute.call(definition, args, context),
    } satisfies Tool)
  }
  const { input, approval = 'policy', execute } = definition
  const { schema: parameters, check } = compileSchema(input, undefined, schemaErrorsOf(name))
  return Object.freeze({
    ...shared,
    approval: typeof approval === 'function' ? (args: unknown) => approval(args as JsonObject) : approval,
    parameters,
    check,
    // The loop executes only what `check` has let pass, and the root of the schema is an object.
    execute: (args, context) => execute.call(definition, args as JsonObject, context),
  } satisfies Tool)
}

const wholeWithin = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most

const isStandard = (
  definition: SchemaTool<unknown, unknown> | JsonSchemaTool<unknown>,
): definition is SchemaTool<unknown, unknown> => isStandardSchema(definition.input)

const schemaErrorsOf = (name: string): SchemaErrors => ({
  missing(vendor, cause) {
    const why = cause === undefined ? 'makes no JSON Schema of its own' : 'cannot write this input as JSON Schema'
    return toolErrors.TOOL_PARAMETERS_MISSING({
      message: `tool ${name}: ${vendor} ${why}; pass \`parameters\` with the JSON Schema of the arguments`,
      details: { name, vendor },
      cause,
    })
  },
  notPlainJson: (cause) =>
    toolErrors.TOOL_DEFINITION_INVALID({
      message: `tool ${name}: the JSON Schema is not plain JSON`,
      details: { name },
      cause,
    }),
  notObject: () =>
    toolErrors.TOOL_PARAMETERS_NOT_OBJECT({
      message: `tool ${name}: input must be the schema of an object, e.g. z.object({ ... }), or JSON Schema with type: "object" at its root`,
      details: { name },
    }),
  broken: (cause) =>
    toolErrors.TOOL_SCHEMA_BROKEN({
      message: `tool ${name}: the JSON Schema cannot be compiled`,
      details: { name },
      cause,
    }),
  threw: (cause) =>
    toolErrors.TOOL_CHECK_FAILED({ message: `tool ${name}: the input schema threw`, details: { name }, cause }),
})
