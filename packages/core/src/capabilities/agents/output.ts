import type { KeelsonError } from '../../kernel/errors.ts'
import { compileSchema, isStandardSchema } from '../tools/index.ts'
import type { AgentDefinition, AgentOutput } from './agent.ts'
import { agentErrors } from './contract.ts'

/** What vendors take as the name of a schema. */
const nameOf = (id: string): string => id.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64)

/** Reads the output schema of an agent, once; null when it answers in plain text. `invalid` makes the agent's error. */
export function outputOf(
  { id, output, outputSchema }: AgentDefinition,
  invalid: (problem: string, cause?: unknown) => KeelsonError,
): AgentOutput | null {
  if (output === undefined || output === null) {
    if (outputSchema !== undefined) throw invalid('outputSchema goes with an output')
    return null
  }
  if (isReady(output)) return output
  if (!isStandardSchema(output) && (typeof output !== 'object' || Array.isArray(output))) {
    throw invalid('output must be a Standard Schema or a JSON Schema')
  }
  const compiled = compileSchema(output, outputSchema, {
    missing(vendor, cause) {
      const why = cause === undefined ? 'makes no JSON Schema of its own' : 'cannot write the output as JSON Schema'
      return invalid(`${vendor} ${why}; pass \`outputSchema\` with the JSON Schema of the output`, cause)
    },
    notPlainJson: (cause) => invalid('the JSON Schema of its output is not plain JSON', cause),
    notObject: () => invalid('its output must be an object: the JSON Schema needs `type: "object"` at the root'),
    broken: (cause) => agentErrors.OUTPUT_SCHEMA_BROKEN({ details: { agent: id }, cause }),
    threw: (cause) => agentErrors.OUTPUT_CHECK_FAILED({ details: { agent: id }, cause }),
  })
  return Object.freeze({ name: nameOf(id), ...compiled })
}

/** Made by an earlier `defineAgent`. A zod schema has a `check` too. */
const isReady = (output: NonNullable<AgentDefinition['output']>): output is AgentOutput =>
  !isStandardSchema(output) && typeof output['check'] === 'function'
