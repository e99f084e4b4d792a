import { describe, expect, it, vi } from 'vitest'
import type { Clock } from './kernel/clock.ts'
import { createLife, type LifeDependencies } from './runtime-life.ts'
import { type Store, storeErrors } from './stores.ts'

/** A runtime's life on a database that others use too, whose sweep begins when the test says so. */
async function sweeping(take: () => Promise<void>) {
  const timers: (() => void)[] = []
  const clock: Clock = {
    now: () => 0,
    after(_, run) {
      timers.push(run)
      return () => {}
    },
  }
  const done = vi.fn()
  const doing = (what: string) => async () => done(what)
  const report = vi.fn()
  const store = { exclusive: false, open: async () => {}, loop: { heartbeat: async () => {}, prune: async () => 0 } }
  const life = createLife({
    store: store as unknown as Store,
    opened: () => {},
    instance: 'one',
    config: { start: async () => {}, sweep: doing('config'), moved: () => {} },
    breakers: { refresh: doing('breakers') },
    prices: { load: async () => {} },
    providerKeys: { changed: () => {} },
    costs: { settleAbandoned: async () => {} },
    runner: { takeOver: take, stop: async () => {} },
    held: { changed: () => {}, sweep: doing('held') },
    approvals: { sweep: doing('approvals') },
    connectors: { stop: async () => {} },
    realtime: { touch: () => {}, stop: () => {} },
    clock,
    leaseMs: 15_000,
    stopMs: 0,
    report,
  } satisfies LifeDependencies)
  await life.start()
  done.mockClear()
  // The heartbeat, then the sweep.
  timers[1]?.()
  await vi.waitFor(() => expect(timers).toHaveLength(3))
  return { done: done.mock.calls.flat(), report }
}

describe('a sweep', () => {
  it('does the rest of its work when something in it is broken, and tells of that', async () => {
    const broken = new Error('a turn that nobody can read')
    const take = vi.fn<() => Promise<void>>().mockResolvedValueOnce().mockRejectedValue(broken)
    const { done, report } = await sweeping(take)
    expect(done).toEqual(['config', 'held', 'breakers', 'approvals'])
    expect(report.mock.calls).toEqual([[broken, 'sweep']])
  })

  it('gives up and tells once of a database that cannot be had', async () => {
    const gone = storeErrors.STORE_BUSY()
    const take = vi.fn<() => Promise<void>>().mockResolvedValueOnce().mockRejectedValue(gone)
    const { done, report } = await sweeping(take)
    expect(done).toEqual(['config'])
    expect(report.mock.calls).toEqual([[gone, 'sweep']])
  })
})
