export type { DecideApproval } from './contract.ts'
export { approvalErrors, approvalOperations } from './contract.ts'
export type { Approval, ApprovalDecision, ApprovalFilter, ApprovalStatus, ApprovalStore } from './store.ts'
export { refusedCalls } from './store.ts'
