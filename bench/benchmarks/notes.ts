import { join } from 'node:path'
import { temporaryFolder } from '../harness/folder.ts'
import { measurements, type Report, target } from '../harness/report.ts'
import { interleave } from '../harness/rounds.ts'
import { makeNotesFile } from '../jobs/notes-file.ts'
import type { Benchmark } from './benchmark.ts'

const ranked = ['rareUs', 'usualUs', 'commonUs', 'twoWordsUs'] as const

export const notes: Benchmark = {
  name: 'notes',
  what: 'searching 100,000 notes for a word of 45, 1,000 or 10,000 of them, for two, or for a part of one, beside the statement alone',
  async run(): Promise<Report> {
    const file = join(temporaryFolder(), 'notes.db')
    await makeNotesFile(file)
    const subjects = ['bare', 'keelson', 'HTTP']
    const result = await interleave({ job: 'notes', subjects, options: { file }, rounds: 15, budgetMs: 40_000 })
    const all = [
      ...ranked.flatMap((metric) => measurements(result, metric, 'us/search CPU', 'bare')),
      ...measurements(result, 'substringMs', 'ms/search', 'bare'),
      ...measurements(result, 'stretchMs', 'ms'),
    ]
    return {
      benchmark: 'notes',
      measurements: all,
      targets: ranked.flatMap((metric) => target(all, { subject: 'keelson', metric, of: 'ratio', atMost: 1.5 })),
      failed: result.failed,
    }
  },
}
