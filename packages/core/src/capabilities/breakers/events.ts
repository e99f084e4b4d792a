import type { BreakerEvent } from './contract.ts'
import type { BreakerRecord } from './store.ts'

/** What a newer record says has happened since an older one; of several changes the last. Null for no news. */
export function eventOf(before: BreakerRecord | null, after: BreakerRecord): BreakerEvent | null {
  const { provider, changedAt: at, cause, probe } = after
  if (after.state === 'closed') {
    if (before === null || before.state === 'closed') return null
    // Only a reset forgets what the last failure was.
    return { provider, at, type: after.lastFailure === null ? 'breaker.reset' : 'breaker.closed' }
  }
  if (cause === null) return null
  const reopened = before?.state !== 'open' || before.cause !== cause || before.openedAt !== after.openedAt
  if (reopened) {
    const failure = cause === 'operator' ? null : after.lastFailure
    return { provider, at, type: 'breaker.opened', cause, failure, retryAt: after.retryAt }
  }
  const halfOpened = probe !== null && (before.probe === null || before.probe.until !== probe.until)
  return halfOpened ? { provider, at, type: 'breaker.half-opened' } : null
}
