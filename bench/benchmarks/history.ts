import { measurements, type Report, target } from '../harness/report.ts'
import { interleave } from '../harness/rounds.ts'
import type { Benchmark } from './benchmark.ts'

export const history: Benchmark = {
  name: 'history',
  what: 'a turn of a session with 20 to 10,000 messages on a database file, the model excluded',
  async run(): Promise<Report> {
    const result = await interleave({
      job: 'history',
      subjects: ['20', '100', '1000', '10000'],
      rounds: 9,
      budgetMs: 90_000,
    })
    const all = [
      ...measurements(result, 'us', 'us/turn', '20'),
      ...measurements(result, 'storeUs', 'us/turn', '20'),
      ...measurements(result, 'loopUs', 'us/turn', '20'),
    ]
    return {
      benchmark: 'history',
      measurements: all,
      targets: target(all, { subject: '10000', metric: 'us', of: 'ratio', atMost: 2 }),
      failed: result.failed,
    }
  },
}

export const cold: Benchmark = {
  name: 'cold',
  what: 'a session of 1,000 messages that is not in memory, beside reading its rows and parsing their JSON',
  async run(): Promise<Report> {
    const result = await interleave({ job: 'cold', subjects: ['bare', 'keelson'], rounds: 13 })
    const all = [
      ...measurements(result, 'us', 'us/load', 'bare'),
      ...measurements(result, 'cpuUs', 'us/load CPU', 'bare'),
    ]
    return {
      benchmark: 'cold',
      measurements: all,
      targets: target(all, { subject: 'keelson', metric: 'us', of: 'ratio', atMost: 1.5 }),
      failed: result.failed,
    }
  },
}
