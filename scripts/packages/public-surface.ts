import { join } from 'node:path'
import ts from 'typescript'
import { publicPackages, root } from './workspace.ts'

/** The names an entry exports, sorted: what a program finds when it imports the entry, and what only the compiler sees. */
export interface EntrySurface {
  readonly values: readonly string[]
  readonly types: readonly string[]
}

/** Every entry of every public package with the names it exports, by specifier. */
export type PublicSurface = Readonly<Record<string, EntrySurface>>

/** Where the names are pinned. */
export const pinnedSurface = join(root, 'test/public-surface.json')

/** Reads the public names from source; workspace packages must resolve to it. Throws for an entry without a file. */
export async function readPublicSurface(): Promise<PublicSurface> {
  const entries = publicPackages().flatMap((each) => each.entries)
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  const program = ts.createProgram(
    entries.map(({ source }) => join(root, source)),
    options,
  )
  const checker = program.getTypeChecker()

  const surface: Record<string, EntrySurface> = {}
  for (const { specifier, source } of entries) {
    const file = program.getSourceFile(join(root, source))
    const symbol = file && checker.getSymbolAtLocation(file)
    if (!symbol) throw new Error(`${source} is missing or exports nothing`)
    const names = checker.getExportsOfModule(symbol).map(({ name }) => name)
    const values = Object.keys((await import(/* @vite-ignore */ specifier)) as object)
    surface[specifier] = { values: values.sort(), types: names.filter((name) => !values.includes(name)).sort() }
  }
  return surface
}
