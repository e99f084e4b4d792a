import { type CallContext, reachOf } from '../../kernel/context.ts'
import { isKeelsonError } from '../../kernel/errors.ts'
import type { RunOptions } from './contract.ts'
import type { LoopDependencies } from './dependencies.ts'
import type { AcceptedTurn } from './turn-handle.ts'

type Dependencies = Pick<LoopDependencies, 'approvals' | 'decideApproval' | 'sessions' | 'store'>

/** More than a turn can ask for. */
const mostApprovals = 1_000

/** The waiting turn when the message was the decision on it; null when the message is one like any other. */
export async function takeAsDecision(
  context: CallContext,
  { beforeQueue, session }: Pick<RunOptions, 'beforeQueue' | 'session'>,
  { approvals, decideApproval, sessions, store }: Dependencies,
  cancel: (turn: string) => Promise<unknown>,
): Promise<AcceptedTurn | null> {
  if (beforeQueue === undefined || session === undefined) return null
  const reach = reachOf(context.principal)
  const waiting = await store.waiting(reach, session)
  if (waiting === null) return null
  const { turn: id, logSequence: after } = waiting
  const open = await approvals.list(reach, { limit: mostApprovals, offset: 0 }, { turn: id, status: 'pending' })
  const [oldest] = open
  const answer = beforeQueue({ turn: id, approvals: open })
  if (answer === 'cancel') await cancel(id)
  if (answer === 'cancel' || answer === 'queue' || oldest === undefined) return null
  try {
    await decideApproval(context, { id: oldest.id, decision: answer })
  } catch (error) {
    // Somebody else was faster, or its time was over just now.
    if (isKeelsonError(error) && error.code === 'APPROVAL_SETTLED') return null
    throw error
  }
  const turn = await sessions.turn(reach, id)
  return turn && { turn, live: null, repeated: false, after }
}
