import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { ImportReport } from './import-probe.ts'

export interface ProbeOptions {
  readonly mode: 'import' | 'require'
  readonly specifier: string
  /** The folder to resolve the specifier from. */
  readonly from: string
  /** True to load workspace packages from source. */
  readonly source: boolean
}

/**
 * Loads one entry in a fresh process and tells what that pulled in and did. Throws with what the process said when the
 * entry cannot be loaded, or when the process is still alive a minute later.
 */
export function probeImport({ mode, specifier, from, source }: ProbeOptions): ImportReport {
  const conditions = source ? ['--conditions=keelson-source'] : []
  const { NODE_OPTIONS: _, ...env } = process.env
  const probe = join(import.meta.dirname, 'import-probe.ts')
  const run = spawnSync(process.execPath, [...conditions, probe, mode, specifier, from], {
    encoding: 'utf8',
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  if (run.status !== 0) {
    const what = run.signal ? 'the process did not exit by itself' : `exit code ${run.status}`
    throw new Error(`${mode} ${specifier}: ${what}\n${run.stderr}`)
  }
  return JSON.parse(run.stdout) as ImportReport
}

/** The npm packages and `node:` modules of a report. Workspace packages, being files of the repository, are left out. */
export function packagesOf({ modules }: ImportReport): string[] {
  const names = modules.flatMap((url) => {
    if (url.startsWith('node:')) return url
    return /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []
  })
  return [...new Set(names)].sort()
}
