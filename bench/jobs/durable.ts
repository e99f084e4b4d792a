import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createRuntime, type Store, singleOwner } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { timed } from '../harness/clocks.ts'
import { temporaryFolder } from '../harness/folder.ts'
import type { Job, StartJob } from '../harness/job.ts'
import { instructions, makeScript, userMessage } from '../harness/script.ts'
import { scriptedProvider } from '../subjects/keelson.ts'
import { type RecordedCall, recordCalls } from './recorded-calls.ts'

/** Turns of one session, so that history stays as short as in most sessions. */
const turnsPerSession = 10
const warmTurns = 400

/**
 * A plain turn on a database file. `keelson` runs it; `bare` repeats the very statements that such turns issue, with the
 * same values and in the same transactions, on the driver alone. Options: `turns` per round, `rounds`.
 */
export const start: StartJob = async (name, { turns = 200, rounds = 15 }) => {
  const folder = temporaryFolder()
  return name === 'bare'
    ? await bareJob(folder, Number(turns), Number(rounds))
    : await keelsonJob(folder, Number(turns))
}

async function agentOn(store: Store): Promise<(turns: number) => Promise<void>> {
  const runtime = createRuntime({
    store,
    providers: [scriptedProvider(makeScript(1, 0))],
    agents: [{ id: 'bench', instructions, models: ['bench/scripted'] }],
  })
  await runtime.start()
  const client = runtime.as(singleOwner('bench'))
  return async (turns) => {
    for (let turn = 0, session = ''; turn < turns; turn += 1) {
      if (turn % turnsPerSession === 0) session = (await client.sessions.create({ agent: 'bench' })).id
      await client.run('bench', { session, message: userMessage }).result
    }
  }
}

async function keelsonJob(folder: string, turns: number): Promise<Job> {
  const run = await agentOn(sqliteStore(join(folder, 'keelson.db')))
  await run(warmTurns)
  return { round: () => timed(turns, () => run(turns)) }
}

async function bareJob(folder: string, turns: number, rounds: number): Promise<Job> {
  const recorded = await recordTurns(join(folder, 'recorded.db'), turns, rounds)
  const file = join(folder, 'bare.db')
  const empty = sqliteStore(file)
  await empty.open()
  await empty.close()
  const database = new DatabaseSync(file)
  database.exec('pragma journal_mode = wal; pragma synchronous = normal; pragma foreign_keys = on')
  const prepared = new Map<string, ReturnType<DatabaseSync['prepare']>>()
  const repeat = (calls: readonly RecordedCall[]): number => {
    let rows = 0
    for (const { method, sql, values } of calls) {
      let statement = prepared.get(sql)
      if (!statement) {
        statement = database.prepare(sql)
        prepared.set(sql, statement)
      }
      const result = statement[method](...values)
      if (Array.isArray(result)) rows += result.length
    }
    return rows
  }
  const warm = recorded.shift() ?? []
  const expected = warm.reduce((sum, call) => sum + call.rows, 0)
  if (repeat(warm) !== expected) throw new Error('the repeated statements found other rows than the recorded ones')
  return {
    round() {
      const calls = recorded.shift()
      if (!calls) throw new Error('more rounds were asked for than were recorded')
      return timed(turns, async () => repeat(calls))
    },
  }
}

/** The calls that turns make of the driver: first those of the warm-up, then one list per round. */
async function recordTurns(file: string, turns: number, rounds: number): Promise<RecordedCall[][]> {
  const store = sqliteStore(file)
  await store.open()
  const recording = recordCalls()
  try {
    const run = await agentOn(store)
    await run(warmTurns)
    const all = [recording.take()]
    for (let round = 0; round < rounds; round += 1) {
      await run(turns)
      all.push(recording.take())
    }
    return all
  } finally {
    recording.stop()
    await store.close()
  }
}
