import { defineErrors } from '../../kernel/errors.ts'

export const toolErrors = defineErrors({
  TOOL_NAME_INVALID: {
    kind: 'bad_request',
    message: 'a tool name has 1 to 64 characters out of letters, digits, "_" and "-"',
  },
  TOOL_DEFINITION_INVALID: { kind: 'bad_request', message: 'the tool definition is invalid' },
  TOOL_PARAMETERS_MISSING: {
    kind: 'bad_request',
    message:
      'the input schema cannot be written as JSON Schema; pass `parameters` with the JSON Schema of the arguments',
  },
  TOOL_PARAMETERS_NOT_OBJECT: {
    kind: 'bad_request',
    message: 'the arguments of a tool must be an object: its JSON Schema needs `type: "object"` at the root',
  },
  TOOL_SCHEMA_BROKEN: { kind: 'internal', message: 'the JSON Schema of the tool cannot be compiled' },
  TOOL_CHECK_FAILED: { kind: 'internal', message: 'the input schema of the tool threw instead of reporting a problem' },
})
