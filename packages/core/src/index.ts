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
  loopErrors,
  type OutcomeDecision,
  type RunOptions,
  type TurnHandle,
  type TurnLimits,
  type TurnOutcome,
} from './capabilities/loop/index.ts'
export {
  type Completion,
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
  type RegisteredModel,
  type ToolDescription,
} from './capabilities/models/index.ts'
export { type Listen, realtimeErrors, type Ticket, type TurnListener } from './capabilities/realtime/index.ts'
export {
  type ContextSegment,
  endsTurn,
  type FinishReason,
  isSettled,
  type Message,
  type NewMessage,
  type Part,
  type Role,
  type Selection,
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
  type TurnStatus,
  textOf,
  turnTransitions,
  type Usage,
} from './capabilities/sessions/index.ts'
export {
  type Authority,
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
