import { join } from 'node:path'
import { checkAnatomy, checkMirror } from './structure/anatomy.ts'
import { checkCycles } from './structure/cycles.ts'
import { checkImportLaw } from './structure/import-law.ts'
import { checkExportAll, checkSize, checkTopLevelAwait } from './structure/module-form.ts'
import { type Problem, readTree } from './structure/source-tree.ts'

/** What the rules let pass, one by one, each with its reason. */
const exclusions: readonly { readonly rule: string; readonly path: string; readonly why: string }[] = []

const rules = [checkAnatomy, checkMirror, checkImportLaw, checkCycles, checkExportAll, checkTopLevelAwait, checkSize]

const tree = readTree(join(import.meta.dirname, '..'))
const excluded = ({ rule, path }: Problem) => exclusions.some((each) => each.rule === rule && each.path === path)
const found = rules.flatMap((rule) => rule(tree))
const problems = found.filter((problem) => !excluded(problem))
const stale = exclusions.filter((each) => !found.some(({ rule, path }) => each.rule === rule && each.path === path))

for (const { level, rule, path, line, message } of problems) {
  console.log(`${level}  ${rule}  ${path}${line === undefined ? '' : `:${line}`}  ${message}`)
}
for (const { rule, path } of stale)
  console.log(`error  exclusion  ${path}  the exclusion from ${rule} is no longer needed`)

const errors = problems.filter(({ level }) => level === 'error').length + stale.length
console.log(`structure: ${tree.length} files, ${errors} errors, ${problems.length + stale.length - errors} warnings`)
process.exitCode = errors > 0 || tree.length === 0 ? 1 : 0
