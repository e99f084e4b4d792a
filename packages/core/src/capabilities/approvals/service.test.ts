import { describe, expect, it, vi } from 'vitest'
import { createApprovals } from './service.ts'
import type { ApprovalStore } from './store.ts'

/** A sweep over turns that can be resumed, some of which cannot be gone on with. */
function sweeping() {
  const resumable: string[] = []
  const broken = new Set<string>()
  const asked: number[] = []
  const report = vi.fn()
  const store: Pick<ApprovalStore, 'expire' | 'resumable' | 'unfollowed'> = {
    expire: async () => [],
    async resumable(limit) {
      asked.push(limit)
      return resumable.slice(0, limit)
    },
    unfollowed: async () => [],
  }
  const approvals = createApprovals({
    store: store as ApprovalStore,
    clock: { now: () => 0, after: () => () => {} },
    deciders: 'operator',
    async resume(turn) {
      if (broken.has(turn)) throw new Error(`${turn} is broken`)
      resumable.splice(resumable.indexOf(turn), 1)
    },
    followUp: async () => {},
    report,
  })
  return { approvals, resumable, broken, asked, report }
}

describe('a turn that cannot be gone on with', () => {
  it('is told of once and keeps no other from its turn', async () => {
    const { approvals, broken, report, resumable } = sweeping()
    for (let turn = 0; turn < 100; turn += 1) {
      resumable.push(`broken ${turn}`)
      broken.add(`broken ${turn}`)
    }
    resumable.push('whole')
    await approvals.sweep()
    await approvals.sweep()
    expect(report).toHaveBeenCalledTimes(100)
    expect(resumable).not.toContain('whole')
  })

  it('is forgotten once it waits no more, however that came about', async () => {
    const { approvals, asked, broken, report, resumable } = sweeping()
    resumable.push('one')
    broken.add('one')
    await approvals.sweep()
    resumable.length = 0
    await approvals.sweep()
    await approvals.sweep()
    expect(asked[2]).toBe(asked[0])
    resumable.push('one')
    await approvals.sweep()
    expect(report).toHaveBeenCalledTimes(2)
  })
})
