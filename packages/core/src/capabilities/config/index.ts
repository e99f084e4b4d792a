export { againOnConflict } from './again-on-conflict.ts'
export type {
  ChangeConfig,
  ChangeNote,
  CodeDrift,
  ConfigChanged,
  ConfigDifference,
  ConfigPatch,
  GenerationContent,
  GenerationList,
  Numbering,
  RollBack,
  SetSettings,
  SettingState,
} from './contract.ts'
export {
  configErrors,
  configOperations,
  providerKeyEntry,
  providerKeyErrors,
  providerKeyOperations,
  settingErrors,
  settingOperations,
} from './contract.ts'
export type {
  ConfigContent,
  ConfigDraft,
  ConfigProblem,
  ConfigReader,
  ConfigSection,
  ConfigSnapshot,
} from './section.ts'
export { emptyContent } from './section.ts'
export type { Config } from './service.ts'
export { readSetting } from './setting-values.ts'
export {
  defineSettings,
  type SettingDefinition,
  type SettingDefinitions,
  type SettingValues,
  settingMask,
} from './settings.ts'
export type * from './store.ts'
