import { defineErrors } from '../../kernel/errors.ts'

export const connectorErrors = defineErrors({
  CONNECTORS_UNAVAILABLE: {
    kind: 'unavailable',
    message: 'this runtime has no connectors; give createRuntime({ connectors: mcpConnectors() }) of @keelson/core/mcp',
  },
  CONNECTORS_FIXED: { kind: 'unavailable', message: 'the connector is defined in code; disable it instead' },
  CONNECTOR_NOT_FOUND: { kind: 'not_found', message: 'no such connector' },
  CONNECTOR_EXISTS: { kind: 'conflict', message: 'there is a connector of this name' },
  CONNECTOR_INVALID: { kind: 'bad_request', message: 'the connector is not valid' },
  CONNECTOR_COMMAND_INVALID: { kind: 'bad_request', message: 'the command is not allowed' },
  CONNECTOR_DISABLED: { kind: 'conflict', message: 'the connector is disabled' },
  CONNECTOR_STOPPED: { kind: 'unavailable', message: 'the connector was stopped' },
  CONNECTOR_SECRET_MISSING: { kind: 'unavailable', message: 'the connector lacks a secret' },
  CONNECTOR_PROCESSES_OFF: {
    kind: 'forbidden',
    message: 'this runtime starts no programs; createRuntime({ allowProcesses: true }) lets it',
  },
  /** `details.output` has what the program wrote last, without its secrets. */
  CONNECTOR_FAILED: { kind: 'upstream', message: 'the connector failed' },
  CONNECTOR_PACKAGE_MISSING: {
    kind: 'unavailable',
    message: 'the package "@modelcontextprotocol/sdk" is not installed; run: npm install @modelcontextprotocol/sdk',
  },
})
