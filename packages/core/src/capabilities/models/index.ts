export type { CapacityUse } from './capacity.ts'
export type { ChargeCall } from './charge.ts'
export type { Completion, DiscoveredModels, ProviderOffer, RegisteredModel, RegisteredProvider } from './contract.ts'
export { modelErrors, modelOperations } from './contract.ts'
export type { Admission, ProviderGate } from './gate.ts'
export { admitted } from './gate.ts'
export { ofWhoseKey } from './keyed.ts'
export type { Model } from './model.ts'
export type {
  Capacity,
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
export type { ModelNeeds } from './select.ts'
export type { Models } from './service.ts'
