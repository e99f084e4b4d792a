import { createRuntime, singleOwner } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { type Measurement, measurements, type Report, target } from '../harness/report.ts'
import { interleave } from '../harness/rounds.ts'
import { instructions, makeScript, userMessage } from '../harness/script.ts'
import { scriptedProvider } from '../subjects/keelson.ts'
import type { Benchmark } from './benchmark.ts'

const rounds = 15

export const durable: Benchmark = {
  name: 'durable',
  what: 'a plain turn on a database file, beside the statements it issues on the bare driver',
  async run(): Promise<Report> {
    const result = await interleave({
      job: 'durable',
      subjects: ['bare', 'keelson'],
      options: { turns: 200, rounds },
      rounds,
    })
    const all = [
      ...measurements(result, 'us', 'us/turn', 'bare'),
      ...measurements(result, 'cpuUs', 'us/turn CPU', 'bare'),
      ...(await countStatements()),
    ]
    return {
      benchmark: 'durable',
      measurements: all,
      targets: [
        ...target(all, { subject: 'keelson', metric: 'us', of: 'ratio', atMost: 1.5 }),
        ...target(all, { subject: 'plain turn', metric: 'statements', of: 'median', atMost: 10 }),
        ...target(all, { subject: 'plain turn', metric: 'commits', of: 'median', atMost: 2 }),
      ],
      failed: result.failed,
    }
  },
}

/** What a plain turn of an existing session, and one that opens a session, ask of the database. */
async function countStatements(): Promise<Measurement[]> {
  const issued: string[] = []
  const store = sqliteStore(':memory:', { trace: (sql) => issued.push(sql) })
  const runtime = createRuntime({
    store,
    providers: [scriptedProvider(makeScript(1, 0))],
    agents: [{ id: 'bench', instructions, models: ['bench/scripted'] }],
  })
  const client = runtime.as(singleOwner('bench'))
  const { session } = await client.run('bench', { message: userMessage }).result
  const counted = async (subject: string, options: { readonly session?: string }): Promise<Measurement[]> => {
    issued.length = 0
    await client.run('bench', { ...options, message: userMessage }).result
    const control = issued.filter((sql) => /^(begin|commit)/i.test(sql))
    const begun = control.filter((sql) => /^begin/i.test(sql)).length
    // Outside of a transaction every statement that writes is one of its own.
    const alone = writesOutsideTransactions(issued)
    const exact = (metric: string, value: number): Measurement => ({
      subject,
      metric,
      unit: '',
      median: value,
      min: value,
      max: value,
      rounds: 1,
    })
    return [exact('statements', issued.length - control.length), exact('commits', begun + alone)]
  }
  const counts = [...(await counted('plain turn', { session })), ...(await counted('turn that opens a session', {}))]
  await runtime.stop()
  return counts
}

function writesOutsideTransactions(issued: readonly string[]): number {
  let inside = false
  let count = 0
  for (const sql of issued) {
    if (/^begin/i.test(sql)) inside = true
    else if (/^commit/i.test(sql)) inside = false
    else if (!inside && !/^\s*select/i.test(sql)) count += 1
  }
  return count
}
