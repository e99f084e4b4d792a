export type { Health } from './contract.ts'
export { systemOperations } from './contract.ts'
