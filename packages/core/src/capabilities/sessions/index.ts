export { sessionErrors, sessionOperations } from './contract.ts'
export type { FinishReason, TurnEvent, TurnEventBody, TurnEventType } from './events.ts'
export { endsTurn, pausesTurn } from './events.ts'
export { checkName, longestSessionId, newSession } from './new-session.ts'
export type { ImagePart, Message, NewMessage, Part, Role, Session, SessionStatus, Usage } from './session.ts'
export { isSpoken, textOf } from './session.ts'
export type * from './store.ts'
export type {
  BreakerState,
  ContextSegment,
  ModelAttempt,
  Selection,
  SelectionCandidate,
  SpokenMessage,
  SpokenPage,
  ToolCall,
  ToolCallStatus,
  Turn,
  TurnError,
  TurnOptions,
  TurnSelection,
  TurnStatus,
} from './turn.ts'
export { isSettled, turnTransitions } from './turn.ts'
