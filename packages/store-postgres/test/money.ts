import pg from 'pg'

/** What does not add up in a schema whose turns have all come to rest. */
export async function moneyProblems(url: string, schema: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const rowsOf = async <Row>(sql: string): Promise<Row[]> =>
    (await client.query(sql.replaceAll('@', `"${schema}".`))).rows as Row[]
  const problems: string[] = []
  try {
    const held = await rowsOf<{ id: string }>('select id from @reservations')
    if (held.length > 0) problems.push(`${held.length} reservations outlived their steps`)
    const overdrawn = await rowsOf<{ key: string }>(
      'select key from @budget_windows where spent + reserved > amount or reserved <> 0 or spent < 0',
    )
    if (overdrawn.length > 0) problems.push(`${overdrawn.length} budgets are overdrawn or hold money for nobody`)
    const sums = await rowsOf<{ name: string; sum: string }>(
      `select 'ledger' as name, coalesce(sum(cost), 0)::text as sum from @ledger
       union all select 'turns', coalesce(sum(cost), 0)::text from @turns
       union all select 'budgets', coalesce(sum(spent), 0)::text from @budget_windows
       union all select 'hours', coalesce(sum(cost), 0)::text from @cost_rollups where grain = 3600000
       union all select 'days', coalesce(sum(cost), 0)::text from @cost_rollups where grain = 86400000`,
    )
    if (new Set(sums.map(({ sum }) => sum)).size > 1) problems.push(`sums differ: ${JSON.stringify(sums)}`)
    const uneven = await rowsOf<{ id: string }>(
      `select id from @turns t
       where steps <> (select count(*) from @ledger l where l.turn = t.id and l.outcome = 'settled')`,
    )
    if (uneven.length > 0)
      problems.push(`${uneven.length} turns have steps that the ledger does not have, or the reverse`)
    return problems
  } finally {
    await client.end()
  }
}
