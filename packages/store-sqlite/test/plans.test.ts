import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { everyVerb } from '../../store-kysely/test/every-verb.ts'
import { newFile, openStore } from './scene.ts'

interface Plan {
  readonly sql: string
  readonly steps: readonly string[]
}

/** How SQLite finds the rows of every statement there is but plain inserts. */
async function plansOfAll(): Promise<Plan[]> {
  const file = newFile()
  const statements = new Set<string>()
  const store = await openStore(file, { trace: (sql) => statements.add(sql) })
  statements.clear()
  await everyVerb(store)
  await store.close()
  const database = new DatabaseSync(file, { readOnly: true })
  const finding = [...statements].filter((sql) => /^(select|update|delete|with)/.test(sql))
  const plans = finding.map((sql) => {
    const rows = database.prepare(`explain query plan ${sql}`).all(...Array(sql.split('?').length - 1).fill(null))
    return { sql, steps: rows.map(({ detail }) => String(detail)) }
  })
  database.close()
  return plans
}

describe('the plan of every statement', () => {
  it('finds its rows through an index, and sorts nothing', async () => {
    const plans = await plansOfAll()
    expect(plans.length).toBeGreaterThan(130)
    expect(plans.filter(({ sql, steps }) => !steps.every((step) => isFitting(step) || isMeant(sql, step)))).toEqual([])
  })

  it('uses the index that was made for it', async () => {
    const plans = await plansOfAll()
    const indexes = (pattern: RegExp): string[] => {
      const steps = plans.filter(({ sql }) => pattern.test(sql)).flatMap((plan) => plan.steps)
      return [...new Set(steps.map((step) => /USING (?:COVERING )?(?:INDEX )?(\w+)/.exec(step)?.[1] ?? step))]
    }
    expect(indexes(/"running_turn" = \? and "instance" = \? returning/)).toEqual(['sqlite_autoindex_sessions_1'])
    expect(indexes(/from "turns" where "session" = \? and "status" = 'queued'/)).toEqual(['turns_queued'])
    expect(indexes(/"idempotency_key" = \?/)).toEqual(['turns_idempotency'])
    expect(indexes(/"input_hash" = \?/)).toEqual(['turns_unanswered'])
    expect(indexes(/"approvals"."turn" = \?.* order by/)).toContain('approvals_of_turn')
    expect(indexes(/"approvals"."turn" = \?.* order by/)).not.toContain('approvals_of_tenant')
    expect(indexes(/from "ledger" where "turn" = \?/)).toEqual(['ledger_of_turn'])
    expect(indexes(/from "ledger" where "session" = \?/)).toEqual(['ledger_of_session'])
    expect(indexes(/from "ledger" where "ledger"."tenant" = \? and "subject" = \?/)).toEqual(['ledger_of_subject'])
    expect(indexes(/from "ledger" where "ledger"."tenant" = \? order/)).toEqual(['ledger_of_tenant'])
    expect(indexes(/"sessions"."tenant" = \? order by "created_at" desc/)).toEqual(['sessions_of_tenant'])
    expect(indexes(/"turns"."tenant" = \? order by "created_at" desc/)).toEqual(['turns_of_tenant'])
    expect(indexes(/"turns"."subject" = \? order by "created_at" desc/)).toEqual(['turns_of_subject'])
    expect(indexes(/"messages"."sequence" > \?/)).toEqual([
      'sqlite_autoindex_sessions_1',
      'PRIMARY',
      'sqlite_autoindex_turns_1',
    ])
    expect(indexes(/"path" = \? and "notes"."tenant" = \? order/)).toContain('notes_of_tenant_path')
    expect(indexes(/"notes"."tenant" = \? and "notes"."parent_path" = \? order/)).toEqual(['notes_filed'])
  })
})

/** These indexes hold only the rows that are looked for: all of them are read on purpose. */
const complete =
  /^SCAN \w+ USING (COVERING )?INDEX (sessions_(leased|waiting|stalled)|approvals_unfollowed|reservations_without_turn)$/
/** Temporary: what an inner query has cut to its limit, and what is sorted to be cut to it. */
const small =
  /^(SCAN (owner|best|fresh|candidate)|MATERIALIZE (owner|fresh)|CO-ROUTINE (owner|best|candidate)|SEARCH candidate|REUSE SUBQUERY \d+|(CORRELATED )?(SCALAR|LIST) SUBQUERY \d+)$/

function isFitting(detail: string): boolean {
  if (detail.startsWith('SEARCH ')) {
    return small.test(detail) || / USING (COVERING |INTEGER )?(INDEX|PRIMARY KEY)/.test(detail)
  }
  return complete.test(detail) || small.test(detail)
}

const sorted = /^USE TEMP B-TREE FOR (GROUP BY|ORDER BY|LAST \d+ TERMS OF ORDER BY)$/

/** What reads or sorts more than its limit, and why it may. */
const meant: readonly { readonly sql: RegExp; readonly steps: readonly RegExp[] }[] = [
  // Groups and order of a report: the sums of few buckets.
  {
    sql: /"cost_rollups"/,
    steps: [sorted, /^(COMPOUND QUERY|LEFT-MOST SUBQUERY|UNION ALL|(CO-ROUTINE|SCAN|MATERIALIZE) part)$/],
  },
  // An index by activity would have to be moved with every commit of every turn, for a list that is seldom asked for.
  { sql: /from "sessions" where "sessions"."tenant" = \? .*order by "updated_at"/, steps: [sorted] },
  // The full-text index, and the ranks of what it finds.
  { sql: /"note_words"/, steps: [sorted, /^SCAN note_words VIRTUAL TABLE INDEX/, /^CREATE BLOOM FILTER$/] },
  // Of a path there are as many notes as subjects that have it.
  { sql: /from "notes" where "path" = \? and "notes"."tenant" = \? order/, steps: [sorted] },
  // A row per instance, few of them dead: an index would have to be moved with every heartbeat.
  { sql: /^delete from "instances"/, steps: [/^SCAN instances$/] },
  // With the first start of new code alone.
  { sql: /"config_heads"|"config_codes"/, steps: [/^SCAN config_(heads|generations)( USING (COVERING )?INDEX \w+)?$/] },
  { sql: /^select distinct "key_id"/, steps: [/^SCAN vault_entries USING COVERING INDEX vault_entries_by_key$/] },
  {
    sql: /^with (recursive )?"(fresh|candidate)"/,
    steps: [/^(SETUP|RECURSIVE STEP|SCAN (CONSTANT ROW|\d+-ROW VALUES CLAUSE))$/],
  },
]

const isMeant = (sql: string, step: string): boolean =>
  meant.some((each) => each.sql.test(sql) && each.steps.some((known) => known.test(step)))
