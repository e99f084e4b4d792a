import { expect, it } from 'vitest'
import { allocationFlags } from '../bench/benchmarks/heap.ts'
import { interleave } from '../bench/harness/rounds.ts'
import { median } from '../bench/harness/statistics.ts'

it('a plain turn allocates at most 40 KiB beside what the store does', { timeout: 120_000 }, async () => {
  const { failed, measured } = await interleave({
    job: 'allocation',
    subjects: ['keelson'],
    options: { turns: 60 },
    rounds: 7,
    nodeFlags: allocationFlags,
  })
  expect([...failed.values()]).toEqual([])
  const kib = measured.get('keelson')?.flatMap(({ allocatedKib }) => allocatedKib ?? []) ?? []
  // A round in which the collector ran says nothing; most have to be without.
  expect(kib.length).toBeGreaterThanOrEqual(4)
  expect(median(kib)).toBeGreaterThan(1)
  expect(median(kib)).toBeLessThanOrEqual(40)
})
