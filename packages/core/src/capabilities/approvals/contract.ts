import { operation } from '../../contract/operation.ts'
import { defineErrors } from '../../kernel/errors.ts'
import type { Page } from '../../kernel/pages.ts'
import type { Approval, ApprovalFilter } from './store.ts'

export const approvalErrors = defineErrors({
  APPROVAL_NOT_FOUND: { kind: 'not_found', message: 'no such approval' },
  APPROVAL_SETTLED: { kind: 'conflict', message: 'the approval is decided or its time is over' },
  APPROVAL_NOT_ALLOWED: { kind: 'forbidden', message: 'you may not decide this approval' },
})

export interface DecideApproval {
  readonly id: string
  readonly decision: 'approve' | 'deny'
  /** Who decided, for the record. @default the caller's subject */
  readonly decidedBy?: string
}

export const approvalOperations = {
  /** One approval within reach: tool, exact arguments, who asks and until when. */
  get: operation<{ id: string }, Approval>({ auth: 'caller', effect: 'read', errors: ['APPROVAL_NOT_FOUND'] }),
  /** Those within reach, oldest first. */
  list: operation<(Page & ApprovalFilter) | undefined, Approval[]>({
    auth: 'caller',
    effect: 'read',
    errors: [],
  }),
  /** How many there are. */
  count: operation<ApprovalFilter | undefined, number>({
    auth: 'caller',
    effect: 'read',
    errors: [],
  }),
  /** Decides once: of deciders that race one wins, the others get `APPROVAL_SETTLED`. The turn goes on by itself. */
  decide: operation<DecideApproval, Approval>({
    auth: 'caller',
    effect: 'write',
    errors: ['APPROVAL_NOT_FOUND', 'APPROVAL_SETTLED', 'APPROVAL_NOT_ALLOWED'],
  }),
}
