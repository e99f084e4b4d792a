export type { TurnContext, TurnReport, TurnStep } from './contract.ts'
export { observatoryOperations } from './contract.ts'
