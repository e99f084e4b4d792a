import { measurements, type Report, target } from '../harness/report.ts'
import { interleave } from '../harness/rounds.ts'
import type { Benchmark } from './benchmark.ts'

const metrics = ['rareUs', 'usualUs', 'commonUs'] as const

export const notes: Benchmark = {
  name: 'notes',
  what: 'searching 100,000 notes for a word of 40, 1,000 or 10,000 of them, beside the full-text statement alone',
  async run(): Promise<Report> {
    const result = await interleave({ job: 'notes', subjects: ['bare', 'keelson'], rounds: 9 })
    const all = metrics.flatMap((metric) => measurements(result, metric, 'us/search', 'bare'))
    return {
      benchmark: 'notes',
      measurements: all,
      targets: metrics.flatMap((metric) => target(all, { subject: 'keelson', metric, of: 'ratio', atMost: 1.5 })),
      failed: result.failed,
    }
  },
}
