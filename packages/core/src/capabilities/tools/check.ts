import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { AnySchemaObject, ErrorObject, ValidateFunction } from 'ajv'
import type { JsonObject } from '../../kernel/json.ts'
import type { Checked } from './tool.ts'

/** More would only fill the model's context. */
const mostProblems = 10
const longestProblem = 300

/**
 * A check by the schema library itself; the checked value is what the library made of it. `threw` makes the error for a
 * library that throws.
 */
export function checkWithStandardSchema(
  schema: StandardSchemaV1,
  threw: (cause: unknown) => Error,
): (value: unknown) => Checked | Promise<Checked> {
  const { validate } = schema['~standard']
  const checkedOf = (result: StandardSchemaV1.Result<unknown>): Checked =>
    result.issues ? refused(result.issues, problemOfIssue) : { ok: true, value: result.value }
  return (value) => {
    try {
      const result = validate(value)
      if (!(result instanceof Promise)) return checkedOf(result)
      return result.then(checkedOf, (cause) => {
        throw threw(cause)
      })
    } catch (cause) {
      throw threw(cause)
    }
  }
}

/** A check by JSON Schema, compiled once, when the first value comes. `broken` makes the error for one that cannot be. */
export function checkWithJsonSchema(
  schema: JsonObject,
  broken: (cause: unknown) => Error,
): (value: unknown) => Checked | Promise<Checked> {
  let validator: ValidateFunction | undefined
  let compiling: Promise<ValidateFunction> | undefined
  const run = (validate: ValidateFunction, value: unknown): Checked =>
    validate(value) ? { ok: true, value } : refused(validate.errors ?? [], problemOfError)
  return (value) => {
    if (validator) return run(validator, value)
    compiling ??= compile(schema)
    return compiling.then(
      (validate) => {
        validator = validate
        return run(validate, value)
      },
      (cause) => {
        throw broken(cause)
      },
    )
  }
}

async function compile(schema: JsonObject): Promise<ValidateFunction> {
  const { $schema, ...rest } = schema
  const options = { strict: false, allErrors: true, validateFormats: false, logger: false } as const
  // Older drafts write tuples and dependencies another way; each dialect has its own build.
  const old = typeof $schema === 'string' && /draft-0[67]/.test($schema)
  const ajv = old ? new (await import('ajv')).Ajv(options) : new (await import('ajv/dist/2020.js')).Ajv2020(options)
  return ajv.compile(rest satisfies AnySchemaObject)
}

function refused<Problem>(problems: readonly Problem[], say: (problem: Problem) => string): Checked {
  const said = problems.slice(0, mostProblems).map((problem) => {
    const text = say(problem)
    return text.length > longestProblem ? `${text.slice(0, longestProblem)}…` : text
  })
  if (problems.length > said.length) said.push(`and ${problems.length - said.length} more`)
  return { ok: false, problems: said }
}

function problemOfIssue({ path = [], message }: StandardSchemaV1.Issue): string {
  const keys = path.map((segment) => String(typeof segment === 'object' ? segment.key : segment))
  return keys.length === 0 ? message : `${keys.join('.')}: ${message}`
}

function problemOfError({ instancePath, message = 'is not allowed', keyword, params }: ErrorObject): string {
  const path = instancePath.slice(1).replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~')
  let text = message
  if (keyword === 'additionalProperties') text += ` (${JSON.stringify(params['additionalProperty'])})`
  if (keyword === 'enum') text += `: ${JSON.stringify(params['allowedValues'])}`
  if (keyword === 'const') text += `: ${JSON.stringify(params['allowedValue'])}`
  return path === '' ? text : `${path}: ${text}`
}
