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
