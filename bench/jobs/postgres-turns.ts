import { createRuntime, type Runtime, singleOwner } from '@keelson/core'
import { type PostgresPool, type PostgresQuery, postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { timed } from '../harness/clocks.ts'
import type { Job, StartJob } from '../harness/job.ts'
import { instructions, makeScript, userMessage } from '../harness/script.ts'
import { scriptedProvider } from '../subjects/keelson.ts'

const turnsPerSession = 10
const warmTurns = 300

/**
 * A plain turn on Postgres, one after the other. `keelson` runs it; `bare` repeats the very statements that such turns
 * issue, prepared and in the same transactions, on `pg` alone. Options: `url`, `turns` per round, `rounds`.
 */
export const start: StartJob = async (name, { url, turns = 100, rounds = 15 }) => {
  const pool = new pg.Pool({ connectionString: String(url), max: 4 })
  if (name === 'keelson') {
    const run = await agentOn(pool, 'bench_keelson')
    await run(warmTurns)
    return { round: () => timed(Number(turns), () => run(Number(turns))) }
  }
  return await bareJob(pool, Number(turns), Number(rounds))
}

async function agentOn(pool: PostgresPool, schema: string): Promise<(turns: number) => Promise<void>> {
  const runtime: Runtime = createRuntime({
    store: postgresStore({ pool, schema }),
    providers: [scriptedProvider(makeScript(1, 0))],
    agents: [{ id: 'bench', instructions, models: ['bench/scripted'] }],
    // Signs of life and looks for the dead are no part of a turn.
    leaseMs: 3_600_000,
  })
  await runtime.start()
  const client = runtime.as(singleOwner('bench'))
  return async (turns) => {
    for (let turn = 0, session = ''; turn < turns; turn += 1) {
      if (turn % turnsPerSession === 0) session = (await client.sessions.create({ agent: 'bench' })).id
      await client.run('bench', { session, message: userMessage }).result
    }
  }
}

/** The queries of one loan of a connection, with the rows that each gave. */
interface Loan {
  readonly queries: { query: PostgresQuery; rows: number }[]
}

async function bareJob(pool: pg.Pool, turns: number, rounds: number): Promise<Job> {
  const { loans, recorder } = recording(pool)
  const run = await agentOn(recorder, 'bench_recorded')
  const empty = postgresStore({ pool, schema: 'bench_bare' })
  await empty.open()
  await empty.close()
  loans.length = 0
  await run(warmTurns)
  const recorded = [loans.splice(0)]
  for (let round = 0; round < rounds; round += 1) {
    await run(turns)
    recorded.push(loans.splice(0))
  }
  const repeat = async (work: readonly Loan[]): Promise<void> => {
    for (const { queries } of work) {
      const client = await pool.connect()
      for (const { query, rows } of queries) {
        const found = await client.query(query as pg.QueryConfig)
        if (found.rows.length !== rows)
          throw new Error(
            `repeated, a statement found ${found.rows.length} rows instead of ${rows}: ${(query as pg.QueryConfig).text}`,
          )
      }
      client.release()
    }
  }
  const inOwnSchema = (work: readonly Loan[]): readonly Loan[] =>
    work.map(({ queries }) => ({
      queries: queries.map(({ query, rows }) => ({
        rows,
        query: {
          ...query,
          text: query.text.replaceAll('bench_recorded', 'bench_bare'),
          ...(query.name === undefined ? {} : { name: `bare_${query.name}`.slice(0, 63) }),
        },
      })),
    }))
  const all = recorded.map(inOwnSchema)
  await repeat(all.shift() ?? [])
  return {
    round() {
      const work = all.shift()
      if (!work) throw new Error('more rounds were asked for than were recorded')
      return timed(turns, () => repeat(work))
    },
  }
}

/** A pool that writes down what is asked of its connections. */
function recording(pool: pg.Pool): { loans: Loan[]; recorder: PostgresPool } {
  const loans: Loan[] = []
  const recorder: PostgresPool = {
    async connect() {
      const client = await pool.connect()
      const loan: Loan = { queries: [] }
      loans.push(loan)
      return {
        async query(query) {
          const result = await client.query(query as pg.QueryConfig)
          loan.queries.push({ query, rows: result.rows.length })
          return result
        },
        on: (event, listener) => client.on(event, listener),
        release: (error) => client.release(error),
      }
    },
    on: (event, listener) => pool.on(event, listener),
    off: (event, listener) => pool.off(event, listener),
  }
  return { loans, recorder }
}
