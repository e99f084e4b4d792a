import { globSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './workspace.ts'

/** A package in `package-lock.json`, as far as anything here looks at it. */
export interface Locked {
  readonly version?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

export interface Lockfile {
  /** By path: empty for the root, then the workspaces and what is installed. */
  readonly packages: Readonly<Record<string, Locked>>
}

/** A package of a dependency tree: where npm has installed it, and its version. */
export interface InstalledPackage {
  readonly path: string
  readonly version: string
}

export const lockfilePath = join(root, 'package-lock.json')

export const readLockfile = (): Lockfile => JSON.parse(readFileSync(lockfilePath, 'utf8')) as Lockfile

/** Where npm resolves `name` to from the package at `from`: the nearest `node_modules` upwards. Null when nowhere. */
function resolve({ packages }: Lockfile, from: string, name: string): string | null {
  let folder = from
  for (;;) {
    const path = join(folder, 'node_modules', name)
    if (path in packages) return path
    if (folder === '') return null
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))
  }
}

/** What a host gets beside the package in `folder`: its dependencies and theirs, without peers and development. */
export function productionTree(folder: string): InstalledPackage[] {
  const lockfile = readLockfile()
  const found = new Map<string, InstalledPackage>()
  const visit = (from: string): void => {
    for (const name of Object.keys(lockfile.packages[from]?.dependencies ?? {})) {
      const path = resolve(lockfile, from, name)
      if (!path) throw new Error(`package-lock.json has no ${name} for ${from}; run npm install`)
      if (found.has(path)) continue
      found.set(path, { path, version: lockfile.packages[path]?.version ?? '' })
      visit(path)
    }
  }
  visit(folder)
  return [...found.values()]
}

/** The version of a package at the root of the tree. */
export function lockedVersion(name: string): string {
  const version = readLockfile().packages[`node_modules/${name}`]?.version
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

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const processors = ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64']
const libraries: Readonly<Record<string, string>> = {
  gnu: 'glibc',
  gnueabihf: 'glibc',
  musl: 'musl',
  musleabihf: 'musl',
}

/** The platform that a package of binaries is named after. Throws when the name tells none. */
function platformOf(name: string): Pick<Locked, 'os' | 'cpu' | 'libc'> {
  const words = name.split(/[/-]/)
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.includes(processor))
  if (!os || !cpu) throw new Error(`${name} names no platform: add it to package-lock.json by hand`)
  const libc = words.map((word) => libraries[word]).find((library) => library !== undefined)
  return { ...(os === 'linux' && libc ? { libc: [libc] } : {}), cpu: [cpu], os: [os] }
}

/**
 * Adds the optional dependencies that the lock file names and does not hold: binaries for other platforms, which npm
 * leaves out when its registry does not serve them, and without which `npm ci` refuses the file.
 */
export function completeLockfile(lockfile: Lockfile): {
  readonly lockfile: Lockfile
  readonly added: readonly string[]
} {
  const added: Record<string, Locked> = {}
  for (const [from, { dev, optionalDependencies = {} }] of Object.entries(lockfile.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (resolve(lockfile, from, name)) continue
      if (!/^\d+\.\d+\.\d+\S*$/.test(version)) throw new Error(`${name}@${version} of ${from} is no exact version`)
      const { libc, cpu, os } = platformOf(name)
      added[`node_modules/${name}`] = {
        version,
        ...(cpu && { cpu }),
        ...(dev && { dev }),
        ...(libc && { libc }),
        optional: true,
        ...(os && { os }),
      }
    }
  }
  const packages = Object.fromEntries(
    Object.entries({ ...lockfile.packages, ...added }).sort(([a], [b]) => a.localeCompare(b, 'en')),
  )
  return { lockfile: { ...lockfile, packages }, added: Object.keys(added) }
}
