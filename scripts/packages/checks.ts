import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { readSource } from '../structure/source-tree.ts'
import { installedBytes, productionTree } from './lockfile.ts'
import { type Packed, run, unpack } from './pack.ts'
import { probeImport } from './probe-import.ts'
import { isTestKit, root } from './workspace.ts'

const bin = (name: string): string => join(root, 'node_modules/.bin', name)

/** publint's opinion of the tarball; a warning counts. */
export async function lint({ from, tarball }: Packed): Promise<string[]> {
  const bytes = new Uint8Array(readFileSync(tarball))
  const { messages, pkg } = await publint({ pack: { tarball: bytes.buffer }, strict: true })
  return messages
    .filter(({ type }) => type !== 'suggestion')
    .map(
      (message) => `publint: ${formatMessage(message, pkg, { color: false }) ?? message.code} (${from.manifest.name})`,
    )
}

/** Whether TypeScript resolves every entry as node does. Throws with attw's table when it does not. */
export function resolveTypes({ tarball }: Packed): void {
  run(bin('attw'), [tarball, '--profile', 'esm-only', '--no-emoji', '--no-color', '--format', 'ascii'])
}

/** Files that the exports map names and the tarball does not hold, and files that have no business in it. */
export function checkFiles({ from, files }: Packed): string[] {
  const { exports = {} } = from.manifest
  const named = Object.values(exports).flatMap((target) =>
    typeof target === 'string' ? target : Object.values(target),
  )
  const missing = named.map((path) => normalize(path)).filter((path) => !files.includes(path))
  const stray = files.filter((path) => /\.test(-d)?\.ts$|^test\/|\.tsbuildinfo$|\.db$/.test(path))
  return [
    ...missing.map((path) => `exports names ${path}, which is not in the tarball`),
    ...stray.map((path) => `${path} is in the tarball`),
    ...['LICENSE', 'package.json']
      .filter((path) => !files.includes(path))
      .map((path) => `${path} is not in the tarball`),
  ]
}

/** Imports of the built files that neither the package itself nor what it depends on can answer. */
export function checkBuiltImports({ from, files }: Packed, folder: string): string[] {
  const { name, dependencies = {}, peerDependencies = {} } = from.manifest
  const declared = [name, ...Object.keys(dependencies), ...Object.keys(peerDependencies)]
  return files
    .filter((path) => /^dist\/.*\.js$|^dist\/.*\.d\.ts$/.test(path))
    .flatMap((path) => {
      const { imports } = readSource(path, readFileSync(join(folder, path), 'utf8'))
      const named = imports.map(({ specifier }) => specifier)
      const unknown = named.filter((specifier) => {
        if (specifier.startsWith('.')) {
          const target = normalize(join(dirname(path), specifier))
          return !files.includes(path.endsWith('.d.ts') ? target.replace(/\.js$/, '.d.ts') : target)
        }
        return (
          !isBuiltin(specifier) && !declared.some((known) => specifier === known || specifier.startsWith(`${known}/`))
        )
      })
      return [...new Set(unknown)].map((specifier) => `${path} imports ${specifier}, which is no dependency`)
    })
}

const mebibyte = 1 << 20

/** What installing core alone costs: packages and bytes. */
export function checkWeight(core: Packed): string[] {
  const tree = productionTree(core.from.folder)
  const bytes = core.unpackedBytes + tree.reduce((sum, each) => sum + installedBytes(each), 0)
  const mebibytes = (bytes / mebibyte).toFixed(2)
  console.log(
    `  core and ${tree.length} dependencies: ${mebibytes} MiB, ${(core.unpackedBytes / mebibyte).toFixed(2)} its own`,
  )
  const names = tree.map(({ path }) => path.replace(/^.*node_modules\//, '')).join(', ')
  return [
    ...(tree.length > 10 ? [`core brings ${tree.length} packages; at most 10: ${names}`] : []),
    ...(bytes > 10 * mebibyte ? [`core and what it brings are ${mebibytes} MiB; at most 10`] : []),
  ]
}

/**
 * A project at `folder` that has the tarballs' contents installed. Of everything else it has what they declare, taken
 * from the repository's own installation.
 */
export function installInto(folder: string, packed: readonly Packed[]): void {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  for (const each of packed) unpack(each, join(folder, 'node_modules', each.from.manifest.name))
  const { dependencies, peers } = packed.reduce(
    (all, { from: { manifest } }) => ({
      dependencies: { ...all.dependencies, ...manifest.dependencies },
      peers: { ...all.peers, ...manifest.peerDependencies },
    }),
    { dependencies: {}, peers: {} },
  )
  const typesOf = (name: string) => `@types/${name.replace(/^@/, '').replace('/', '__')}`
  const names = Object.keys({ ...dependencies, ...peers }).filter((name) => !name.startsWith('@keelson/'))
  for (const name of [...names, ...names.map(typesOf), '@types/node']) {
    const [target, link] = [join(root, 'node_modules', name), join(folder, 'node_modules', name)]
    if (!existsSync(target) || existsSync(link)) continue
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(target, link, 'dir')
  }
}

/** Loads every entry of the installed tarballs, by `import` and by `require`, each in a process of its own. */
export function checkLoading(folder: string, packed: readonly Packed[]): string[] {
  const problems: string[] = []
  for (const { specifier } of packed.flatMap(({ from }) => (isTestKit(from) ? [] : from.entries))) {
    for (const mode of ['import', 'require'] as const) {
      try {
        const { effects, resources, traces } = probeImport({ mode, specifier, from: folder, source: false })
        const done = [...effects, ...resources, ...traces]
        if (done.length > 0) problems.push(`${mode} ${specifier} does something: ${done.join('; ')}`)
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error))
      }
    }
  }
  return problems
}

/** Compiles a consumer of every entry, declarations of the packages included. */
export function checkDeclarations(folder: string, packed: readonly Packed[]): string[] {
  const entries = packed.flatMap(({ from }) => from.entries)
  const lines = entries.map(({ specifier }, index) => `import * as entry${index} from '${specifier}'`)
  const used = `export const used: readonly unknown[] = [${entries.map((_, index) => `entry${index}`).join(', ')}]`
  writeFileSync(join(folder, 'consumer.ts'), [...lines, used, ''].join('\n'))
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2024', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  try {
    run(bin('tsc'), ['-p', folder, '--pretty', 'false'])
    return []
  } catch (error) {
    return [`a consumer does not compile: ${error instanceof Error ? error.message : error}`]
  }
}
