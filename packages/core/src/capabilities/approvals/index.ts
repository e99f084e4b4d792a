export type { DecideApproval } from './contract.ts'
export { approvalErrors, approvalOperations } from './contract.ts'
export type * from './store.ts'
export { refusedCalls } from './store.ts'
