import { isTest, type Problem, type SourceTree } from './source-tree.ts'

const inPackage = (path: string): boolean => /^packages\/[^/]+\/src\//.test(path)

/** Every public name is listed where it is exported: `export *` of values is refused, `export type *` is not. */
export function checkExportAll(tree: SourceTree): Problem[] {
  return tree
    .filter(({ path }) => inPackage(path))
    .flatMap(({ path, code }) =>
      [...code.matchAll(/^export\s+\*/gm)].map(
        ({ index }): Problem => ({
          rule: 'export-all',
          path,
          line: code.slice(0, index).split('\n').length,
          message: 'name what is exported instead of `export *`',
          level: 'error',
        }),
      ),
    )
}

const topLevelAwait = [
  /^(export\s+(default\s+)?)?(await|for\s+await)\b/gm,
  /^(export\s+)?(const|let|var)\b[^=\n;]*=\s*\(*await\b/gm,
  /^(export\s+)?(const|let|var)\b[^=\n;]*=\s*[\w$.]+\(\s*await\b/gm,
  /^(if|while|switch|for|return|throw)\s*\([^\n]*\bawait\b/gm,
  /^(export\s+default\s+)?[\w$.]+\(\s*await\b/gm,
]

/** A package with an `await` at the top of a module cannot be loaded by `require`. The packed packages are loaded so, too. */
export function checkTopLevelAwait(tree: SourceTree): Problem[] {
  const problems: Problem[] = []
  for (const { path, code } of tree) {
    if (!inPackage(path) || isTest(path)) continue
    const lines = new Set(
      topLevelAwait.flatMap((form) =>
        [...code.matchAll(form)].map(({ index }) => code.slice(0, index).split('\n').length),
      ),
    )
    for (const line of lines) {
      problems.push({ rule: 'top-level-await', path, line, message: 'nothing is awaited at import', level: 'error' })
    }
  }
  return problems
}

const limits = [
  {
    of: (path: string) => isTest(path) || /^(packages\/[^/]+\/|examples\/[^/]+\/)?test\//.test(path),
    warn: 800,
    fail: 800,
  },
  { of: (path: string) => path.startsWith('packages/core/src/capabilities/loop/'), warn: 250, fail: 250 },
  { of: () => true, warn: 300, fail: 500 },
]

/** A file that nobody can hold in mind is two files. */
export function checkSize(tree: SourceTree): Problem[] {
  return tree.flatMap(({ path, lines }): Problem[] => {
    const limit = limits.find(({ of }) => of(path))
    if (!limit || lines <= limit.warn) return []
    const level = lines > limit.fail ? 'error' : 'warning'
    const most = level === 'error' ? limit.fail : limit.warn
    return [{ rule: 'size', path, message: `${lines} lines; at most ${most}`, level }]
  })
}
