import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const soak = join(import.meta.dirname, '../../../../scripts/soak.ts')

test('ten deaths at random moments of a working process lose nothing and repeat nothing', {
  timeout: 120_000,
}, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=keelson-source', soak, '10'])
  expect(stdout).toMatch(/^kills 10$/m)
  expect(stdout).toMatch(/^turns .*\d+ completed/m)
  expect(stdout).toMatch(/^no violation$/m)
})
