// Runs turns on a database file until it is killed. Started by a test, which tells it what to do.
import { flushCompileCache } from 'node:module'
import { createRuntime, type RunOptions, singleOwner } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { workshop } from './workshop.ts'

/** Tells the child to begin a turn, or to stop its runtime. */
export type Command = { readonly run: RunOptions } | { readonly stop: true }

/** Sent for each command: the turn that was accepted, or null for a stop. */
export interface Answer {
  readonly turn: string | null
  readonly session: string | null
}

const [, , database = '', effects = ''] = process.argv
const { agent, model } = workshop(effects)
const runtime = createRuntime({
  store: sqliteStore(database),
  agents: [agent],
  providers: [model],
  limits: { flushMs: 5 },
})
const client = runtime.as(singleOwner('code'))

process.on('message', async (command: Command) => {
  if ('stop' in command) {
    process.send?.({ turn: null, session: null } satisfies Answer)
    await runtime.stop()
    process.disconnect()
    return
  }
  const { id, session } = await client.run('clerk', command.run).accepted
  process.send?.({ turn: id, session } satisfies Answer)
})
await runtime.start()
// A process that is killed would leave no cache behind.
flushCompileCache()
process.send?.({ turn: null, session: null } satisfies Answer)
