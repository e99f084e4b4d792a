import { measurements, type Report, target } from '../harness/report.ts'
import { interleave } from '../harness/rounds.ts'
import type { Benchmark } from './benchmark.ts'

const ours = ['raw', 'lean', 'keelson']

interface Shape {
  readonly name: string
  readonly what: string
  readonly chunks?: number
  readonly calls?: number
  /** Most times of `lean`. */
  readonly atMost: number
}

const loopBenchmark = ({ name, what, chunks = 1, calls = 0, atMost }: Shape): Benchmark => ({
  name,
  what,
  async run({ peers }): Promise<Report> {
    const result = await interleave({
      job: 'agent',
      subjects: [...ours, ...peers],
      options: { chunks, calls, roundMs: 150, warmMs: 2_000 },
      rounds: 15,
    })
    const unit = chunks === 1 ? 'us/turn' : 'us/chunk'
    const times = [...measurements(result, 'us', unit, 'lean'), ...measurements(result, 'cpuUs', `${unit} CPU`, 'lean')]
    const firsts = measurements(result, 'firstMs', 'ms')
    const targets = target(times, { subject: 'keelson', metric: 'us', of: 'ratio', atMost })
    return { benchmark: name, measurements: [...times, ...firsts], targets, failed: result.failed }
  },
})

/** Short answers: behind a long one, the time would be that of a processor whose caches it has filled. */
const firstPiece: Benchmark = {
  name: 'first_piece',
  what: 'from the call to the first piece of an answer of 20',
  async run({ peers }): Promise<Report> {
    const options = { chunks: 20, roundMs: 150, warmMs: 2_000 }
    const result = await interleave({ job: 'agent', subjects: [...ours, ...peers], options, rounds: 15 })
    const all = measurements(result, 'firstMs', 'ms', 'lean')
    const targets = target(all, { subject: 'keelson', metric: 'firstMs', of: 'median', atMost: 0.1 })
    return { benchmark: 'first_piece', measurements: all, targets, failed: result.failed }
  },
}

/** The loop with persistence taken out, beside a reference loop and other libraries on the same scripted work. */
export const loopBenchmarks: readonly Benchmark[] = [
  loopBenchmark({ name: 'turn', what: 'one answer of one piece', atMost: 6 }),
  loopBenchmark({ name: 'tool_turn_1', what: 'one tool call, then the answer', calls: 1, atMost: 6 }),
  loopBenchmark({ name: 'tool_turn_8', what: 'eight tool calls at once, then the answer', calls: 8, atMost: 5 }),
  loopBenchmark({ name: 'stream', what: 'an answer of 2,000 pieces', chunks: 2_000, atMost: 2.5 }),
  firstPiece,
]
