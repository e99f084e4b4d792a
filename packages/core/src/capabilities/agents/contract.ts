import { operation } from '../../contract/operation.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Agent } from './agent.ts'

export const agentErrors = defineErrors({
  AGENT_NOT_FOUND: { kind: 'not_found', message: 'no such agent' },
  AGENT_DISABLED: { kind: 'not_found', message: 'the agent is switched off' },
  AGENT_INVALID: { kind: 'bad_request', message: 'the agent is not defined correctly' },
  OUTPUT_SCHEMA_BROKEN: { kind: 'internal', message: "the JSON Schema of the agent's output cannot be compiled" },
  OUTPUT_CHECK_FAILED: {
    kind: 'internal',
    message: "the schema of the agent's output threw instead of reporting a problem",
  },
})

export const agentOperations = {
  /** One agent, as the active configuration has it. */
  get: operation<{ id: string }, Agent>({
    auth: 'caller',
    effect: 'read',
    errors: ['AGENT_NOT_FOUND', 'AGENT_DISABLED'],
  }),
  /** Those that can be used, the code's first. */
  list: operation<void, readonly Agent[]>({ auth: 'caller', effect: 'read', errors: [] }),
}
