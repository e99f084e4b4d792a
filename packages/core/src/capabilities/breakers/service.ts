import type { Implementation } from '../../contract/invoke.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { CallContext } from '../../kernel/context.ts'
import { type Admission, admitted, type ModelFailure, type ProviderGate } from '../models/index.ts'
import type { BreakerEvent, BreakerListener, BreakerStatus, breakerOperations } from './contract.ts'
import { eventOf } from './events.ts'
import { FailureRates } from './failure-rates.ts'
import { type BreakerPolicy, breakerErrors } from './policy.ts'
import {
  blames,
  closed,
  counts,
  forcedOpen,
  freshRecord,
  recooled,
  stateOf,
  verdictOf,
  withFailedProbe,
  withFailure,
  withoutProbe,
  withProbe,
} from './record.ts'
import type { BreakerRecord, BreakerStore } from './store.ts'

/** Names beyond these are not kept: a caller may make names of models up. */
const mostNames = 1_000
const longestName = 128
/** How often a change is tried again that others came before. */
const mostTries = 20
/** What is known of an open breaker is looked up again after this, in case somebody has reset it. */
const freshMs = 1_000

export interface Breakers extends Implementation<typeof breakerOperations>, ProviderGate {
  /** Reads what is stored. At the start, at every hint that a breaker has changed elsewhere, and now and then. */
  refresh(): Promise<void>
}

export interface BreakersDependencies {
  readonly store: BreakerStore
  readonly policy: BreakerPolicy
  readonly clock: Clock
  readonly instance: string
  /** True when nobody else changes what is stored. */
  readonly exclusive: boolean
  /** The providers that a tenant has configured. */
  names(tenant: string): Promise<readonly string[]>
  /** A breaker has closed: whatever else held its provider back is to be forgotten. */
  relieve(provider: string): void
  report(error: unknown, where: string): void
}

type Rule = (record: BreakerRecord) => BreakerRecord | null

/**
 * One breaker per provider, shared by all instances of a database. Calls pass by a look at what is known here: nothing
 * is read or written while the provider works. A failure is one write; who may try an open one is decided by the store.
 */
export function createBreakers(dependencies: BreakersDependencies): Breakers {
  const { store, policy, clock, instance, exclusive, names, relieve, report } = dependencies
  const records = new Map<string, BreakerRecord>()
  const rates = new FailureRates(policy)
  /** The last change of each breaker that is under way: those of this process wait for each other. */
  const changing = new Map<string, Promise<unknown>>()
  /** Breakers whose last change the store has not taken. */
  const unstored = new Set<string>()
  const listeners = new Set<BreakerListener>()
  let refreshedAt = Number.NEGATIVE_INFINITY
  let refreshing: Promise<void> | undefined
  let refreshAgain = false

  const knows = (provider: string) =>
    records.has(provider) || (records.size < mostNames && provider !== '' && provider.length <= longestName)

  const recordOf = (provider: string): BreakerRecord => {
    const record = records.get(provider)
    if (record === undefined) return freshRecord(provider, policy)
    const cooling = recooled(record, clock.now())
    // Not written: the next change writes it, and every instance sees by its own clock.
    if (cooling !== record) records.set(provider, cooling)
    return cooling
  }

  function tell(event: BreakerEvent | null): void {
    if (event === null) return
    for (const listener of listeners) {
      try {
        listener(event)
      } catch (error) {
        report(error, 'listener')
      }
    }
  }

  function learn(record: BreakerRecord): void {
    const before = records.get(record.provider)
    if (before !== undefined && before.version >= record.version) return
    records.set(record.provider, record)
    if (record.state === 'closed' && before?.state === 'open') {
      rates.forget(record.provider)
      relieve(record.provider)
    }
    tell(eventOf(before ?? null, record))
  }

  async function readAll(): Promise<void> {
    const stored = await store.list('', mostNames)
    for (const record of stored) learn(record)
    refreshedAt = clock.now()
    for (const provider of unstored) {
      const record = recordOf(provider)
      const version = stored.find((each) => each.provider === provider)?.version ?? 0
      // It still holds here, and follows what is stored the next time it changes.
      if (version < record.version) records.set(provider, { ...record, version })
      else unstored.delete(provider)
    }
  }

  /** One look at a time; who asks during one gets a look that began after they asked. */
  async function refresh(): Promise<void> {
    if (refreshing !== undefined) {
      refreshAgain = true
      return await refreshing
    }
    const looking = async () => {
      try {
        do {
          refreshAgain = false
          await readAll()
        } while (refreshAgain)
      } finally {
        refreshing = undefined
      }
    }
    refreshing = looking()
    return await refreshing
  }

  /** What the store does not take holds here alone: the provider that fails is the same. */
  async function write(provider: string, rule: Rule): Promise<BreakerRecord | null> {
    for (let tries = 0; tries < mostTries; tries += 1) {
      const next = rule(recordOf(provider))
      if (next === null) return null
      if (await store.swap(next)) {
        unstored.delete(provider)
        learn(next)
        return next
      }
      await refresh()
    }
    throw breakerErrors.BREAKER_CONTENDED()
  }

  /** In the order of the calls, so that this process does not race with itself. */
  function change(provider: string, rule: Rule): Promise<BreakerRecord | null> {
    const before = changing.get(provider) ?? Promise.resolve()
    const changed = before.catch(() => {}).then(() => write(provider, rule))
    changing.set(provider, changed)
    const settled = () => {
      if (changing.get(provider) === changed) changing.delete(provider)
    }
    changed.then(settled, settled)
    return changed
  }

  /** For what a call came to: a store that cannot be had must not fail the turn as well. */
  async function note(provider: string, rule: Rule): Promise<void> {
    try {
      await change(provider, rule)
    } catch (error) {
      report(error, `breaker ${provider}`)
      const next = rule(recordOf(provider))
      if (next === null) return
      unstored.add(provider)
      learn(next)
    }
  }

  /** A claim of the version that the admission names: whatever came since has made it void. */
  const ofProbe =
    (probe: number, rule: (record: BreakerRecord) => BreakerRecord): Rule =>
    (record) =>
      record.version === probe ? rule(record) : null

  async function admitOpen(provider: string): Promise<Admission> {
    const age = clock.now() - refreshedAt
    if (!exclusive && (age < 0 || age > freshMs)) await refresh().catch((error) => report(error, `breaker ${provider}`))
    const verdict = judge(recordOf(provider))
    if (verdict.pass === 'call') return admitted
    if (verdict.pass === 'no') return { allowed: false, reason: verdict.reason, retryAfterMs: verdict.waitMs }
    let claimed: BreakerRecord | null
    try {
      claimed = await change(provider, (now) => withProbe(orphaned(now), policy, instance, clock.now()))
    } catch (error) {
      report(error, `breaker ${provider}`)
      return { allowed: false, reason: 'probe-running', retryAfterMs: policy.probeMs }
    }
    if (claimed !== null) return { allowed: true, probe: claimed.version }
    const after = judge(recordOf(provider))
    if (after.pass === 'call') return admitted
    return { allowed: false, reason: 'probe-running', retryAfterMs: after.pass === 'no' ? after.waitMs : freshMs }
  }

  /** Where nobody else is, a claim of another instance is that of a dead one. */
  const orphaned = (record: BreakerRecord): BreakerRecord =>
    exclusive && record.probe !== null && record.probe.instance !== instance ? { ...record, probe: null } : record

  const judge = (record: BreakerRecord) => verdictOf(orphaned(record), policy, clock.now())

  const statusOf = (provider: string): BreakerStatus => {
    const now = clock.now()
    const record = recordOf(provider)
    const { cause, failures, lastFailure, openedAt, retryAt, probe } = record
    return {
      provider,
      state: stateOf(record, now),
      cause,
      failures: failures.filter((at) => Math.abs(now - at) < policy.windowMs).length,
      lastFailure,
      openedAt,
      retryAt,
      probing: probe !== null && now < probe.until,
    }
  }

  /** Throws `PROVIDER_UNKNOWN`. */
  async function known({ principal: { tenant } }: CallContext, provider: string): Promise<void> {
    if (!exclusive) await refresh()
    if (!records.has(provider) && !(await names(tenant)).includes(provider)) throw breakerErrors.PROVIDER_UNKNOWN()
  }

  return {
    refresh,

    stateOf(provider) {
      return records.has(provider) ? stateOf(recordOf(provider), clock.now()) : 'closed'
    },

    admit(provider) {
      rates.called(provider, clock)
      const record = records.get(provider)
      return record === undefined || record.state === 'closed' ? admitted : admitOpen(provider)
    },

    succeeded(provider, admission) {
      if (!admission.allowed || admission.probe === null) return undefined
      return note(
        provider,
        ofProbe(admission.probe, (record) => closed(record, policy, clock.now(), record.lastFailure)),
      )
    },

    async failed(provider, admission, call: ModelFailure) {
      if (!admission.allowed || !knows(provider)) return
      const { probe } = admission
      if (probe !== null) {
        const rule = (record: BreakerRecord) =>
          blames(call) ? withFailedProbe(record, policy, call, clock.now()) : withoutProbe(record, clock.now())
        await note(provider, ofProbe(probe, rule))
        return
      }
      if (!counts(call)) return
      const failing = rates.failed(provider, clock)
      await note(provider, (record) => withFailure(record, policy, call, clock.now(), failing))
    },

    abandoned(provider, admission) {
      if (!admission.allowed || admission.probe === null) return undefined
      return note(
        provider,
        ofProbe(admission.probe, (record) => withoutProbe(record, clock.now())),
      )
    },

    async status({ principal: { tenant } }) {
      if (!exclusive) await refresh()
      const all = new Set([...(await names(tenant)), ...records.keys()])
      return { policy, breakers: [...all].sort().map(statusOf) }
    },

    async reset(context, { provider }) {
      await known(context, provider)
      relieve(provider)
      rates.forget(provider)
      // What has never failed is as a reset leaves it, and needs no row.
      await change(provider, (record) => (record.version === 0 ? null : closed(record, policy, clock.now(), null)))
      return statusOf(provider)
    },

    async forceOpen(context, { provider }) {
      await known(context, provider)
      await change(provider, (record) => forcedOpen(record, clock.now()))
      return statusOf(provider)
    },

    watch(_, { listener }) {
      const own: BreakerListener = (event) => listener(event)
      listeners.add(own)
      return () => {
        listeners.delete(own)
      }
    },
  }
}
