import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { root, type WorkspacePackage } from './workspace.ts'

export interface Packed {
  readonly from: WorkspacePackage
  /** Absolute path of the tarball. */
  readonly tarball: string
  /** Paths of the files in it. */
  readonly files: readonly string[]
  readonly unpackedBytes: number
}

interface NpmPack {
  readonly name: string
  readonly filename: string
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

/** Runs a command, with its output shown only when it fails. Throws then. */
export function run(command: string, args: readonly string[], cwd = root): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (status === 0) return stdout
  throw new Error(`${command} ${args.join(' ')} failed (${error?.message ?? status})\n${stdout}${stderr}`)
}

/** Packs built packages as npm would publish them, into `folder`. */
export function packInto(folder: string, packages: readonly WorkspacePackage[]): Packed[] {
  mkdirSync(folder, { recursive: true })
  const paths = packages.map((each) => `./${each.folder}`)
  const made = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder, ...paths])) as NpmPack[]
  return packages.map((from) => {
    const pack = made.find(({ name }) => name === from.manifest.name)
    if (!pack) throw new Error(`npm packed no ${from.manifest.name}`)
    return {
      from,
      tarball: join(folder, pack.filename),
      files: pack.files.map(({ path }) => path),
      unpackedBytes: pack.unpackedSize,
    }
  })
}

/** Unpacks a tarball's `package` folder to `folder`. */
export function unpack({ tarball }: Packed, folder: string): void {
  mkdirSync(folder, { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', folder])
}
