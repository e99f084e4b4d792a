import type { Problem, SourceTree } from './source-tree.ts'

/** Names that mean nobody decided where a thing belongs. */
const nowhere = /^(utils?|helpers?|types?|constants?|misc|common|shared|lib)$/

/** The one file of its sort in a capability: `service.ts`, never `session-service.ts`. */
const standard = ['contract', 'service', 'store', 'index', 'errors']

const problem = (path: string, message: string): Problem => ({ rule: 'anatomy', path, message, level: 'error' })

const stem = (file: string): string => file.replace(/(\.test)?(-d)?\.ts$/, '')

function checkName(path: string): Problem[] {
  const file = path.slice(path.lastIndexOf('/') + 1)
  const name = stem(file)
  const problems: Problem[] = []
  const folders = path.split('/').slice(3, -1)
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) problems.push(problem(path, 'file names are kebab-case'))
  for (const part of [...folders, name, name.slice(name.lastIndexOf('-') + 1)]) {
    if (!nowhere.test(part)) continue
    problems.push(problem(path, `"${part}" says nothing: name it after what it holds`))
    break
  }
  return problems
}

function checkCapability(name: string, files: readonly string[]): Problem[] {
  const folder = `packages/core/src/capabilities/${name}`
  const problems: Problem[] = []
  const has = (file: string) => files.includes(file)
  if (!has('index.ts')) problems.push(problem(folder, 'a capability has an index.ts: the only file others import'))
  if (has('contract.ts') && !has('service.ts'))
    problems.push(problem(folder, 'contract.ts without the service.ts that keeps it'))
  for (const file of files) {
    const path = `${folder}/${file}`
    if (file.includes('/')) problems.push(problem(path, 'a capability is one flat folder'))
    const kind = standard.find((each) => stem(file).endsWith(`-${each}`))
    if (kind && !file.endsWith('.test.ts'))
      problems.push(problem(path, `a capability has one ${kind}.ts, with that name`))
  }
  return problems
}

/** Capabilities look alike, and no file has a name that says nothing. */
export function checkAnatomy(tree: SourceTree): Problem[] {
  const capabilities = new Map<string, string[]>()
  const problems: Problem[] = []
  for (const { path } of tree) {
    if (!/^packages\/[^/]+\/src\//.test(path)) continue
    problems.push(...checkName(path))
    const [, name, file] = /^packages\/core\/src\/capabilities\/(?:([^/]+)\/)?(.+)$/.exec(path) ?? []
    if (!file) continue
    if (name) capabilities.set(name, [...(capabilities.get(name) ?? []), file])
    else problems.push(problem(path, 'a file between the capabilities belongs to one of them'))
  }
  for (const [name, files] of capabilities) problems.push(...checkCapability(name, files))
  return problems
}

/** Every port has its SQL and its conformance tests under the same name, and neither exists without the port. */
export function checkMirror(tree: SourceTree): Problem[] {
  const paths = new Set(tree.map(({ path }) => path))
  const port = (name: string) => `packages/core/src/capabilities/${name}/store.ts`
  const mirrors = [
    (name: string) => `packages/store-kysely/src/${name}.ts`,
    (name: string) => `packages/conformance/src/store/${name}.ts`,
  ]
  const capabilities = new Set(
    [...paths].flatMap((path) => /^packages\/core\/src\/capabilities\/([^/]+)\//.exec(path)?.[1] ?? []),
  )
  const problems: Problem[] = []
  for (const name of capabilities) {
    for (const mirror of mirrors.map((of) => of(name))) {
      if (paths.has(port(name)) === paths.has(mirror)) continue
      const [there, missing] = paths.has(mirror) ? [mirror, port(name)] : [port(name), mirror]
      problems.push({ rule: 'mirror', path: there, message: `has no counterpart ${missing}`, level: 'error' })
    }
  }
  return problems
}
