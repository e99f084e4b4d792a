import { isTest, type ModuleImport, type Problem, type SourceFile, type SourceTree } from './source-tree.ts'

const coreSource = 'packages/core/src/'

/** What a part of core may import of core. `:type` admits `import type` alone. */
const law: Readonly<Record<string, readonly string[]>> = {
  kernel: ['kernel'],
  contract: ['contract', 'kernel'],
  http: ['http', 'kernel', 'contract:type'],
  capability: ['own', 'capability-index', 'contract', 'kernel'],
  surface: ['own', 'capability-index', 'http', 'contract', 'kernel', 'runtime:type', 'root:type'],
  providers: ['providers', 'capability-index', 'contract', 'kernel'],
  mcp: ['mcp', 'capability-index', 'contract', 'kernel'],
  testing: ['testing', 'root', 'runtime', 'providers', 'capability-index', 'http', 'contract', 'kernel'],
  runtime: ['runtime', 'root', 'capability', 'capability-index', 'http', 'contract', 'kernel'],
  root: ['root', 'runtime', 'capability-index', 'http:type', 'contract', 'kernel'],
}

/** Frameworks, drivers and vendors: core's module graph is free of them. */
export const heavyModules = [
  'express',
  'fastify',
  'hono',
  'kysely',
  'pg',
  'better-sqlite3',
  'node:sqlite',
  'openai',
  'ai',
  '@ai-sdk',
  '@anthropic-ai/sdk',
  '@google/genai',
  '@modelcontextprotocol/sdk',
  'viem',
  'playwright-core',
]

/** Parts of core that may load the schema library; the root entry must not. */
const schemaParts = ['surface', 'http', 'testing']

interface Place {
  readonly part: string
  /** The folder of a capability or surface, otherwise the part. */
  readonly own: string
}

function placeOf(path: string): Place {
  const [first = '', second = '', ...deeper] = path.slice(coreSource.length).split('/')
  if (/^runtime(-client|-life|-options)?\.ts$/.test(first)) return { part: 'runtime', own: 'runtime' }
  if (second === '') return { part: 'root', own: 'root' }
  if (first === 'capabilities') {
    const isIndex = deeper.length === 1 && deeper[0] === 'index.ts'
    return { part: isIndex ? 'capability-index' : 'capability', own: `capabilities/${second}` }
  }
  if (first === 'surfaces') return { part: 'surface', own: `surfaces/${second}` }
  return { part: first, own: first }
}

function admits(from: Place, to: Place, kind: ModuleImport['kind']): boolean {
  const granted = law[from.part === 'capability-index' ? 'capability' : from.part]
  if (!granted) return false
  if (from.own === to.own && granted.includes('own')) return true
  return granted.includes(to.part) || (kind === 'type' && granted.includes(`${to.part}:type`))
}

const names = (specifier: string, module: string): boolean => specifier === module || specifier.startsWith(`${module}/`)

const problem = (file: SourceFile, { line }: ModuleImport, message: string): Problem => ({
  rule: 'import-law',
  path: file.path,
  line,
  message,
  level: 'error',
})

/** Providers load their vendor's SDK when it is used, `mcp` that of its protocol. */
const loadsVendors = (part: string, module: string): boolean =>
  part === 'providers' || (part === 'mcp' && module === '@modelcontextprotocol/sdk')

function coreProblem(file: SourceFile, found: ModuleImport): string | null {
  const { specifier, target, kind } = found
  const from = placeOf(file.path)
  if (target) {
    const to = placeOf(target)
    if (!target.startsWith(coreSource) || admits(from, to, kind)) return null
    return `${from.own} may not import ${to.part === 'capability' ? `${target} (only its index.ts)` : to.own}`
  }
  if (specifier.startsWith('@keelson/')) return `core may not import ${specifier}`
  const module = heavyModules.find((name) => names(specifier, name))
  if (module && !(loadsVendors(from.part, module) && kind !== 'value')) {
    return kind === 'dynamic'
      ? `${from.own} may not load ${module}`
      : `core may not import ${module}; load it when it is used`
  }
  if (names(specifier, 'zod') && kind === 'value' && !schemaParts.includes(from.part)) {
    return `${from.own} may not load zod: schemas load with the surfaces`
  }
  return null
}

/** Which workspace packages, and what else, a package other than core may import. */
const packageLaw: readonly { of: RegExp; keelson: readonly string[]; never: readonly string[] }[] = [
  {
    of: /^adapter-/,
    keelson: ['@keelson/core/http', '@keelson/core/node', '@keelson/core/websocket'],
    never: [],
  },
  { of: /^store-kysely$/, keelson: ['@keelson/core/stores'], never: ['node:sqlite', 'pg', 'better-sqlite3'] },
  { of: /^store-/, keelson: ['@keelson/core/stores', '@keelson/store-kysely'], never: [] },
  {
    of: /^conformance$/,
    keelson: ['', '/stores', '/http', '/fetch', '/node', '/websocket', '/openapi', '/testing'].map(
      (entry) => `@keelson/core${entry}`,
    ),
    never: ['express', 'fastify', 'kysely', 'node:sqlite', 'pg', 'openai', '@anthropic-ai/sdk', 'ai', '@ai-sdk'],
  },
]

function packageProblem(folder: string, { specifier }: ModuleImport): string | null {
  const rule = packageLaw.find(({ of }) => of.test(folder))
  if (!rule) return null
  if (specifier.startsWith('@keelson/') && !rule.keelson.includes(specifier)) {
    return `${folder} may not import ${specifier} (only ${rule.keelson.join(', ')})`
  }
  const module = rule.never.find((name) => names(specifier, name))
  return module ? `${folder} may not import ${module}` : null
}

/** Who may import whom: the layers of core, the packages beside it, and no way round a package's entries. */
export function checkImportLaw(tree: SourceTree): Problem[] {
  const problems: Problem[] = []
  for (const file of tree) {
    const folder = /^packages\/([^/]+)\/src\//.exec(file.path)?.[1]
    if (!folder) continue
    for (const found of file.imports) {
      if (found.target && !found.target.startsWith(`packages/${folder}/`)) {
        problems.push(problem(file, found, `${found.specifier} leaves the package; import the other one by name`))
      } else if (!isTest(file.path)) {
        const message = folder === 'core' ? coreProblem(file, found) : packageProblem(folder, found)
        if (message) problems.push(problem(file, found, message))
      }
    }
  }
  return problems
}
