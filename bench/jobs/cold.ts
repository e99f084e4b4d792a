import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { timed } from '../harness/clocks.ts'
import { temporaryFolder } from '../harness/folder.ts'
import type { StartJob } from '../harness/job.ts'
import { userMessage } from '../harness/script.ts'
import { openClient, seededSession } from './history.ts'

const messages = 1_000
const loadsPerRound = 8

/**
 * A session of 1,000 messages that is not in memory. `keelson`: how much longer a turn takes than in a session that is;
 * `bare`: reading the rows and parsing their JSON, nothing else.
 */
export const start: StartJob = async (name) => {
  const folder = temporaryFolder()
  const file = join(folder, 'cold.db')
  const cold = await openClient(file, 0)
  const session = await seededSession(cold.client, cold.store, messages)
  if (name === 'bare') {
    await cold.store.close()
    const select = new DatabaseSync(file).prepare('select * from messages where session = ? order by sequence')
    const read = () => {
      const parts = select.all(session).map(({ parts: text }) => JSON.parse(String(text)) as unknown)
      if (parts.length !== messages) throw new Error(`${parts.length} messages were read`)
    }
    for (let warm = 0; warm < 200; warm += 1) read()
    return {
      round: () =>
        timed(loadsPerRound, async () => {
          for (let load = 0; load < loadsPerRound; load += 1) read()
        }),
    }
  }
  const warm = await openClient(join(folder, 'warm.db'))
  const warmSession = await seededSession(warm.client, warm.store, messages)
  const turns = (client: typeof cold.client, id: string) =>
    timed(loadsPerRound, async () => {
      for (let turn = 0; turn < loadsPerRound; turn += 1)
        await client.run('bench', { session: id, message: userMessage }).result
    })
  const round = async () => {
    const coldly = await turns(cold.client, session)
    const warmly = await turns(warm.client, warmSession)
    return { us: coldly.us - warmly.us, cpuUs: coldly.cpuUs - warmly.cpuUs, turnUs: coldly.us }
  }
  for (let run = 0; run < 10; run += 1) await round()
  return { round }
}
