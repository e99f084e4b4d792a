// Rotates the vault's key of a database file until it is killed. Started by a test.
import { createRuntime, singleOwner } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'

const [, , file = '', ...keys] = process.argv
const store = sqliteStore(file)
let batches = 0
const { vault } = store
const runtime = createRuntime({
  store: {
    ...store,
    vault: {
      ...vault,
      async reseal(entries) {
        const changed = await vault.reseal(entries)
        batches += 1
        process.stdout.write(`batch ${batches}\n`)
        // The test decides between two batches whether there is another one.
        await new Promise((resolve) => process.stdin.once('data', resolve))
        return changed
      },
    },
  },
  providers: [],
  agents: [],
  vault: { keys },
})
await runtime.as(singleOwner('code')).vault.rotate()
process.stdout.write('done\n')
