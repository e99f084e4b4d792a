// Packs every public package as it would be published and checks what came out. Needs a build.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  checkBuiltImports,
  checkDeclarations,
  checkFiles,
  checkLoading,
  checkWeight,
  installInto,
  lint,
  resolveTypes,
} from './packages/checks.ts'
import { packInto } from './packages/pack.ts'
import { publicPackages } from './packages/workspace.ts'

const folder = mkdtempSync(join(tmpdir(), 'keelson-packages-'))
const problems: string[] = []

const report = (label: string, found: readonly string[]): void => {
  console.log(`${found.length === 0 ? 'ok    ' : 'error '} ${label}`)
  for (const each of found) console.log(`       ${each}`)
  problems.push(...found)
}

const failureOf = (check: () => void): string[] => {
  try {
    check()
    return []
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

try {
  const packed = packInto(join(folder, 'tarballs'), publicPackages())
  const consumer = join(folder, 'consumer')
  mkdirSync(consumer)
  installInto(consumer, packed)

  for (const each of packed) {
    const { name } = each.from.manifest
    report(`${name}: files`, checkFiles(each))
    report(`${name}: imports of built files`, checkBuiltImports(each, join(consumer, 'node_modules', name)))
    report(`${name}: publint`, await lint(each))
    report(
      `${name}: types resolve`,
      failureOf(() => resolveTypes(each)),
    )
  }
  report('every entry loads by import and require, without effects', checkLoading(consumer, packed))
  report('declarations compile in a consumer', checkDeclarations(consumer, packed))

  const core = packed.find(({ from }) => from.manifest.name === '@keelson/core')
  report('weight of core', core ? checkWeight(core) : ['there is no @keelson/core'])
} finally {
  rmSync(folder, { recursive: true, force: true })
}

console.log(`packages: ${problems.length} problems`)
process.exitCode = problems.length > 0 ? 1 : 0
