import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { sqliteStore } from '@keelson/store-sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { databaseFile } from '../durability/scene.ts'
import { desk } from './scene.ts'

/** Starts a process that changes the configuration without a pause, and kills it so long after so many changes. */
async function killedAfter(database: string, changes: number, ms: number): Promise<void> {
  const child = fork(join(import.meta.dirname, 'child-writer.ts'), [database], {
    execArgv: ['--conditions=keelson-source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const exit = once(child, 'exit')
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  for (let count = 0; count < changes; count += 1) await once(child, 'message')
  await new Promise((resolve) => setTimeout(resolve, ms))
  child.kill('SIGKILL')
  await exit
}

test('a process that is killed while it changes the configuration leaves the old or the new, and never half', async () => {
  const database = databaseFile()
  let latest = 0
  for (const [changes, ms] of [
    [1, 0],
    [4, 1],
    [7, 3],
    [5, 7],
  ] as const) {
    await killedAfter(database, changes, ms)
    const store = sqliteStore(database)
    const { client, instructions, runtime } = await desk({ store })
    const active = await client.config.active()
    const { generations } = await client.config.list({ limit: 1_000 })
    expect(generations.length).toBeGreaterThan(0)
    for (const { number, contentHash } of generations) {
      const stored = await store.config.content('default', number)
      expect(
        createHash('sha256')
          .update(stored?.content ?? '')
          .digest('hex'),
      ).toBe(contentHash)
    }
    // Every agent of a content says the same number: one that was half written would not.
    const texts = Object.values(active.content['agents'] ?? {}).map((entry) => entry['instructions'])
    expect(active.number === 0 ? 1 : new Set(texts).size).toBe(1)
    expect(generations[0]?.number).toBeGreaterThan(latest)
    latest = generations[0]?.number ?? 0
    expect(await instructions()).toBe('You help.')
    const next = await client.config.change({ patch: { surfaces: { demo: { latest } } } })
    expect(next.generation).toMatchObject({ number: latest + 1, parent: active.number })
    latest = next.generation.number
    await runtime.stop()
  }
}, 120_000)
