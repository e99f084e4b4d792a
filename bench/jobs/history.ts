import { join } from 'node:path'
import { type Client, createRuntime, type Store, singleOwner } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { timed } from '../harness/clocks.ts'
import { temporaryFolder } from '../harness/folder.ts'
import type { StartJob } from '../harness/job.ts'
import { instructions, makeScript, userMessage } from '../harness/script.ts'
import { scriptedProvider } from '../subjects/keelson.ts'

const turnsPerRound = 40
const owner = { tenant: 'default', subject: 'owner' }

/**
 * A turn of a session with as many messages as the subject's name says. The model is given all of them and does nothing
 * with them. `storeUs` is what of it the database takes.
 */
export const start: StartJob = async (name) => {
  const length = Number(name)
  const { client, store, storeUs } = await openClient(join(temporaryFolder(), 'history.db'))
  // A session is left before it has grown by a tenth.
  const turnsPerSession = Math.max(4, Math.min(turnsPerRound * 50, Math.floor(length / 20)))
  let session = ''
  let used = turnsPerSession
  const turn = () => client.run('bench', { session, message: userMessage }).result
  const renew = async () => {
    session = await seededSession(client, store, length)
    used = 0
    await turn()
  }
  const run = async () => {
    const metrics = { us: 0, cpuUs: 0, storeUs: 0 }
    for (let done = 0; done < turnsPerRound; ) {
      if (used >= turnsPerSession) await renew()
      const turns = Math.min(turnsPerRound - done, turnsPerSession - used)
      const before = storeUs()
      const { us, cpuUs } = await timed(turnsPerRound, async () => {
        for (let count = 0; count < turns; count += 1) await turn()
      })
      metrics.us += us
      metrics.cpuUs += cpuUs
      metrics.storeUs += (storeUs() - before) / turnsPerRound
      done += turns
      used += turns
    }
    return { ...metrics, loopUs: metrics.us - metrics.storeUs }
  }
  for (let warm = 0; warm < 10; warm += 1) await run()
  return { round: run }
}

/** A runtime on a file, and how many microseconds its statements have taken so far. `historyBytes` 0 caches nothing. */
export async function openClient(
  file: string,
  historyBytes?: number,
): Promise<{ client: Client; store: Store; storeUs: () => number }> {
  const store = sqliteStore(file)
  let spent = 0
  // An embedded database answers within the call, so that the time of the call is all there is.
  const clocked = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, name) {
        const verb: unknown = Reflect.get(target, name)
        if (typeof verb !== 'function') return verb
        return (...args: unknown[]) => {
          const begin = performance.now()
          const result: unknown = Reflect.apply(verb, target, args)
          spent += performance.now() - begin
          return result
        }
      },
    })
  const runtime = createRuntime({
    store: { ...store, loop: clocked(store.loop), sessions: clocked(store.sessions) },
    providers: [
      { ...scriptedProvider(makeScript(1, 0)), models: [{ name: 'scripted', contextTokens: Number.MAX_SAFE_INTEGER }] },
    ],
    agents: [{ id: 'bench', instructions, models: ['bench/scripted'] }],
    ...(historyBytes === undefined ? {} : { limits: { historyBytes } }),
  })
  await runtime.start()
  return { client: runtime.as(singleOwner('bench')), store, storeUs: () => spent * 1_000 }
}

/** A session that has talked so much already. */
export async function seededSession(client: Client, { sessions }: Store, messages: number): Promise<string> {
  const { id } = await client.sessions.create({ agent: 'bench' })
  for (let index = 0; index < messages; index += 1) {
    const text = `Message ${index}: ${'please tell me a little more about the weather in Paris. '.repeat(3)}`
    await sessions.append(owner, id, {
      id: crypto.randomUUID(),
      turn: null,
      role: index % 2 === 0 ? 'user' : 'assistant',
      parts: [{ type: 'text', text }],
      usage: null,
      createdAt: index,
    })
  }
  return id
}
