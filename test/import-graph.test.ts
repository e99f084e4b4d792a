import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ImportReport } from '../scripts/packages/import-probe.ts'
import { packagesOf, probeImport } from '../scripts/packages/probe-import.ts'
import { isTestKit, publicPackages, root } from '../scripts/packages/workspace.ts'
import { heavyModules } from '../scripts/structure/import-law.ts'

const entries = publicPackages()
  .filter((each) => !isTestKit(each))
  .flatMap((each) => each.entries.map(({ specifier }) => specifier))

/** What an entry may load although it is heavy: that which it is there for. */
const purpose: Readonly<Record<string, readonly string[]>> = {
  '@keelson/store-postgres': ['kysely'],
  '@keelson/store-sqlite': ['kysely', 'node:sqlite'],
}

const load = (mode: 'import' | 'require', specifier: string): ImportReport =>
  probeImport({ mode, specifier, from: root, source: true })

describe.each(entries)('importing %s', (specifier) => {
  let report: ImportReport
  beforeAll(() => {
    report = load('import', specifier)
  })

  it('loads no framework, driver or vendor SDK', () => {
    const heavy = heavyModules.filter((name) => !purpose[specifier]?.includes(name))
    expect(packagesOf(report).filter((name) => heavy.includes(name))).toEqual([])
    expect(report.modules.length).toBeGreaterThan(0)
  })

  it('opens, starts and schedules nothing, and leaves no trace', () => {
    expect(report.effects).toEqual([])
    expect(report.resources).toEqual([])
    expect(report.traces).toEqual([])
  })

  it('works by require, so nothing is awaited at import', () => {
    expect(load('require', specifier).modules.length).toBeGreaterThan(0)
  })
})

it('the root entry of core loads no schema library', () => {
  const loaded = packagesOf(load('import', '@keelson/core'))
  expect(loaded.filter((name) => ['zod', 'ajv'].includes(name))).toEqual([])
})

it('the testing entry loads no test framework and no schema library', () => {
  const loaded = packagesOf(load('import', '@keelson/core/testing'))
  expect(
    loaded.filter((name) => ['vitest', 'jest', '@jest/globals', 'node:test', 'zod', 'ajv'].includes(name)),
  ).toEqual([])
})

describe('the probe', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-probe-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  const module = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }

  it('sees what a module loads, reads, starts and leaves behind', () => {
    const path = module(
      'busy.mjs',
      `import { readFileSync } from 'node:fs'
       import { createServer } from 'node:net'
       import 'node:sqlite'
       readFileSync(import.meta.filename)
       setTimeout(() => {}, 1)
       globalThis.left = 1
       process.on('exit', () => {})
       const server = createServer().listen(0, () => server.close())`,
    )
    const report = load('import', path)

    expect(packagesOf(report)).toContain('node:sqlite')
    expect(report.effects.map((effect) => effect.split(' ')[0])).toEqual([
      'fs.readFileSync',
      'setTimeout',
      'server.listen',
    ])
    expect(report.resources).toContain('Timeout')
    expect(report.traces).toEqual(['global left', 'listener exit 1'])
  })

  it('reports a module that awaits at its top as not loadable by require', () => {
    const path = module('awaits.mjs', 'await Promise.resolve()')
    expect(() => load('require', path)).toThrow('ERR_REQUIRE_ASYNC_MODULE')
  })
})
