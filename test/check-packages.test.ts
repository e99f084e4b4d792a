import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkBuiltImports, checkFiles } from '../scripts/packages/checks.ts'
import { completeLockfile, productionTree, readLockfile } from '../scripts/packages/lockfile.ts'
import type { Packed } from '../scripts/packages/pack.ts'
import { publicPackages, readPackages, root } from '../scripts/packages/workspace.ts'

const target = { 'keelson-source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' }

const packed = (files: readonly string[], manifest: object = {}): Packed => ({
  from: {
    folder: 'packages/made-up',
    entries: [],
    manifest: {
      name: '@keelson/made-up',
      version: '1.0.0',
      exports: { '.': target, './package.json': './package.json' },
      ...manifest,
    },
  },
  tarball: '/nowhere.tgz',
  files,
  unpackedBytes: 0,
})

const whole = ['package.json', 'LICENSE', 'src/index.ts', 'dist/index.js', 'dist/index.d.ts']

describe('files of a tarball', () => {
  it('are complete when all that the exports map names is there', () => {
    expect(checkFiles(packed(whole))).toEqual([])
  })

  it.each(['src/index.ts', 'dist/index.js', 'dist/index.d.ts', 'LICENSE', 'package.json'])('miss %s', (path) => {
    const problems = checkFiles(packed(whole.filter((each) => each !== path)))
    expect(problems.length).toBeGreaterThan(0)
    expect(problems.every((problem) => problem.includes(path))).toBe(true)
  })

  it.each(['src/index.test.ts', 'src/tools.test-d.ts', 'test/index.ts', 'left.db'])('hold no %s', (path) => {
    expect(checkFiles(packed([...whole, path]))).toEqual([`${path} is in the tarball`])
  })
})

describe('imports of built files', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keelson-built-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const problemsOf = (built: Readonly<Record<string, string>>, manifest?: object): string[] => {
    for (const [path, text] of Object.entries(built)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    return checkBuiltImports(packed(Object.keys(built), manifest), folder)
  }

  it('reach files of the package, built-in modules, dependencies and peers', () => {
    const built = {
      'dist/index.js': [
        "import { a } from './chunk.js'",
        "import { readFile } from 'node:fs/promises'",
        "import { z } from 'zod/v4'",
        "const late = () => import('openai')",
      ].join('\n'),
      'dist/chunk.js': 'export const a = 1',
      'dist/index.d.ts': "export { A } from './chunk.js'\nimport { Turn } from '@keelson/core/stores'",
      'dist/chunk.d.ts': 'export type A = 1',
    }
    const manifest = { dependencies: { zod: '4' }, peerDependencies: { openai: '7', '@keelson/core': '1' } }
    expect(problemsOf(built, manifest)).toEqual([])
  })

  it.each([
    ['dist/index.js', "import { Kysely } from 'kysely'", 'kysely'],
    ['dist/index.js', "export { a } from './missing.js'", './missing.js'],
    ['dist/index.js', "const late = () => import('zodiac')", 'zodiac'],
    ['dist/index.d.ts', "import { Kysely } from 'kysely'", 'kysely'],
    ['dist/index.d.ts', 'export declare const a: import("kysely").Kysely<unknown>', 'kysely'],
    ['dist/index.d.ts', "import { A } from './missing.js'", './missing.js'],
  ])('in %s refuse %s', (path, text, specifier) => {
    expect(problemsOf({ [path]: text }, { dependencies: { zod: '4' } })).toEqual([
      `${path} imports ${specifier}, which is no dependency`,
    ])
  })
})

describe('the workspace', () => {
  const json = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8')) as Record<string, unknown>
  const manifests = globSync(['package.json', 'packages/*/package.json', 'examples/*/package.json'], { cwd: root })

  it.each(manifests)('has a lock file that knows the dependencies of %s', (path) => {
    const locked = json('package-lock.json')['packages'] as Record<string, Record<string, unknown>>
    const manifest = json(path)
    const known = locked[path === 'package.json' ? '' : dirname(path)]
    for (const sort of ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies']) {
      expect(known?.[sort] ?? {}, sort).toEqual(manifest[sort] ?? {})
    }
  })

  it('publishes core, and not the SQL that the stores bundle', () => {
    const names = publicPackages().map(({ manifest }) => manifest.name)
    expect(names).toContain('@keelson/core')
    expect(names).not.toContain('@keelson/store-kysely')
    expect(readPackages().map(({ manifest }) => manifest.name)).toContain('@keelson/store-kysely')
  })

  it('has one version', () => {
    expect(new Set(readPackages().map(({ manifest }) => manifest.version)).size).toBe(1)
  })

  it('has a lock file with the binaries of every platform, so that npm ci takes it (npm run lock)', () => {
    expect(completeLockfile(readLockfile()).added).toEqual([])
  })

  it('finds the dependencies of dependencies in the lock file, each once', () => {
    const paths = productionTree('packages/core').map(({ path }) => path)
    expect(paths).toContain('node_modules/ajv')
    expect(paths).toContain('node_modules/fast-deep-equal')
    expect(paths).not.toContain('node_modules/openai')
    expect(new Set(paths).size).toBe(paths.length)
  })
})

describe('completing a lock file', () => {
  const parent = (names: Readonly<Record<string, string>>) => ({
    packages: {
      '': {},
      'node_modules/tool': { version: '1.2.3', dev: true, optionalDependencies: names },
      'node_modules/tool-linux-x64-gnu': { version: '1.2.3', dev: true, optional: true },
    },
  })

  it('adds the binaries it names and does not hold, for their platform, in order', () => {
    const names = { '@tool/win32-arm64': '1.2.3', 'tool-linux-x64-gnu': '1.2.3', 'tool-linux-arm-musleabihf': '1.2.3' }
    const { lockfile, added } = completeLockfile(parent(names))

    expect(added).toEqual(['node_modules/@tool/win32-arm64', 'node_modules/tool-linux-arm-musleabihf'])
    expect(Object.keys(lockfile.packages)).toEqual([
      '',
      'node_modules/@tool/win32-arm64',
      'node_modules/tool',
      'node_modules/tool-linux-arm-musleabihf',
      'node_modules/tool-linux-x64-gnu',
    ])
    expect(lockfile.packages['node_modules/tool-linux-arm-musleabihf']).toEqual({
      version: '1.2.3',
      cpu: ['arm'],
      dev: true,
      libc: ['musl'],
      optional: true,
      os: ['linux'],
    })
    expect(completeLockfile(lockfile).added).toEqual([])
  })

  it.each([{ 'tool-wasm': '1.2.3' }, { 'tool-linux-x64': '^1.2.3' }])('refuses to guess at %j', (names) => {
    expect(() => completeLockfile(parent(names))).toThrow()
  })
})
