import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeStore } from '@keelson/conformance'
import { sqliteStore } from '@keelson/store-sqlite'

describeStore('sqliteStore in memory', {
  async open() {
    const store = sqliteStore(':memory:')
    await store.open()
    return { store, close: () => store.close() }
  },
})

describeStore('sqliteStore on a file', {
  async open() {
    const folder = await mkdtemp(join(tmpdir(), 'keelson-'))
    const store = sqliteStore(join(folder, 'keelson.db'))
    await store.open()
    return {
      store,
      async close() {
        await store.close()
        await rm(folder, { recursive: true })
      },
    }
  },
})
