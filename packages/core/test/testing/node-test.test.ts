import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test('the kit works under node:test', () => {
  const file = fileURLToPath(new URL('child-node-test.ts', import.meta.url))
  const flags = ['--conditions=keelson-source', '--test', '--test-isolation=none', '--test-reporter=tap']
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const { status, stdout } = spawnSync(process.execPath, [...flags, file], { encoding: 'utf8', env })
  expect(stdout).toContain('ok 1 - greets once it may')
  expect(status).toBe(0)
})
