import { startPostgres } from '../../packages/store-postgres/test/postgres-server.ts'
import { measurements, type Report, target } from '../harness/report.ts'
import { interleave, type RoundsInput, type RoundsResult } from '../harness/rounds.ts'
import type { Benchmark } from './benchmark.ts'

const rounds = 15

async function onPostgres(input: RoundsInput): Promise<RoundsResult> {
  const { url, stop } = await startPostgres()
  try {
    return await interleave({ ...input, options: { ...input.options, url } })
  } finally {
    await stop()
  }
}

export const durablePostgres: Benchmark = {
  name: 'durable_postgres',
  what: 'a plain turn on Postgres, beside the statements it issues, prepared, on pg alone',
  async run(): Promise<Report> {
    const options = { turns: 100, rounds }
    const result = await onPostgres({ job: 'postgres-turns', subjects: ['bare', 'keelson'], options, rounds })
    const all = [
      ...measurements(result, 'us', 'us/turn', 'bare'),
      ...measurements(result, 'cpuUs', 'us/turn CPU', 'bare'),
    ]
    const targets = target(all, { subject: 'keelson', metric: 'us', of: 'ratio', atMost: 1.5 })
    return { benchmark: 'durable_postgres', measurements: all, targets, failed: result.failed }
  },
}

export const instances: Benchmark = {
  name: 'instances',
  what: 'two instances on one Postgres: from the end of an answer to the start of the queued one; 1,000 sessions at once',
  async run(): Promise<Report> {
    const result = await onPostgres({ job: 'postgres-instances', subjects: ['keelson'], rounds: 5 })
    const all = [...measurements(result, 'queueMs', 'ms'), ...measurements(result, 'sessionUs', 'us/session')]
    const targets = target(all, { subject: 'keelson', metric: 'queueMs', of: 'median', atMost: 10 })
    return { benchmark: 'instances', measurements: all, targets, failed: result.failed }
  },
}
