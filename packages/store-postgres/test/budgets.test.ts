import { expect, it } from 'vitest'
import { startInstance } from './instances.ts'
import { moneyProblems } from './money.ts'
import { inspect, newSchema } from './postgres-server.ts'
import { usePostgres } from './scene.ts'

const server = usePostgres()

it('50 turns on two instances, one of which is killed, never overspend their budget, and no money stays held', async () => {
  const schema = newSchema()
  const budget = 1_500_000
  const start = () => startInstance({ url: server().url, schema, leaseMs: 1_500, listen: true, budget })
  const [one, two] = await Promise.all([start(), start()])
  try {
    const watched: number[] = []
    const look = async () => {
      const rows = await inspect(server().url, `select spent + reserved as taken from "${schema}".budget_windows`)
      watched.push(Number((rows[0] as { taken?: unknown } | undefined)?.taken ?? 0))
    }
    const asked = Array.from({ length: 50 }, (_, index) =>
      (index % 2 === 0 ? one : two).ask({ do: 'run', message: `${index % 5 === 0 ? 'plain' : 'slow'} ${index}` }),
    )
    await one.heard('model', 'slow')
    await look()
    await one.kill()
    const accepted = (await Promise.allSettled(asked)).flatMap((run) =>
      run.status === 'fulfilled' ? run.value.turn : [],
    )
    expect(accepted.length).toBeGreaterThan(0)
    const three = await start()
    try {
      const open = async () =>
        (await inspect(server().url, `select id from "${schema}".turns where status in ('queued', 'running')`)).length
      while ((await open()) > 0) {
        await look()
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      await look()
    } finally {
      await three.kill()
    }
    expect(Math.max(...watched)).toBeLessThanOrEqual(budget)
    expect(await moneyProblems(server().url, schema)).toEqual([])
    const outcomes = (await inspect(server().url, `select distinct outcome from "${schema}".ledger`)) as {
      outcome: string
    }[]
    // What the killed instance was saying was charged as it was set aside.
    expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(['at-reservation', 'settled'])
    const failed = (await inspect(
      server().url,
      `select distinct error::json->>'code' as code from "${schema}".turns where status = 'failed'`,
    )) as { code: string }[]
    expect(failed).toEqual([{ code: 'BUDGET_EXHAUSTED' }])
  } finally {
    await Promise.all([one.kill(), two.kill()])
  }
}, 60_000)
