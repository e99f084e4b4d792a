import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkAnatomy, checkMirror } from '../scripts/structure/anatomy.ts'
import { checkCycles } from '../scripts/structure/cycles.ts'
import { checkImportLaw } from '../scripts/structure/import-law.ts'
import { checkExportAll, checkSize, checkTopLevelAwait } from '../scripts/structure/module-form.ts'
import { type Problem, readSource, readTree, type SourceTree, treeOf } from '../scripts/structure/source-tree.ts'

const core = 'packages/core/src'

const messages = (check: (tree: SourceTree) => Problem[], files: Record<string, string>): string[] =>
  check(treeOf(files)).map(({ path, message }) => `${path}: ${message}`)

describe('reading imports', () => {
  const importsOf = (text: string) =>
    readSource(`${core}/kernel/a.ts`, text).imports.map(({ specifier, kind, line }) => `${line} ${kind} ${specifier}`)

  it('finds every form, over several lines', () => {
    const text = [
      "import './side.ts'",
      "import type { A } from './a.ts'",
      'import {',
      '  B,',
      '  type C,',
      "} from './b.ts'",
      "export { D } from './d.ts'",
      "export type * from './e.ts'",
      "const late = () => import('./late.ts')",
    ].join('\n')

    expect(importsOf(text)).toEqual([
      '1 value ./side.ts',
      '2 type ./a.ts',
      '3 value ./b.ts',
      '7 value ./d.ts',
      '8 type ./e.ts',
      '9 dynamic ./late.ts',
    ])
  })

  it('reads nothing from comments, templates and regular expressions', () => {
    const text = [
      "// import './comment.ts'",
      '/*',
      "import './block.ts'",
      '*/',
      'const text = `',
      "import './template.ts'",
      "${nested(`import './inner.ts'`, { a: '}' })}",
      '`',
      'const quote = /[\'"`/]/',
      "const text2 = 'it\\'s `'",
      "import './real.ts'",
    ].join('\n')

    expect(importsOf(text)).toEqual(['11 value ./real.ts'])
  })

  it('sees the code inside a template', () => {
    expect(importsOf("const x = `a ${await import('./inside.ts')} b`")).toEqual(['1 dynamic ./inside.ts'])
  })

  it('resolves a relative import to a path of the repository', () => {
    const { imports } = readSource(`${core}/http/match.ts`, "import { a } from '../kernel/errors.ts'")
    expect(imports[0]?.target).toBe(`${core}/kernel/errors.ts`)
  })
})

describe('import law within core', () => {
  const allowed: [from: string, statement: string][] = [
    ['kernel/errors.ts', "import { a } from './ids.ts'"],
    ['contract/invoke.ts', "import { a } from '../kernel/errors.ts'"],
    ['http/dispatch.ts', "import type { Operation } from '../contract/operation.ts'"],
    ['http/openapi.ts', "import { z } from 'zod'"],
    ['capabilities/loop/service.ts', "import type { Session } from '../sessions/index.ts'"],
    ['capabilities/loop/service.ts', "import { step } from './step.ts'"],
    ['capabilities/loop/index.ts', "export { loopErrors } from './errors.ts'"],
    ['capabilities/tools/tool.ts', "import type { z } from 'zod'"],
    ['surfaces/soma/surface.ts', "import { routes } from './sessions.ts'"],
    ['surfaces/soma/surface.ts', "import { z } from 'zod'"],
    ['surfaces/soma/surface.ts', "import type { Client } from '../../runtime.ts'"],
    ['providers/openai.ts', "const load = () => import('openai')"],
    ['providers/openai.ts', "import type OpenAI from 'openai'"],
    ['runtime.ts', "import { createSessions } from './capabilities/sessions/service.ts'"],
    ['index.ts', "export { createRuntime } from './runtime.ts'"],
    ['testing/index.ts', "import { createRuntime } from '../runtime.ts'"],
    ['capabilities/loop/loop.test.ts', "import { sqliteStore } from '@keelson/store-sqlite'"],
  ]
  it.each(allowed)('%s may: %s', (from, statement) => {
    expect(messages(checkImportLaw, { [`${core}/${from}`]: statement })).toEqual([])
  })

  const refused: [from: string, statement: string][] = [
    ['kernel/errors.ts', "import { a } from '../contract/operation.ts'"],
    ['kernel/errors.ts', "import type { A } from '../capabilities/loop/index.ts'"],
    ['contract/invoke.ts', "import { a } from '../http/message.ts'"],
    ['http/dispatch.ts', "import { invoke } from '../contract/invoke.ts'"],
    ['http/dispatch.ts', "import type { Turn } from '../capabilities/sessions/index.ts'"],
    ['capabilities/loop/service.ts', "import type { Turn } from '../sessions/turn.ts'"],
    ['capabilities/loop/service.ts', "export { a } from '../sessions/service.ts'"],
    ['capabilities/loop/service.ts', "import type { HttpRequest } from '../../http/message.ts'"],
    ['capabilities/loop/service.ts', "import type { Runtime } from '../../runtime.ts'"],
    ['capabilities/loop/service.ts', "const late = () => import('../sessions/service.ts')"],
    ['capabilities/loop/contract.ts', "import { z } from 'zod'"],
    ['surfaces/soma/surface.ts', "import { a } from '../../capabilities/sessions/service.ts'"],
    ['surfaces/soma/surface.ts', "import { a } from '../octipus/surface.ts'"],
    ['surfaces/soma/surface.ts', "import { createRuntime } from '../../runtime.ts'"],
    ['providers/openai.ts', "import OpenAI from 'openai'"],
    ['providers/openai.ts', "import { a } from '../http/message.ts'"],
    ['index.ts', "export { a } from './capabilities/sessions/service.ts'"],
    ['index.ts', "import { z } from 'zod'"],
    ['index.ts', "export { roboticus } from './surfaces/roboticus/surface.ts'"],
    ['runtime.ts', "import { demo } from './providers/demo.ts'"],
    ['http/node.ts', "import express from 'express'"],
    ['http/node.ts', "import type { Request } from 'express'"],
    ['capabilities/loop/service.ts', "import { Kysely } from 'kysely'"],
    ['capabilities/loop/service.ts', "import { DatabaseSync } from 'node:sqlite'"],
    ['capabilities/loop/service.ts', "const late = () => import('pg')"],
    ['runtime.ts', "import { x } from '@keelson/store-sqlite'"],
    ['unknown-layer/a.ts', "import { a } from '../kernel/errors.ts'"],
  ]
  it.each(refused)('%s may not: %s', (from, statement) => {
    expect(messages(checkImportLaw, { [`${core}/${from}`]: statement })).toHaveLength(1)
  })
})

describe('import law between packages', () => {
  const allowed: [path: string, statement: string][] = [
    ['packages/adapter-express/src/index.ts', "import { dispatch } from '@keelson/core/http'"],
    ['packages/adapter-express/src/index.ts', "import type { Request } from 'express'"],
    ['packages/store-kysely/src/loop.ts', "import { loopErrors } from '@keelson/core/stores'"],
    ['packages/store-sqlite/src/index.ts', "import { store } from '@keelson/store-kysely'"],
    ['packages/conformance/src/store/loop.ts', "import type { Store } from '@keelson/core/stores'"],
    ['packages/adapter-express/test/a.test.ts', "import { sqliteStore } from '@keelson/store-sqlite'"],
  ]
  it.each(allowed)('%s may: %s', (path, statement) => {
    expect(messages(checkImportLaw, { [path]: statement })).toEqual([])
  })

  const refused: [path: string, statement: string][] = [
    ['packages/adapter-express/src/index.ts', "import { createRuntime } from '@keelson/core'"],
    ['packages/adapter-fastify/src/index.ts', "import type { Store } from '@keelson/core/stores'"],
    ['packages/adapter-fastify/src/index.ts', "import { a } from '@keelson/adapter-express'"],
    ['packages/adapter-express/src/index.ts', "import { a } from '../../core/src/http/index.ts'"],
    ['packages/store-kysely/src/loop.ts', "import { createRuntime } from '@keelson/core'"],
    ['packages/store-kysely/src/loop.ts', "import { DatabaseSync } from 'node:sqlite'"],
    ['packages/store-sqlite/src/index.ts', "import { a } from '@keelson/core/http'"],
    ['packages/conformance/src/store/loop.ts', "import { a } from '../../../core/src/kernel/errors.ts'"],
    ['packages/conformance/src/store/loop.ts', "import { sqliteStore } from '@keelson/store-sqlite'"],
    ['packages/conformance/src/store/loop.ts', "import { a } from '@keelson/core/kernel/errors'"],
  ]
  it.each(refused)('%s may not: %s', (path, statement) => {
    expect(messages(checkImportLaw, { [path]: statement })).toHaveLength(1)
  })
})

describe('anatomy', () => {
  const capability = (...files: string[]) =>
    Object.fromEntries(files.map((file) => [`${core}/capabilities/sessions/${file}`, '']))

  it('accepts a capability with the standard files and nouns of its own', () => {
    const files = capability('index.ts', 'contract.ts', 'service.ts', 'store.ts', 'turn.ts', 'sessions.test.ts')
    expect(messages(checkAnatomy, files)).toEqual([])
  })

  it.each([
    [['service.ts'], 'index.ts'],
    [['index.ts', 'contract.ts'], 'without the service.ts'],
    [['index.ts', 'session-service.ts'], 'one service.ts'],
    [['index.ts', 'queries/list.ts'], 'flat folder'],
    [['index.ts', 'liveTurn.ts'], 'kebab-case'],
    [['index.ts', 'utils.ts'], 'says nothing'],
    [['index.ts', 'turn-helpers.ts'], 'says nothing'],
  ])('refuses a capability of %j', (files, message) => {
    const found = messages(checkAnatomy, capability(...files))
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(message)
  })

  it.each(['types.ts', 'constants.ts', 'helpers/format.ts', 'utils/deep/format.ts', 'http-types.ts'])(
    'refuses %s in any package',
    (file) => {
      expect(messages(checkAnatomy, { [`packages/store-sqlite/src/${file}`]: '' })).toHaveLength(1)
    },
  )

  it('refuses a file between the capabilities', () => {
    expect(messages(checkAnatomy, { [`${core}/capabilities/session.ts`]: '' })).toHaveLength(1)
  })
})

describe('mirror of ports', () => {
  const port = `${core}/capabilities/sessions/store.ts`
  const sql = 'packages/store-kysely/src/sessions.ts'
  const kit = 'packages/conformance/src/store/sessions.ts'

  it('accepts port, SQL and conformance of the same name', () => {
    expect(
      messages(checkMirror, { [port]: '', [sql]: '', [kit]: '', 'packages/store-kysely/src/codec.ts': '' }),
    ).toEqual([])
  })

  it.each([
    ['SQL', { [port]: '', [kit]: '' }, sql],
    ['conformance', { [port]: '', [sql]: '' }, kit],
  ])('refuses a port without %s', (_, files, missing) => {
    expect(messages(checkMirror, files)).toEqual([`${port}: has no counterpart ${missing}`])
  })

  it('refuses SQL and conformance of a capability without a port', () => {
    const files = { [`${core}/capabilities/sessions/index.ts`]: '', [sql]: '', [kit]: '' }
    expect(messages(checkMirror, files)).toEqual([
      `${sql}: has no counterpart ${port}`,
      `${kit}: has no counterpart ${port}`,
    ])
  })
})

describe('cycles', () => {
  it('accepts a graph without', () => {
    const files = {
      [`${core}/kernel/a.ts`]: "import { b } from './b.ts'\nimport { c } from './c.ts'",
      [`${core}/kernel/b.ts`]: "import { c } from './c.ts'",
      [`${core}/kernel/c.ts`]: '',
    }
    expect(messages(checkCycles, files)).toEqual([])
  })

  it('names the files of a cycle, in order, and leaves out those beside it', () => {
    const files = {
      [`${core}/kernel/a.ts`]: "import { b } from './b.ts'",
      [`${core}/kernel/b.ts`]: "import type { C } from './c.ts'\nimport { d } from './d.ts'",
      [`${core}/kernel/c.ts`]: "export { a } from './a.ts'",
      [`${core}/kernel/d.ts`]: '',
      [`${core}/kernel/e.ts`]: "import { a } from './a.ts'",
    }
    expect(messages(checkCycles, files)).toEqual([
      `${core}/kernel/a.ts: import cycle: kernel/a.ts > kernel/b.ts > kernel/c.ts > kernel/a.ts`,
    ])
  })

  it('refuses a file that imports itself', () => {
    expect(messages(checkCycles, { [`${core}/kernel/a.ts`]: "import { a } from './a.ts'" })).toHaveLength(1)
  })

  it('lets import() close a circle', () => {
    const files = {
      [`${core}/kernel/a.ts`]: "import { b } from './b.ts'",
      [`${core}/kernel/b.ts`]: "const late = () => import('./a.ts')",
    }
    expect(messages(checkCycles, files)).toEqual([])
  })
})

describe('form of modules', () => {
  it.each(["export * from './a.ts'", "export * as all from './a.ts'"])('refuses %s', (statement) => {
    expect(messages(checkExportAll, { [`${core}/index.ts`]: statement })).toHaveLength(1)
  })

  it.each(["export type * from './a.ts'", "export { a } from './a.ts'", "// export * from './a.ts'"])(
    'accepts %s',
    (statement) => {
      expect(messages(checkExportAll, { [`${core}/index.ts`]: statement })).toEqual([])
    },
  )

  it.each([
    "await import('./a.ts')",
    'const a = await load()',
    'export const { a, b } = await load()',
    'const a = wrap(await load())',
    'const a = (await load()).a',
    'for await (const a of all) use(a)',
    'if (await load()) use()',
    'use(await load())',
    'export default await load()',
  ])('refuses at the top of a module: %s', (statement) => {
    expect(messages(checkTopLevelAwait, { [`${core}/index.ts`]: statement })).toHaveLength(1)
  })

  it.each([
    'const load = async () => await import("./a.ts")',
    'async function load() {\n  await open()\n}',
    'export const load = async (): Promise<void> => {\n  for await (const a of all) use(a)\n}',
    '// await load()',
    'const text = `\nawait load()\n`',
  ])('accepts: %s', (statement) => {
    expect(messages(checkTopLevelAwait, { [`${core}/index.ts`]: statement })).toEqual([])
  })
})

describe('size', () => {
  const sized = (path: string, lines: number) =>
    checkSize(treeOf({ [path]: 'const a = 1\n'.repeat(lines) })).map(({ level }) => level)

  it.each([
    [`${core}/kernel/errors.ts`, 300, []],
    [`${core}/kernel/errors.ts`, 301, ['warning']],
    [`${core}/kernel/errors.ts`, 500, ['warning']],
    [`${core}/kernel/errors.ts`, 501, ['error']],
    [`${core}/capabilities/loop/service.ts`, 250, []],
    [`${core}/capabilities/loop/service.ts`, 251, ['error']],
    [`${core}/capabilities/loop/loop.test.ts`, 800, []],
    [`${core}/capabilities/loop/loop.test.ts`, 801, ['error']],
    ['packages/store-sqlite/test/crash-child.ts', 501, []],
    ['scripts/check-structure.ts', 501, ['error']],
  ])('%s of %i lines: %j', (path, lines, levels) => {
    expect(sized(path, lines)).toEqual(levels)
  })
})

it('reads the repository itself', () => {
  const paths = readTree(join(import.meta.dirname, '..')).map(({ path }) => path)
  expect(paths).toContain('packages/core/src/kernel/errors.ts')
  expect(paths).toContain('test/check-structure.test.ts')
  expect(paths.filter((path) => path.includes('node_modules') || path.includes('/dist/'))).toEqual([])
})
