// Writes the public names of all packages to the list that the tests hold them against.
import { writeFileSync } from 'node:fs'
import { pinnedSurface, readPublicSurface } from './packages/public-surface.ts'

const surface = await readPublicSurface()
writeFileSync(pinnedSurface, `${JSON.stringify(surface, null, 2)}\n`)
for (const [specifier, { values, types }] of Object.entries(surface)) {
  console.log(`${specifier}: ${values.length} values, ${types.length} types`)
}
