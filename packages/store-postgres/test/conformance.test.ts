import { describeStore } from '@keelson/conformance'
import { afterAll, describe, expect, it } from 'vitest'
import { type OpenedScene, openStore, usePostgres } from './scene.ts'

const server = usePostgres()
const statements = new Set<string>()
let opened: Promise<OpenedScene> | undefined

// Runs before the server stops: such hooks are called last in, first out.
afterAll(async () => (await opened)?.close())

describeStore('postgresStore', {
  async open() {
    opened ??= openStore(server().url, { trace: (sql) => statements.add(sql) })
    const { store, pool, schema } = await opened
    const config = ['config_heads', 'config_generations', 'config_contents', 'config_codes']
    const tables = [
      'sessions',
      'messages',
      'turns',
      'tool_calls',
      'approvals',
      'breakers',
      'instances',
      'vault_entries',
      'connector_health',
      ...config,
      'ledger',
      'cost_rollups',
      'budget_windows',
      'reservations',
      'notes',
      'note_owners',
      'note_words',
    ]
    await pool.query(`truncate ${tables.map((table) => `"${schema}".${table}`).join(', ')}`)
    return { store, close: async () => {} }
  },
})

interface Plan {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly Plans?: readonly Plan[]
}

const nodesOf = (plan: Plan): string[] => [
  `${plan['Node Type']} ${plan['Relation Name'] ?? ''}`.trim(),
  ...(plan.Plans ?? []).flatMap(nodesOf),
]

describe('the plan of every statement that the kit has run', () => {
  it('finds its rows through an index', async ({ skip }) => {
    const { pool } = await (opened ?? Promise.reject(new Error('nothing was run')))
    const client = await pool.connect()
    try {
      const { rows: version } = await client.query('show server_version_num')
      skip(Number(version[0].server_version_num) < 160_000, 'the server explains no plan without values')
      await client.query('set enable_seqscan = off')
      const distinct = [...statements].filter((sql) => /^(select|update|delete) .*\$1/.test(sql))
      const scanning: string[] = []
      for (const sql of distinct) {
        const { rows } = await client.query(`explain (generic_plan, format json) ${sql}`)
        const nodes = nodesOf(rows[0]['QUERY PLAN'][0].Plan)
        if (nodes.some((node) => node.startsWith('Seq Scan'))) scanning.push(sql)
      }
      expect(distinct.length).toBeGreaterThan(60)
      expect(scanning).toEqual([])
    } finally {
      client.release(true)
    }
  })
})
