export type { Completion, DiscoveredModels, RegisteredModel } from './contract.ts'
export { modelErrors, modelOperations } from './contract.ts'
export type {
  Embedded,
  EmbeddingProvider,
  EmbeddingRequest,
  FailureClass,
  ModelInfo,
  ModelMessage,
  ModelPart,
  ModelPrice,
  ModelRequest,
  Provider,
  ToolDescription,
  Transcript,
  TranscriptionProvider,
  TranscriptionRequest,
} from './provider.ts'
export { isModelFailure, ModelFailure, noUsage } from './provider.ts'
export type { Model, Models } from './service.ts'
export { costOf } from './service.ts'
