import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** One importable path of a package. */
export interface Entry {
  /** What an importer writes, e.g. `@keelson/core/http`. */
  readonly specifier: string
  /** The source file, relative to the repository. */
  readonly source: string
  /** The built file's path below `dist`, without its ending. */
  readonly built: string
}

export interface WorkspacePackage {
  /** Relative to the repository. */
  readonly folder: string
  readonly manifest: Manifest
  readonly entries: readonly Entry[]
}

/** The repository's root folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** The exports map is the list of entries: source under `keelson-source`, built file under `default` and `types`. */
function entriesOf(folder: string, { name, exports = {} }: Manifest): Entry[] {
  return Object.entries(exports).flatMap(([path, target]) => {
    if (typeof target === 'string') return []
    const built = /^\.\/dist\/(.+)\.js$/.exec(target.default ?? '')?.[1]
    const source = target['keelson-source']
    if (!built || !source || target.types !== `./dist/${built}.d.ts`) {
      throw new Error(
        `${name}: the export "${path}" needs keelson-source, types and default, the last two of one name in dist`,
      )
    }
    return [{ specifier: join(name, path), source: join(folder, source), built }]
  })
}

/** Every package below `packages/`, by name. */
export function readPackages(): WorkspacePackage[] {
  const found = globSync('packages/*/package.json', { cwd: root }).map((path) => {
    const folder = join(path, '..')
    const manifest = JSON.parse(readFileSync(join(root, path), 'utf8')) as Manifest
    return { folder, manifest, entries: entriesOf(folder, manifest) }
  })
  if (found.length === 0) throw new Error(`no packages below ${root}`)
  return found.sort((a, b) => a.manifest.name.localeCompare(b.manifest.name))
}

/** The packages that are published. The private ones are bundled into them. */
export const publicPackages = (): WorkspacePackage[] => readPackages().filter(({ manifest }) => !manifest.private)

/** True for test kits: they load inside a run of vitest alone. */
export const isTestKit = ({ manifest }: WorkspacePackage): boolean => 'vitest' in (manifest.peerDependencies ?? {})
