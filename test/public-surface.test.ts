import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { type PublicSurface, pinnedSurface, readPublicSurface } from '../scripts/packages/public-surface.ts'

// The pinned list is written by `npm run surface`. A change of it is a change of the public API: see CONTRIBUTING.md.
const pinned = JSON.parse(readFileSync(pinnedSurface, 'utf8')) as PublicSurface

describe('public names', () => {
  let actual: PublicSurface
  beforeAll(async () => {
    actual = await readPublicSurface()
  }, 120_000)

  it('are pinned for every entry and no other', () => {
    expect(Object.keys(pinned)).toEqual(Object.keys(actual))
  })

  it.each(Object.keys(pinned))('of %s are the pinned ones', (specifier) => {
    expect(actual[specifier]).toEqual(pinned[specifier])
  })

  it('tell values from types', () => {
    expect(actual['@keelson/core']?.values).toEqual(
      expect.arrayContaining(['createRuntime', 'defineTool', 'KeelsonError']),
    )
    expect(actual['@keelson/core']?.types).toEqual(expect.arrayContaining(['Runtime', 'Principal']))
    expect(actual['@keelson/core/stores']?.types).toContain('Store')
  })
})
