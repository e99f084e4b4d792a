export type { Completion, RegisteredModel } from './contract.ts'
export { modelErrors, modelOperations } from './contract.ts'
export type {
  FailureClass,
  ModelInfo,
  ModelMessage,
  ModelPart,
  ModelPrice,
  ModelRequest,
  Provider,
  ToolDescription,
} from './provider.ts'
export { isModelFailure, ModelFailure, noUsage } from './provider.ts'
export type { CallMeter, Model, Models } from './service.ts'
