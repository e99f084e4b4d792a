import { describe, expect, it, onTestFinished } from 'vitest'
import { everyVerb } from '../../store-kysely/test/every-verb.ts'
import { openStore, usePostgres } from './scene.ts'

const server = usePostgres()

interface Plan {
  readonly sql: string
  readonly steps: readonly string[]
}

/**
 * How Postgres would find the rows of every statement there is but plain inserts. In empty tables reading all is cheapest:
 * it is made dear, and so is sorting, so that a plan has them only where there is no other way.
 */
async function plansOfAll(): Promise<Plan[]> {
  const statements = new Set<string>()
  const { close, pool, store } = await openStore(server().url, { trace: (sql) => statements.add(sql) })
  onTestFinished(close)
  statements.clear()
  await everyVerb(store)
  const client = await pool.connect()
  try {
    await client.query('set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off')
    const plans: Plan[] = []
    for (const sql of statements) {
      if (!/^(select|update|delete|with)/.test(sql)) continue
      const { rows } = await client.query(`explain (generic_plan, costs off) ${sql}`)
      plans.push({ sql, steps: rows.map((row) => String(row['QUERY PLAN']).trim().replace(/^-> +/, '')) })
    }
    return plans
  } finally {
    client.release(true)
  }
}

describe('the plan of every statement', () => {
  it('reads no table and no index from end to end, and sorts nothing', async () => {
    const plans = await plansOfAll()
    expect(plans.length).toBeGreaterThan(130)
    const odd = plans.map(({ sql, steps }) => ({ sql, odd: steps.filter(isOdd(sql)), steps }))
    expect(odd.filter((plan) => plan.odd.length > 0)).toEqual([])
  })
})

/**
 * These hold little: what is under way, the instances that run. Or they are read with the first start of new code, and
 * with a new key of the vault, alone.
 */
const complete =
  /^(sessions_(leased|waiting|stalled)|turns_queued|approvals_(pending|unfollowed)|reservations_without_turn|instances_pkey|config_(heads|generations)_pkey|vault_entries_by_key)$/

/** What reads or sorts all it finds, and why it may. */
const meant: readonly RegExp[] = [
  // Groups and order of a report: the sums of few buckets.
  /"cost_rollups"/,
  // An index by activity would have to be moved with every commit of every turn, for a list that is seldom asked for.
  /"sessions"."tenant" = \$1 .*order by "updated_at"/,
  // The ranks of what the full-text index finds.
  /"note_words"/,
  // Of a path there are as many notes as subjects that have it.
  /"notes" where "path" = \$1 and .*"tenant" = \$2 .*order by/,
]

/** True for a step that goes through everything. */
const isOdd =
  (sql: string) =>
  (step: string, index: number, steps: readonly string[]): boolean => {
    if (/^(Incremental )?Sort$/.test(step)) return !meant.some((pattern) => pattern.test(sql))
    const [, name] = /^Index (?:Only )?Scan (?:Backward )?using (\S+)/.exec(step) ?? []
    if (name === undefined) return step.startsWith('Seq Scan')
    return !complete.test(name) && !steps[index + 1]?.startsWith('Index Cond')
  }
