// npm run bench [names] [--json]: measures side by side, see README.md.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Benchmark } from './benchmarks/benchmark.ts'
import { durable } from './benchmarks/durable.ts'
import { heap } from './benchmarks/heap.ts'
import { cold, history } from './benchmarks/history.ts'
import { events, firstChunk, readers, routes, routesFastify } from './benchmarks/http.ts'
import { importing } from './benchmarks/import.ts'
import { lists } from './benchmarks/lists.ts'
import { loopBenchmarks } from './benchmarks/loop.ts'
import { notes } from './benchmarks/notes.ts'
import { durablePostgres, instances } from './benchmarks/postgres.ts'
import { printLines, printTable } from './harness/report.ts'

const benchmarks: readonly Benchmark[] = [
  ...loopBenchmarks,
  heap,
  durable,
  durablePostgres,
  instances,
  history,
  cold,
  notes,
  lists,
  firstChunk,
  events,
  readers,
  routes,
  routesFastify,
  importing,
]

/** Subjects of other libraries, by the package they need. */
const peers: Readonly<Record<string, string>> = { 'ai 7': 'ai', '@openai/agents': '@openai/agents' }

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('--'))
const asLines = process.argv.includes('--json')

const unknown = names.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name))
if (unknown.length > 0) {
  console.error(`there is no benchmark ${unknown.join(', ')}; there are:`)
  for (const { name, what } of benchmarks) console.error(`  ${name.padEnd(12)} ${what}`)
  process.exit(1)
}

const installedPeers = Object.entries(peers).flatMap(([subject, name]) =>
  existsSync(join(import.meta.dirname, 'node_modules', name)) ? subject : [],
)
if (installedPeers.length < Object.keys(peers).length) {
  console.error('Other libraries are left out; to compare with them: npm install --prefix bench')
}

for (const benchmark of benchmarks) {
  if (names.length > 0 && !names.includes(benchmark.name)) continue
  const report = await benchmark.run({ peers: installedPeers })
  if (asLines) printLines(report)
  else printTable(report)
}
