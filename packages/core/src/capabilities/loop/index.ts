export type { BeforeQueue, RunOptions, WaitingTurn } from './contract.ts'
export { attachOperation, runOperation, turnOperations } from './contract.ts'
export { loopErrors } from './errors.ts'
export type { TurnLimits } from './limits.ts'
export type { OutcomeDecision } from './resume-turn.ts'
export type {
  Accepted,
  AcceptTurn,
  Committed,
  Lease,
  LoopStore,
  LostCall,
  NewApproval,
  NewToolCall,
  NewTurn,
  Reserved,
  ResumedTurn,
  StartedTurn,
  ToolCallEnd,
  TurnCommit,
} from './store.ts'
export type { TurnHandle, TurnOutcome } from './turn-handle.ts'
