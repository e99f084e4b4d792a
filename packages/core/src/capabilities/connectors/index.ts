export { defaultPrograms, splitCommand } from './command.ts'
export type { ConnectorDefinition, ProgramTransport } from './connector.ts'
export { checkDefinition } from './connector.ts'
export type {
  AddConnector,
  Connector,
  ConnectorStatus,
  ConnectorTest,
  ConnectorTool,
  GivenTransport,
  RemoveConnector,
  UpdateConnector,
} from './contract.ts'
export { connectorOperations } from './contract.ts'
export type {
  Connection,
  ConnectorDriver,
  ConnectorLimits,
  OpenConnection,
  RemoteResult,
  RemoteTool,
} from './driver.ts'
export { ConnectionFailure } from './driver.ts'
export { connectorErrors } from './errors.ts'
export type * from './store.ts'
