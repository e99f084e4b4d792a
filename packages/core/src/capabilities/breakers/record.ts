import type { BreakerState } from '../sessions/index.ts'
import type { BreakerPolicy } from './policy.ts'
import type { BreakerRecord } from './store.ts'

/** These say nothing about whether the provider works. */
const blameless: ReadonlySet<string> = new Set(['content-refused', 'bad-request', 'context-too-long'])
/** Nor do these, when the key is the tenant's own: no other tenant's calls fail by it. */
const ofTheKey: ReadonlySet<string> = new Set(['auth', 'billing', 'rate-limit'])

/** What came of a call, as far as the breaker cares. */
export interface CallFailure {
  /** Class of the model failure. */
  readonly failure: string
  readonly retryAfterMs?: number | undefined
  /** The call was made with the key of its tenant. */
  readonly ownKey?: boolean
}

/** False when the provider is not to blame. */
export const blames = ({ failure, ownKey = false }: CallFailure): boolean =>
  !blameless.has(failure) && !(ownKey && ofTheKey.has(failure))

/** A rate limit that says for how long is not a fault: the model is left alone for so long, and that is all. */
export const counts = (call: CallFailure): boolean =>
  blames(call) && !(call.failure === 'rate-limit' && call.retryAfterMs !== undefined && call.retryAfterMs > 0)

export const freshRecord = (provider: string, { cooldownMs }: BreakerPolicy): BreakerRecord => ({
  provider,
  version: 0,
  state: 'closed',
  cause: null,
  failures: [],
  lastFailure: null,
  cooldownMs,
  openedAt: null,
  retryAt: null,
  probe: null,
  changedAt: 0,
})

/** Whether a call may pass at `now`, and as what. */
export type Verdict =
  | { readonly pass: 'call' | 'probe' }
  | { readonly pass: 'no'; readonly reason: 'breaker-open' | 'probe-running'; readonly waitMs: number | null }

export function verdictOf(record: BreakerRecord, { probeMs }: BreakerPolicy, now: number): Verdict {
  if (record.state === 'closed') return { pass: 'call' }
  if (record.retryAt === null) return { pass: 'no', reason: 'breaker-open', waitMs: null }
  if (now < record.retryAt) return { pass: 'no', reason: 'breaker-open', waitMs: record.retryAt - now }
  const { probe } = record
  // A claim that lies further ahead than any may was made before the clock was set back.
  if (probe !== null && now < probe.until && probe.until - now <= probeMs) {
    return { pass: 'no', reason: 'probe-running', waitMs: probe.until - now }
  }
  return { pass: 'probe' }
}

export function stateOf(record: BreakerRecord, now: number): BreakerState {
  if (record.state === 'closed') return 'closed'
  return record.retryAt !== null && now >= record.retryAt ? 'half-open' : 'open'
}

const changed = (record: BreakerRecord, at: number, change: Partial<BreakerRecord>): BreakerRecord => ({
  ...record,
  ...change,
  version: record.version + 1,
  changedAt: at,
})

/** Claims the one call that tries. Null when it may not be claimed. */
export const withProbe = (
  record: BreakerRecord,
  policy: BreakerPolicy,
  instance: string,
  now: number,
): BreakerRecord | null =>
  verdictOf(record, policy, now).pass === 'probe'
    ? changed(record, now, { probe: { instance, until: now + policy.probeMs } })
    : null

/**
 * A call has failed. `failing` says whether enough of this instance's calls do. Null when nothing changes: what was
 * under way when the breaker opened is no news.
 */
export function withFailure(
  record: BreakerRecord,
  policy: BreakerPolicy,
  call: CallFailure,
  now: number,
  failing: boolean,
): BreakerRecord | null {
  if (record.state === 'open' && record.cause !== 'failures') return null
  const { failure } = call
  if (failure === 'billing') {
    return changed(record, now, {
      state: 'open',
      cause: 'billing',
      failures: [],
      lastFailure: failure,
      openedAt: now,
      retryAt: null,
      probe: null,
    })
  }
  if (record.state === 'open' || !counts(call)) return null
  // Failures that lie ahead were counted before the clock was set back.
  const recent = record.failures.filter((at) => now - at < policy.windowMs && at - now < policy.windowMs)
  const failures = [...recent, now].slice(-policy.threshold)
  if (failures.length < policy.threshold || !failing) return changed(record, now, { failures, lastFailure: failure })
  return changed(record, now, {
    state: 'open',
    cause: 'failures',
    failures: [],
    lastFailure: failure,
    cooldownMs: policy.cooldownMs,
    openedAt: now,
    retryAt: now + policy.cooldownMs,
  })
}

/** The call that tried has failed. */
export function withFailedProbe(
  record: BreakerRecord,
  policy: BreakerPolicy,
  call: CallFailure,
  now: number,
): BreakerRecord {
  const { failure, retryAfterMs = 0 } = call
  if (failure === 'billing') return withFailure(record, policy, call, now, true) ?? record
  const limited = failure === 'rate-limit'
  const cooldownMs = limited ? record.cooldownMs : Math.min(record.cooldownMs * 2, policy.maxCooldownMs)
  const waitMs = limited ? Math.min(Math.max(cooldownMs, retryAfterMs), policy.maxCooldownMs) : cooldownMs
  return changed(record, now, {
    lastFailure: failure,
    cooldownMs,
    openedAt: now,
    retryAt: now + waitMs,
    probe: null,
  })
}

/** The call that tried was given up: another may. */
export const withoutProbe = (record: BreakerRecord, now: number): BreakerRecord => changed(record, now, { probe: null })

/** `lastFailure` is kept when the provider has answered, and null when somebody resets it. */
export const closed = (
  record: BreakerRecord,
  { cooldownMs }: BreakerPolicy,
  now: number,
  lastFailure: string | null,
): BreakerRecord =>
  changed(record, now, {
    state: 'closed',
    cause: null,
    failures: [],
    lastFailure,
    cooldownMs,
    openedAt: null,
    retryAt: null,
    probe: null,
  })

/** Null when it has been forced already. */
export const forcedOpen = (record: BreakerRecord, now: number): BreakerRecord | null =>
  record.state === 'open' && record.cause === 'operator'
    ? null
    : changed(record, now, {
        state: 'open',
        cause: 'operator',
        failures: [],
        openedAt: now,
        retryAt: null,
        probe: null,
      })

/** After the clock was set back the cool-down begins anew, or it would last as much longer. The same version. */
export const recooled = (record: BreakerRecord, now: number): BreakerRecord =>
  record.retryAt !== null && record.openedAt !== null && record.openedAt - now > record.cooldownMs
    ? { ...record, openedAt: now, retryAt: now + record.cooldownMs, probe: null }
    : record
