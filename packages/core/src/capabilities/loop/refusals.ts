import type { KeelsonError } from '../../kernel/errors.ts'
import { exhausted } from '../costs/index.ts'
import { sessionErrors } from '../sessions/index.ts'
import { loopErrors } from './errors.ts'
import type { Accepted } from './store.ts'

type Refused = Exclude<Accepted, { outcome: 'started' | 'queued' | 'repeated' }>

/** What a caller is told whose turn the store has not accepted. */
export function refusalOf(refused: Refused, now: number): KeelsonError {
  switch (refused.outcome) {
    case 'key-mismatch':
      return loopErrors.IDEMPOTENCY_MISMATCH()
    case 'busy':
      return loopErrors.SESSION_BUSY()
    case 'queue-full':
      return loopErrors.TURN_QUEUE_FULL()
    case 'duplicate':
      return loopErrors.TURN_DUPLICATE()
    case 'budget-exhausted':
      return exhausted(refused.budget, now)
    case 'no-session':
      return sessionErrors.SESSION_NOT_FOUND()
    case 'session-closed':
      return sessionErrors.SESSION_CLOSED()
  }
}
