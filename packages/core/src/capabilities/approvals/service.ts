import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import { isOperator, reachOf } from '../../kernel/context.ts'
import { paged } from '../../kernel/pages.ts'
import { approvalErrors, type approvalOperations } from './contract.ts'
import type { Approval, ApprovalStore } from './store.ts'

const sweepBatch = 100

export interface ApprovalsDependencies {
  readonly store: ApprovalStore
  readonly clock: Clock
  /** `operator`: only operators decide. `owner`: also the subject whose turn asks. */
  readonly deciders: 'operator' | 'owner'
  /** Goes on with a turn that waited for its approvals. */
  resume(turn: string): Promise<unknown>
  /** Starts the turn that carries out an approved call whose own turn did not wait. Once, however often it is asked. */
  followUp(approval: Approval): Promise<unknown>
  report(error: unknown, where: string): void
}

export interface Approvals extends Implementation<typeof approvalOperations> {
  /** Expires what is overdue, and goes on with turns that nobody resumed after their decision. */
  sweep(): Promise<void>
}

export function createApprovals(dependencies: ApprovalsDependencies): Approvals {
  const { clock, deciders, followUp, report, resume, store } = dependencies

  /** What could not be gone on with, by turn or approval: it is told of once, and must not keep others from their turn. */
  const stuck = new Set<string>()

  const attempt = async (id: string, work: () => Promise<unknown>) => {
    try {
      await work()
      stuck.delete(id)
    } catch (error) {
      if (!stuck.has(id)) report(error, 'approval')
      stuck.add(id)
    }
  }

  /** A reader is shown none whose time is over; for turns to go on with, the sweep looks. */
  const expireForReader = async () => {
    try {
      if ((await store.expire(clock.now(), sweepBatch)).length > 0) await goOn()
    } catch (error) {
      report(error, 'approval')
    }
  }

  /** Twice at once does no harm: a turn is resumed by whoever gets its lease, a follow-up has an idempotency key. */
  const goOn = async () => {
    const before = [...stuck]
    const limit = sweepBatch + before.length
    const turns = await store.resumable(limit)
    for (const turn of turns) await attempt(turn, () => resume(turn))
    const followUps = await store.unfollowed(limit)
    for (const approval of followUps) await attempt(approval.id, () => followUp(approval))
    // What is not to be gone on with any more, whoever has seen to that, is stuck no longer.
    const open = new Set([...turns, ...followUps.map(({ id }) => id)])
    for (const id of before) if (!open.has(id)) stuck.delete(id)
  }

  return {
    async get({ principal }, { id }) {
      const approval = await store.get(reachOf(principal), id)
      if (!approval) throw approvalErrors.APPROVAL_NOT_FOUND()
      return approval
    },

    async list({ principal }, input) {
      const { window, filter } = paged(input)
      await expireForReader()
      return await store.list(reachOf(principal), window, filter)
    },

    async count({ principal }, filter) {
      await expireForReader()
      return await store.count(reachOf(principal), filter ?? {})
    },

    async decide({ principal }, { id, decision, decidedBy = principal.subject }) {
      const reach = reachOf(principal)
      if (!isOperator(principal) && deciders === 'operator') {
        throw (await store.get(reach, id)) ? approvalErrors.APPROVAL_NOT_ALLOWED() : approvalErrors.APPROVAL_NOT_FOUND()
      }
      const status = decision === 'approve' ? 'approved' : 'denied'
      const decided = await store.decide(reach, id, { status, decidedBy, at: clock.now() })
      if (!decided) {
        throw (await store.get(reach, id)) ? approvalErrors.APPROVAL_SETTLED() : approvalErrors.APPROVAL_NOT_FOUND()
      }
      // The decision stands whatever happens now; the sweep goes on with the turn if this does not.
      await goOn().catch((error) => report(error, 'approval'))
      return decided
    },

    async sweep() {
      await store.expire(clock.now(), sweepBatch)
      await goOn()
    },
  }
}
