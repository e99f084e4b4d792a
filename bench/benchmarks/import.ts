import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { installedBytes, productionTree } from '../../scripts/packages/lockfile.ts'
import { root } from '../../scripts/packages/workspace.ts'
import type { Metrics } from '../harness/job.ts'
import { type Measurement, measurements, type Report, target } from '../harness/report.ts'
import type { Benchmark } from './benchmark.ts'

const rounds = 15
const core = 'packages/core'

export const importing: Benchmark = {
  name: 'import',
  what: 'loading the built entry of core in a fresh process, and what is installed with it',
  async run(): Promise<Report> {
    if (!existsSync(join(root, core, 'dist/index.js'))) {
      const failed = new Map([['keelson', 'core is not built; build it with: npm run build']])
      return { benchmark: 'import', measurements: [], targets: [], failed }
    }
    const bare: Metrics[] = []
    const keelson: Metrics[] = []
    for (let round = -1; round < rounds; round += 1) {
      const without = load('0')
      const ours = load("await import('@keelson/core')")
      // The first of each fills the file cache.
      if (round < 0) continue
      bare.push(without)
      keelson.push({ ...ours, overMs: ours.ms - without.ms, overMib: ours.mib - without.mib })
    }
    const measured = new Map([
      ['bare node', bare],
      ['keelson', keelson],
    ])
    const result = { measured, failed: new Map<string, string>() }
    const all = [
      ...measurements(result, 'ms', 'ms', 'bare node'),
      ...measurements(result, 'overMs', 'ms'),
      ...measurements(result, 'mib', 'MiB RSS', 'bare node'),
      ...measurements(result, 'overMib', 'MiB RSS'),
      ...installed(),
    ]
    const limits = { overMs: 60, overMib: 12, packages: 10, installedMib: 10 }
    return {
      benchmark: 'import',
      measurements: all,
      targets: Object.entries(limits).flatMap(([metric, atMost]) =>
        target(all, { subject: 'keelson', metric, of: 'median', atMost }),
      ),
    }
  },
}

/** Wall time of a whole process that runs the code, and its memory at the end. */
function load(code: string): { ms: number; mib: number } {
  const { NODE_OPTIONS: _, ...env } = process.env
  const begin = performance.now()
  const run = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', `${code}; process.stdout.write(String(process.memoryUsage.rss())); process.exit(0)`],
    { cwd: root, env, encoding: 'utf8' },
  )
  const ms = performance.now() - begin
  if (run.status !== 0) throw new Error(run.stderr.slice(0, 500))
  return { ms, mib: Number(run.stdout) / 2 ** 20 }
}

/** Core with all it brings: what `npm install` would put into an empty project. */
function installed(): Measurement[] {
  const others = productionTree(core)
  const bytes =
    installedBytes({ path: join(core, 'dist'), version: '' }) +
    installedBytes({ path: join(core, 'src'), version: '' }) +
    others.reduce((sum, each) => sum + installedBytes(each), 0)
  const exact = (metric: string, unit: string, value: number): Measurement => ({
    subject: 'keelson',
    metric,
    unit,
    median: value,
    min: value,
    max: value,
    rounds: 1,
  })
  return [exact('packages', 'packages', others.length + 1), exact('installedMib', 'MiB', bytes / 2 ** 20)]
}
