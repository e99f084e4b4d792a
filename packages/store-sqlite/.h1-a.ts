import { writeFileSync, rmSync, mkdtempSync } from 'node:fs'
import { createStore, type Call, type Engine, type Work } from '@keelson/store-kysely'
import { createSqliteEngine } from './src/engine.ts'
import { DatabaseSync } from 'node:sqlite'
import { accepting, answering, owner, sessionNamed } from './test/rows.ts'
const [mode = '', where = ''] = process.argv.slice(2)
const N = 300, R = 40
const folder = mkdtempSync('/tmp/h1-bench-')
const file = where === 'memory' ? ':memory:' : `${folder}/x.db`
const times: number[] = []
const capture: { sql: string; values: unknown[] }[] = []
const report = () => console.log(mode, where, 'min', Math.min(...times).toFixed(1), 'p25', times.toSorted((a, b) => a - b)[Math.floor(R / 4)].toFixed(1), 'median', times.toSorted((a, b) => a - b)[R / 2].toFixed(1))
if (mode !== 'bare') {
  const engine = createSqliteEngine({ file, synchronous: 'normal', patienceMs: 1000, trace: undefined })
  const wrapped: Engine = { ...engine, transaction: (m, body) => {
    capture.push({ sql: 'begin immediate', values: [] })
    return engine.transaction(m, function* () {
      const work = body(); let step = work.next()
      while (!step.done) { capture.push({ sql: step.value.statement.sql, values: step.value.values }); step = work.next(yield step.value) }
      capture.push({ sql: 'commit', values: [] })
      return step.value } as () => Work<never>) } }
  const store = createStore(mode === 'capture' ? wrapped : engine, { migrate: 'on-open' })
  await store.open()
  for (let i = 0; i < 50; i++) await store.sessions.create(owner, sessionNamed(`s${i}`))
  for (let round = 0; round < R; round++) {
    const t0 = performance.now()
    for (let i = 0; i < N; i++) {
      const id = `r${round}x${i}-0000-4000-8000-000000000000`
      const a = await store.loop.accept(owner, accepting(`s${i % 50}`, id))
      if (a.outcome !== 'started') throw new Error(a.outcome)
      await store.loop.commit(a.started.lease, answering(id))
    }
    times.push((performance.now() - t0) / N * 1000)
  }
  await store.close()
  if (mode === 'capture') {
    writeFileSync('/tmp/h1-calls.json', JSON.stringify(capture))
    const e = createSqliteEngine({ file: '/tmp/h1-empty.db', synchronous: 'normal', patienceMs: 1, trace: undefined })
    const s = createStore(e, { migrate: 'on-open' }); await s.open()
    for (let i = 0; i < 50; i++) await s.sessions.create(owner, sessionNamed(`s${i}`))
    await s.close()
  } else report()
} else {
  const { readFileSync } = await import('node:fs')
  const calls = JSON.parse(readFileSync('/tmp/h1-calls.json', 'utf8')) as { sql: string; values: never[] }[]
  const source = new DatabaseSync('/tmp/h1-empty.db')
  let db: DatabaseSync
  if (where === 'memory') { db = new DatabaseSync(':memory:'); db.exec("attach '/tmp/h1-empty.db' as e");
    for (const { sql } of source.prepare("select sql from sqlite_schema where sql is not null and name not like 'sqlite_%'").all() as { sql: string }[]) db.exec(sql)
    db.exec('insert into sessions select * from e.sessions')
  } else { source.exec(`vacuum into '${file}'`); db = new DatabaseSync(file) }
  db.exec('pragma journal_mode=wal; pragma synchronous=normal; pragma foreign_keys=on; pragma journal_size_limit=67108864')
  const stmts = new Map<string, ReturnType<typeof db.prepare>>()
  for (const c of calls.slice(0, 50)) if (!stmts.has(c.sql)) stmts.set(c.sql, db.prepare(c.sql))
  const per = calls.length / R
  let failures = 0
  for (let round = 0; round < R; round++) {
    const ready = calls.slice(round * per, (round + 1) * per).map((c) => ({ s: stmts.get(c.sql)!, v: c.values, ret: c.sql.includes('returning') }))
    const t0 = performance.now()
    for (const { s, v, ret } of ready) { if (ret) { if (s.all(...v).length === 0) failures++ } else s.run(...v) }
    times.push((performance.now() - t0) / N * 1000)
  }
  if (failures) console.log('failures', failures)
  report()
}
rmSync(folder, { recursive: true })
