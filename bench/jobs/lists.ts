import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqliteStore } from '@keelson/store-sqlite'
import { timed } from '../harness/clocks.ts'
import { temporaryFolder } from '../harness/folder.ts'
import type { StartJob } from '../harness/job.ts'
import { listen } from '../harness/listen.ts'
import { startLoadGenerator } from '../harness/load.ts'
import { makeScript, userMessage } from '../harness/script.ts'
import { agentServer } from '../subjects/agent-server.ts'
import { scriptedProvider } from '../subjects/keelson.ts'
import { type RecordedCall, recordCalls } from './recorded-calls.ts'

const rows = 1_000
const readsPerRound = 20

/**
 * Reading the list of 1,000 sessions, the 1,000 messages of one of them, and 1,000 notes. `HTTP`: through the routes of a
 * surface on Express, with a client on another thread; `bare`: the statements that these issue, on the driver alone.
 */
export const start: StartJob = async (name) => {
  const file = join(temporaryFolder(), 'lists.db')
  const { client, listener } = await agentServer(scriptedProvider(makeScript(1, 0)), 'mycelos', sqliteStore(file))
  let session = ''
  for (let count = 0; count < rows; count += 1) {
    session = (await client.sessions.create({ agent: 'bench', title: `Session ${count}` })).id
    await client.notes.create({ title: `Note ${count}`, content: 'What there is to know.' })
  }
  for (let turn = 0; turn < rows / 2; turn += 1) await client.run('bench', { session, message: userMessage }).result
  const port = await listen(await listener('Express'))
  const load = startLoadGenerator()

  const list = async (path: string) => {
    const calls = await recorded(`http://127.0.0.1:${port}/ai/api/${path}`)
    const requests = Array.from({ length: readsPerRound }, () => ({ method: 'GET', path: `/ai/api/${path}` }) as const)
    const repeat = repeater(file, calls)
    const read =
      name === 'bare' ? async () => requests.forEach(repeat) : () => load.send({ port, requests, concurrency: 1 })
    return { statements: calls.length, measure: async () => (await timed(readsPerRound, read)).cpuUs }
  }
  const sessions = await list('sessions')
  const messages = await list(`sessions/${session}/messages`)
  const notes = await list(`knowledge/notes?limit=${rows}`)

  const round = async () => ({
    sessionsUs: await sessions.measure(),
    messagesUs: await messages.measure(),
    notesUs: await notes.measure(),
    sessionsStatements: sessions.statements,
    messagesStatements: messages.statements,
    notesStatements: notes.statements,
  })
  for (let run = 0; run < 3; run += 1) await round()
  return { round }
}

/** What a request that answers with all the rows asks of the driver. */
async function recorded(url: string): Promise<RecordedCall[]> {
  const recording = recordCalls()
  const answer = (await (await fetch(url)).json()) as readonly unknown[] | { readonly messages: readonly unknown[] }
  recording.stop()
  const found = 'messages' in answer ? answer.messages : answer
  if (found.length !== rows) throw new Error(`${found.length} rows came from ${url}`)
  return recording.take()
}

function repeater(file: string, calls: readonly RecordedCall[]): () => void {
  const database = new DatabaseSync(file)
  const statements = calls.map(({ sql, values }) => ({ statement: database.prepare(sql), values }))
  return () => {
    for (const { statement, values } of statements) statement.all(...values)
  }
}
