import type { Report } from '../harness/report.ts'

/** What a benchmark may leave out. */
export interface RunOptions {
  /** Subjects of other libraries, where they are installed. */
  readonly peers: readonly string[]
}

export interface Benchmark {
  readonly name: string
  readonly what: string
  run(options: RunOptions): Promise<Report>
}
