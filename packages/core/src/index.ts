export {
  type Agent,
  type AgentDefinition,
  type AgentOutput,
  agentErrors,
  defineAgent,
} from './capabilities/agents/index.ts'
export {
  type Approval,
  type ApprovalStatus,
  approvalErrors,
  type DecideApproval,
} from './capabilities/approvals/index.ts'
export {
  type BreakerEvent,
  type BreakerListener,
  type BreakerOptions,
  type BreakerPolicy,
  type BreakerStatus,
  breakerErrors,
  breakerPolicies,
} from './capabilities/breakers/index.ts'
export {
  type BudgetCrossing,
  type BudgetDefinition,
  type BudgetPeriod,
  type BudgetScope,
  type BudgetState,
  type BudgetWindow,
  type ChargeOutcome,
  type CostReport,
  type CostReportRow,
  costErrors,
  type EntryFilter,
  type Grouping,
  type LedgerEntry,
  type PriceSource,
  type Rate,
  type RateCard,
  type Rates,
  type TieredRate,
  usd,
} from './capabilities/costs/index.ts'
export {
  type BeforeQueue,
  loopErrors,
  type OutcomeDecision,
  type RunOptions,
  type TurnHandle,
  type TurnLimits,
  type TurnOutcome,
  type WaitingTurn,
} from './capabilities/loop/index.ts'
export {
  type CreateNote,
  type Note,
  type NoteFilter,
  type NoteKey,
  type NotePatch,
  type NoteSummary,
  noteErrors,
  notesTools,
  type RecallOptions,
  type SearchNotes,
  type Topic,
} from './capabilities/memory/index.ts'
export {
  type Capacity,
  type CapacityUse,
  type Completion,
  type DiscoveredModels,
  type Embedded,
  type EmbeddingProvider,
  type EmbeddingRequest,
  type FailureClass,
  isModelFailure,
  ModelFailure,
  type ModelInfo,
  type ModelMessage,
  type ModelPart,
  type ModelPrice,
  type ModelRequest,
  modelErrors,
  noUsage,
  type Provider,
  type ProviderOffer,
  type RegisteredModel,
  type ToolDescription,
  type Transcript,
  type TranscriptionProvider,
  type TranscriptionRequest,
} from './capabilities/models/index.ts'
export type { TurnContext, TurnReport, TurnStep } from './capabilities/observatory/index.ts'
export { type Listen, realtimeErrors, type Ticket, type TurnListener } from './capabilities/realtime/index.ts'
export {
  type BreakerState,
  type ContextSegment,
  endsTurn,
  type FinishReason,
  type ImagePart,
  isSettled,
  type Message,
  type ModelAttempt,
  type NewMessage,
  type Part,
  type Role,
  type Selection,
  type SelectionCandidate,
  type Session,
  type SessionStatus,
  sessionErrors,
  type ToolCall,
  type ToolCallStatus,
  type Turn,
  type TurnError,
  type TurnEvent,
  type TurnEventType,
  type TurnOptions,
  type TurnSelection,
  type TurnStatus,
  textOf,
  turnTransitions,
  type Usage,
} from './capabilities/sessions/index.ts'
export {
  type Authority,
  type CallOperation,
  defaultPolicy,
  defineTool,
  type JsonSchemaTool,
  type Risk,
  type SchemaTool,
  type Tool,
  type ToolContext,
  toolErrors,
} from './capabilities/tools/index.ts'
export { accessErrors } from './contract/invoke.ts'
export { type Clock, systemClock } from './kernel/clock.ts'
export { type CallContext, isOperator, type Owner, type Principal, type Reach, singleOwner } from './kernel/context.ts'
export { defineErrors, type ErrorDetail, type ErrorKind, isKeelsonError, KeelsonError } from './kernel/errors.ts'
export type { NewId } from './kernel/ids.ts'
export type { Json, JsonObject } from './kernel/json.ts'
export { type Client, createRuntime, type Runtime, type RuntimeOptions } from './runtime.ts'
export { type Store, storeErrors } from './stores.ts'
