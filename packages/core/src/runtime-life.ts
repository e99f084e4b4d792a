import type { Approvals } from './capabilities/approvals/service.ts'
import type { Breakers } from './capabilities/breakers/service.ts'
import type { ProviderKeys } from './capabilities/config/provider-keys.ts'
import type { Config } from './capabilities/config/service.ts'
import type { Connectors } from './capabilities/connectors/service.ts'
import type { Prices } from './capabilities/costs/rate-card.ts'
import type { Costs } from './capabilities/costs/service.ts'
import type { HeldTurns } from './capabilities/loop/held-turns.ts'
import { loopErrors } from './capabilities/loop/index.ts'
import type { Runner } from './capabilities/loop/runner.ts'
import type { Realtime } from './capabilities/realtime/service.ts'
import type { Clock } from './kernel/clock.ts'
import { isKeelsonError } from './kernel/errors.ts'
import { repeat } from './kernel/repeat.ts'
import { type Store, type StoreChange, storeErrors } from './stores.ts'

/** What turns have to record their end when their tools were aborted. */
const afterStopMs = 1_000
/** Instances that are dead for so long are forgotten. */
const forgottenAfterMs = 3_600_000

/** Stores that a runtime of this process has open: what runs there is not left over from a dead one. */
const inUse = new WeakSet<Store>()

export interface LifeDependencies {
  readonly store: Store
  /** Told when the store is open. */
  opened(): void
  readonly instance: string
  readonly config: Pick<Config, 'start' | 'sweep' | 'moved'>
  readonly breakers: Pick<Breakers, 'refresh'>
  readonly prices: Pick<Prices, 'load'>
  readonly providerKeys: Pick<ProviderKeys, 'changed'>
  readonly costs: Pick<Costs, 'settleAbandoned'>
  readonly runner: Pick<Runner, 'takeOver' | 'stop'>
  readonly held: HeldTurns
  readonly approvals: Pick<Approvals, 'sweep'>
  readonly connectors: Pick<Connectors, 'stop'>
  readonly realtime: Pick<Realtime, 'touch' | 'stop'>
  readonly clock: Clock
  readonly leaseMs: number
  readonly stopMs: number
  report(error: unknown, where: string): void
}

/** How a runtime begins, what it does now and then, and how it ends. */
export interface Life {
  /** Undefined once operations can be served; otherwise starts. */
  ready(): Promise<void> | undefined
  readonly started: () => boolean
  /** Opens the store and goes on with what a dead process left. Tried again by the next call when it has failed. */
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
}

export function createLife(dependencies: LifeDependencies): Life {
  const { approvals, breakers, clock, config, connectors, costs, held, instance } = dependencies
  const { leaseMs, prices, providerKeys, realtime, report, runner, stopMs, store } = dependencies
  let state: 'new' | 'started' | 'stopped' = 'new'
  let starting: Promise<void> | undefined
  let stopping: Promise<void> | undefined
  let opened = false
  /** What stops the timers, and the hints of what other instances do. */
  let endSweep = () => {}
  let endHeartbeat = () => {}
  let endChanges = () => {}

  function start(): Promise<void> {
    if (state === 'stopped') return Promise.reject(loopErrors.RUNTIME_STOPPED())
    starting ??= open().catch((error) => {
      starting = undefined
      throw error
    })
    return starting
  }

  async function open(): Promise<void> {
    if (!opened && store.exclusive && inUse.has(store)) throw storeErrors.STORE_IN_USE()
    inUse.add(store)
    await store.open().catch((error) => {
      inUse.delete(store)
      throw error
    })
    opened = true
    dependencies.opened()
    // Before any turn goes on: it must find the generation it began with.
    await config.start()
    await breakers.refresh()
    await prices.load()
    await heartbeat()
    // What seems to run in a database that nobody else uses was left by a dead process.
    await takeOver(store.exclusive ? Number.MAX_SAFE_INTEGER : staleBefore())
    if (state === 'stopped') throw loopErrors.RUNTIME_STOPPED()
    state = 'started'
    // Each on its own: an instance that is slow to sweep is not dead.
    if (!store.exclusive) endHeartbeat = repeated(heartbeat, leaseMs / 6, 'heartbeat')
    endSweep = repeated(sweep, leaseMs / 3, 'sweep')
    endChanges = store.changes?.subscribe(hint) ?? endChanges
    await approvals.sweep().catch((error) => report(error, 'sweep'))
  }

  const heartbeat = () => store.loop.heartbeat(instance, clock.now())

  const staleBefore = () => clock.now() - Math.round((leaseMs * 2) / 3)

  const repeated = (work: () => Promise<void>, everyMs: number, where: string) =>
    repeat(clock, everyMs, work, (error) => report(error, where))

  async function takeOver(before: number): Promise<void> {
    await runner.takeOver(before)
    await costs.settleAbandoned(before)
    await store.loop.prune(clock.now() - forgottenAfterMs)
  }

  /** What breaks one of them must not keep the others from their work; a database that fails them all is told of once. */
  async function sweep(): Promise<void> {
    for (const [where, work] of sweeps) {
      await work().catch((error) => {
        if (isKeelsonError(error) && error.kind === 'unavailable') throw error
        report(error, where)
      })
    }
  }

  const ofApprovals = ['sweep', () => approvals.sweep()] as const
  const sweeps = store.exclusive
    ? [ofApprovals]
    : ([
        ['config', () => config.sweep()],
        ['sweep', () => takeOver(staleBefore())],
        ['sweep', () => held.sweep()],
        ['breakers', () => breakers.refresh()],
        ofApprovals,
      ] as const)

  function hint(change: StoreChange): void {
    if ('breaker' in change) breakers.refresh().catch((error) => report(error, 'breakers'))
    else if ('config' in change) config.moved(change.config)
    else if ('secret' in change) providerKeys.changed(change.secret.tenant, change.secret.name)
    else {
      realtime.touch(change.turn)
      held.changed(change.turn)
    }
  }

  async function close(): Promise<void> {
    state = 'stopped'
    endSweep()
    const waited = Promise.withResolvers<void>()
    const cancelWait = clock.after(stopMs + afterStopMs, waited.resolve)
    // A database that does not answer must not keep the process from its end.
    await Promise.race([starting?.catch(() => {}), waited.promise])
    await Promise.race([runner.stop(stopMs), waited.promise])
    cancelWait()
    await connectors.stop().catch((error) => report(error, 'stop'))
    endHeartbeat()
    endChanges()
    realtime.stop(loopErrors.RUNTIME_STOPPED())
    if (opened) await store.loop.retire(instance).catch((error) => report(error, 'stop'))
    else if (starting === undefined) return
    await store.close()
    inUse.delete(store)
  }

  return {
    ready: () => (state === 'started' ? undefined : start()),
    started: () => state === 'started',
    start,
    stop() {
      stopping ??= close()
      return stopping
    },
  }
}
