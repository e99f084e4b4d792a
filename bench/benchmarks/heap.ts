import { measurements, type Report, target } from '../harness/report.ts'
import { interleave } from '../harness/rounds.ts'
import type { Benchmark } from './benchmark.ts'

/** So large a young generation that nothing is collected between two readings. */
export const allocationFlags = ['--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256']

export const heap: Benchmark = {
  name: 'heap',
  what: 'bytes a plain turn allocates, and bytes it leaves behind',
  async run({ peers }): Promise<Report> {
    const subjects = ['raw', 'lean', 'keelson', ...peers]
    const allocating = await interleave({
      job: 'allocation',
      subjects,
      options: { turns: 60 },
      rounds: 9,
      nodeFlags: allocationFlags,
    })
    const keeping = await interleave({
      job: 'allocation',
      subjects,
      options: { turns: 1_000 },
      rounds: 5,
      nodeFlags: ['--expose-gc'],
    })
    const all = [
      ...measurements(allocating, 'allocatedKib', 'KiB/turn', 'lean'),
      ...measurements(keeping, 'keptBytes', 'bytes/turn'),
    ]
    return {
      benchmark: 'heap',
      measurements: all,
      targets: [
        ...target(all, { subject: 'keelson', metric: 'allocatedKib', of: 'median', atMost: 40 }),
        ...target(all, { subject: 'keelson', metric: 'allocatedKib', of: 'ratio', atMost: 5 }),
        ...target(all, { subject: 'keelson', metric: 'keptBytes', of: 'median', atMost: 500 }),
      ],
      failed: new Map([...allocating.failed, ...keeping.failed]),
    }
  },
}
