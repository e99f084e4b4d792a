import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './workspace.ts'

interface Locked {
  readonly version?: string
  readonly dependencies?: Readonly<Record<string, string>>
}

/** A package of a dependency tree: where npm has installed it, and its version. */
export interface InstalledPackage {
  readonly path: string
  readonly version: string
}

const packages = () =>
  (JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, Locked> }).packages

/** Where npm resolves `name` to from the package at `from`: the nearest `node_modules` upwards. */
function resolve(locked: Record<string, Locked>, from: string, name: string): string {
  let folder = from
  for (;;) {
    const path = join(folder, 'node_modules', name)
    if (path in locked) return path
    if (folder === '') throw new Error(`package-lock.json has no ${name} for ${from}; run npm install`)
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))
  }
}

/** What a host gets beside the package in `folder`: its dependencies and theirs, without peers and development. */
export function productionTree(folder: string): InstalledPackage[] {
  const locked = packages()
  const found = new Map<string, InstalledPackage>()
  const visit = (from: string): void => {
    for (const name of Object.keys(locked[from]?.dependencies ?? {})) {
      const path = resolve(locked, from, name)
      if (found.has(path)) continue
      found.set(path, { path, version: locked[path]?.version ?? '' })
      visit(path)
    }
  }
  visit(folder)
  return [...found.values()]
}

/** The version of a package at the root of the tree. */
export function lockedVersion(name: string): string {
  const version = packages()[`node_modules/${name}`]?.version
  if (!version) throw new Error(`package-lock.json has no ${name}`)
  return version
}

/** Bytes of the files in an installed package. */
export function installedBytes({ path }: InstalledPackage): number {
  const folder = join(root, path)
  return globSync('**/*', { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
}
