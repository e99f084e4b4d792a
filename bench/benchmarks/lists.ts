import { measurements, type Report, target } from '../harness/report.ts'
import { interleave } from '../harness/rounds.ts'
import type { Benchmark } from './benchmark.ts'

export const lists: Benchmark = {
  name: 'lists',
  what: '1,000 sessions, messages of one, or notes over HTTP, beside the statements that are issued for them',
  async run(): Promise<Report> {
    const result = await interleave({ job: 'lists', subjects: ['bare', 'HTTP'], rounds: 11 })
    const all = [
      ...['sessionsUs', 'messagesUs', 'notesUs'].flatMap((metric) =>
        measurements(result, metric, 'us/list CPU', 'bare'),
      ),
      ...['sessionsStatements', 'messagesStatements', 'notesStatements']
        .flatMap((metric) => measurements(result, metric, ''))
        .filter(({ subject }) => subject === 'HTTP'),
    ]
    return {
      benchmark: 'lists',
      measurements: all,
      targets: target(all, { subject: 'HTTP', metric: 'sessionsStatements', of: 'median', atMost: 1 }),
      failed: result.failed,
    }
  },
}
