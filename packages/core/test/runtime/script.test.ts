import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const script = fileURLToPath(new URL('child-script.ts', import.meta.url))

test('a script lives until its turn is answered, also between two attempts, and then ends by itself', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=keelson-source', script])
  expect(stdout).toBe('Here I am.\n')
})
