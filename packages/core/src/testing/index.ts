export { cassetteErrors } from './cassette.ts'
export {
  type Conversation,
  type ConversationOptions,
  conversation,
  type Exchange,
  type ToldCall,
} from './conversation.ts'
export {
  type RecordedModel,
  type RecordOptions,
  type ReplayOptions,
  recordModel,
  replayModel,
} from './recorded-model.ts'
export type { Redact } from './redaction.ts'
export {
  callTool,
  cut,
  delay,
  type FailDetail,
  fail,
  finish,
  hang,
  respond,
  type ScriptAction,
  type ScriptedCall,
  type ScriptedModel,
  type ScriptedModelOptions,
  type ScriptStep,
  say,
  scriptedModel,
  think,
} from './scripted-model.ts'
export { sequentialIds } from './sequential-ids.ts'
export { createTestRuntime, type TestRuntime, type TestRuntimeOptions } from './test-runtime.ts'
export { settle, type VirtualClock, virtualClock } from './virtual-clock.ts'
