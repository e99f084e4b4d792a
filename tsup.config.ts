import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { defineConfig, type Options } from 'tsup'
import { publicPackages, readPackages } from './scripts/packages/workspace.ts'

/** Private packages are bundled from source into the public ones that import them; so are their declarations. */
const bundled = Object.fromEntries(
  readPackages()
    .filter(({ manifest }) => manifest.private)
    .flatMap(({ entries }) => entries.map(({ specifier, source }) => [specifier, [`./${source}`]])),
)

export default defineConfig(
  publicPackages().map(({ folder, manifest, entries }): Options => {
    const named = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies, '@keelson/core': '' })
    return {
      name: manifest.name,
      silent: true,
      entry: Object.fromEntries(entries.map(({ built, source }) => [built, source])),
      outDir: join(folder, 'dist'),
      format: 'esm',
      target: 'node22',
      platform: 'node',
      // What several entries use is built once and shared, so that an error class or a symbol exists once.
      splitting: true,
      clean: true,
      // What is built stays readable, names and lines included: maps would weigh as much as half of it.
      sourcemap: false,
      dts: { compilerOptions: { paths: bundled } },
      removeNodeProtocol: false,
      external: named.filter((name) => !(name in bundled)).map((name) => new RegExp(`^${name}($|/)`)),
      // npm puts the licence of the folder it packs into the tarball, not that of the repository.
      onSuccess: () => copyFile('LICENSE', join(folder, 'LICENSE')),
      esbuildOptions(options) {
        options.conditions = ['keelson-source', 'module']
      },
    }
  }),
)
