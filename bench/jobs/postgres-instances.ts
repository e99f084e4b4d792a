import { createRuntime, singleOwner } from '@keelson/core'
import { postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import type { StartJob } from '../harness/job.ts'
import { instructions, makeScript, userMessage } from '../harness/script.ts'
import { median } from '../harness/statistics.ts'
import { scriptedProvider } from '../subjects/keelson.ts'

const sessions = 1_000
const handOvers = 40

/**
 * Two instances on one Postgres. `queueMs`: a message reaches one instance while the other answers in its session; from the
 * end of that answer until the other instance sees the next one start. `sessionUs`: 1,000 sessions at once, half on either. Option: `url`.
 */
export const start: StartJob = async (_name, { url }) => {
  const instance = async () => {
    const runtime = createRuntime({
      store: postgresStore({
        pool: new pg.Pool({ connectionString: String(url), max: 10 }),
        schema: 'bench_instances',
        listen: () => new pg.Client({ connectionString: String(url) }),
      }),
      providers: [scriptedProvider(makeScript(20, 0))],
      agents: [{ id: 'bench', instructions, models: ['bench/scripted'] }],
    })
    await runtime.start()
    return runtime.as(singleOwner('bench'))
  }
  const clients = [await instance(), await instance()] as const
  const [a, b] = clients

  async function handOver(): Promise<number> {
    const { id: session } = await a.sessions.create({ agent: 'bench' })
    const first = a.run('bench', { session, message: userMessage })
    const answered = first.result.then(() => performance.now())
    await first.accepted
    const second = b.run('bench', { session, message: userMessage })
    let started = 0
    for await (const event of second) {
      if (event.type !== 'turn.started') continue
      started = performance.now()
      break
    }
    const ended = await answered
    await second.result
    return started - ended
  }

  return {
    async round() {
      const waits: number[] = []
      for (let count = 0; count < handOvers; count += 1) waits.push(await handOver())
      const begin = performance.now()
      const results = await Promise.all(
        Array.from(
          { length: sessions },
          (_, index) => clients[index % 2]?.run('bench', { message: userMessage }).result,
        ),
      )
      const sessionUs = ((performance.now() - begin) * 1_000) / sessions
      if (results.some((result) => result === undefined)) throw new Error('a session was not answered')
      return { queueMs: median(waits), sessionUs }
    },
  }
}
