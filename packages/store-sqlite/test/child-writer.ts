import { sqliteStore } from '@keelson/store-sqlite'
import { accepting, answering, owner, sessionNamed } from '../../store-kysely/test/rows.ts'

/** Runs turn after turn and tells of each commit point once it is stored. Never ends by itself. */
const [file = '', name = ''] = process.argv.slice(2)
const tell = (line: string) => process.stdout.write(`${line}\n`)
const store = sqliteStore(file)
await store.open()
await store.loop.heartbeat('child', 1)
await store.sessions.create(owner, sessionNamed(name))
tell('open')
for (let count = 1; ; count += 1) {
  const turn = `${name}-${count}`
  const accepted = await store.loop.accept(owner, accepting(name, turn, { instance: 'child' }))
  if (accepted.outcome !== 'started') throw new Error(accepted.outcome)
  tell(`accepted ${turn}`)
  const { lease } = accepted.started
  for (let flushed = 1; flushed <= 3; flushed += 1) {
    await store.loop.flush(lease, `{"sequence":${flushed},"text":"${'x'.repeat(2_000)}"}\n`)
  }
  tell(`flushed ${turn}`)
  await store.loop.commit(lease, { ...answering(turn), log: '{"sequence":4}\n' })
  tell(`completed ${turn}`)
}
