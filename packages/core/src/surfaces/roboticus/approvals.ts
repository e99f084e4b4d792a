import { z } from 'zod'
import type { Approval, ApprovalStatus } from '../../capabilities/approvals/index.ts'
import { route } from '../../http/route.ts'
import type { AnyRoute } from '../../http/surface.ts'
import type { Client } from '../../runtime.ts'
import { checkText } from './errors.ts'
import { authorityName, nameOfAuthority, rfc3339, rfc3339Text } from './formats.ts'
import { pendingApprovals } from './pending-approvals.ts'

const section = 'Approvals'
const longestDecider = 256

const approvalAnswer = z.strictObject({
  id: z.uuid(),
  tool_name: z.string(),
  /** JSON text. */
  tool_input: z.string(),
  /** Holds the turn's id. */
  session_id: z.string().nullable(),
  requested_authority: authorityName,
  status: z.enum(['Pending', 'Approved', 'Denied', 'TimedOut']),
  decided_by: z.string().nullable(),
  decided_at: rfc3339Text.nullable(),
  timeout_at: rfc3339Text,
  created_at: rfc3339Text,
})

type ApprovalAnswer = z.infer<typeof approvalAnswer>

const statuses: Readonly<Record<ApprovalStatus, ApprovalAnswer['status']>> = {
  pending: 'Pending',
  approved: 'Approved',
  denied: 'Denied',
  expired: 'TimedOut',
  // A cancelled turn takes its question back: nothing will run.
  cancelled: 'Denied',
}

const answerOf = (approval: Approval): ApprovalAnswer => ({
  id: approval.id,
  tool_name: approval.tool,
  tool_input: approval.arguments,
  session_id: approval.turn,
  requested_authority: nameOfAuthority(approval.requestedAuthority),
  status: statuses[approval.status],
  decided_by: approval.decidedBy,
  decided_at: approval.decidedAt === null ? null : rfc3339(approval.decidedAt),
  timeout_at: rfc3339(approval.expiresAt),
  created_at: rfc3339(approval.createdAt),
})

const decideBody = z.object({ decided_by: z.string().nullish() })

function deciderOf({ decided_by }: z.infer<typeof decideBody>): string {
  const name = (decided_by ?? '').replace(/\p{Cc}/gu, '').trim()
  return name === '' ? 'api' : checkText('decided_by', name, longestDecider)
}

export const approvalRoutes = (): readonly AnyRoute<Client>[] => [
  route<Client>()({
    method: 'GET',
    path: '/api/approvals',
    section,
    summary: 'List pending approval requests',
    response: z.strictObject({ pending: z.array(approvalAnswer), total: z.int() }),
    async handle({ client }) {
      const pending = (await pendingApprovals(client)).map(answerOf)
      return { json: { pending, total: pending.length } }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/approvals/:id/approve',
    section,
    summary: 'Approve a pending request; the tool call then runs in the background',
    body: decideBody,
    bodyOptional: true,
    response: z.strictObject({ approval: approvalAnswer, replay_queued: z.literal(true) }),
    async handle({ client, params: { id }, body }) {
      const decided = await client.approvals.decide({ id, decision: 'approve', decidedBy: deciderOf(body) })
      return { json: { approval: answerOf(decided), replay_queued: true } }
    },
  }),

  route<Client>()({
    method: 'POST',
    path: '/api/approvals/:id/deny',
    section,
    summary: 'Deny a pending request',
    body: decideBody,
    bodyOptional: true,
    response: approvalAnswer,
    async handle({ client, params: { id }, body }) {
      return { json: answerOf(await client.approvals.decide({ id, decision: 'deny', decidedBy: deciderOf(body) })) }
    },
  }),
]
