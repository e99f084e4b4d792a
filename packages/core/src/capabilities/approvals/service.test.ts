import { describe, expect, it, vi } from 'vitest'
import { createApprovals } from './service.ts'
import type { Approval, ApprovalStore } from './store.ts'

const operator = {
  principal: { tenant: 'acme', subject: 'ada', roles: ['operator'], via: 'test', ambient: false },
}

/** Approvals over turns that can be resumed, some of which cannot be gone on with. */
function sweeping() {
  const overdue: Approval[] = []
  const resumable: string[] = []
  const broken = new Set<string>()
  const asked: number[] = []
  const report = vi.fn()
  const store: Pick<ApprovalStore, 'count' | 'expire' | 'list' | 'resumable' | 'unfollowed'> = {
    count: async () => 0,
    list: async () => [],
    expire: async () => overdue.splice(0),
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
  return { approvals, overdue, resumable, broken, asked, report }
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

describe('a reader of approvals', () => {
  it('looks for turns to go on with only where the time of an approval is over', async () => {
    const { approvals, asked, overdue } = sweeping()
    const window = { limit: 10, offset: 0 }
    await approvals.list(operator, window)
    await approvals.count(operator, {})
    expect(asked).toEqual([])
    overdue.push({ id: 'a', turn: 't' } as Approval)
    await approvals.list(operator, window)
    expect(asked).toHaveLength(1)
  })
})
