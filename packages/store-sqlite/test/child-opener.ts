import { setTimeout as sleep } from 'node:timers/promises'
import { isKeelsonError } from '@keelson/core/stores'
import { sqliteStore } from '@keelson/store-sqlite'
import { owner, sessionNamed } from '../../store-kysely/test/rows.ts'

/** Opens a file, tries again while it is in use, adds a session and closes. Writes the codes of what went wrong. */
const [file = '', name = '', patience = '0'] = process.argv.slice(2)
const tell = (line: string) => process.stdout.write(`${line}\n`)
for (let attempt = 0; ; attempt += 1) {
  const store = sqliteStore(file)
  try {
    await store.open()
    await store.sessions.create(owner, sessionNamed(name))
    await store.close()
    tell('done')
    break
  } catch (error) {
    await store.close()
    if (isKeelsonError(error) && error.code === 'STORE_IN_USE' && attempt < Number(patience)) {
      await sleep(5)
      continue
    }
    tell(isKeelsonError(error) ? error.code : String(error))
    break
  }
}
