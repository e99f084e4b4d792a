import type { Approval } from '../../capabilities/approvals/index.ts'
import type { Client } from '../../runtime.ts'

const pageSize = 500
/** Far more than people decide; a list of more is cut. */
const most = 10_000

/** Every pending approval in the caller's reach, oldest first. Reading them expires what is overdue. */
export async function pendingApprovals(client: Client): Promise<Approval[]> {
  const pending: Approval[] = []
  for (;;) {
    const page = await client.approvals.list({ status: 'pending', limit: pageSize, offset: pending.length })
    pending.push(...page)
    if (page.length < pageSize || pending.length >= most) return pending
  }
}
