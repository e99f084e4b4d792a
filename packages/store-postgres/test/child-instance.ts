import { setTimeout as sleep } from 'node:timers/promises'
import { createRuntime, defineAgent, defineTool, isKeelsonError, singleOwner, type TurnEvent } from '@keelson/core'
import { callTool, delay, hang, respond, say, scriptedModel } from '@keelson/core/testing'
import { postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { z } from 'zod'

/** One instance of a runtime in a process of its own, told what to do by its parent. */

export interface InstanceOptions {
  readonly url: string
  readonly schema: string
  readonly leaseMs: number
  readonly listen: boolean
  /** Pico-dollars that all turns together may cost. One that answers costs 5,010, and reserves a little over 100,000. */
  readonly budget?: number
}

export type Command =
  | { readonly do: 'run'; readonly message: string; readonly session?: string; readonly key?: string }
  | { readonly do: 'outcome'; readonly turn: string }
  /** `until`: no longer than until the text says so. */
  | { readonly do: 'follow'; readonly turn: string; readonly after?: number; readonly until?: string }
  | { readonly do: 'cancel'; readonly turn: string }
  | { readonly do: 'decide'; readonly approval: string }
  | { readonly do: 'approvals'; readonly turn: string }
  | { readonly do: 'messages'; readonly session: string }
  | { readonly do: 'turn'; readonly turn: string }
  | { readonly do: 'session' }
  | { readonly do: 'stop' }

/** What is written to the parent: an answer, or something that happened by itself. */
export type Report =
  | { readonly answers: number; readonly value?: unknown; readonly code?: string }
  | { readonly happened: string; readonly detail?: string }

const options = JSON.parse(process.argv[2] ?? '{}') as InstanceOptions
const tell = (report: Report) => process.send?.(report)

/** What the model does is what the message says. */
const model = scriptedModel([], {
  models: [{ name: 'one', maxOutputTokens: 100, price: { input: 1, output: 1_000 } }],
  otherwise: respond(({ messages }) => {
    const last = messages.at(-1)
    const user = messages.findLast(({ role }) => role === 'user')
    const text = user?.parts.flatMap((part) => (part.type === 'text' ? part.text : [])).join('') ?? ''
    tell({ happened: 'model', detail: text })
    if (last?.role === 'tool') return say(`done: ${text}`)
    if (text.startsWith('brief')) return [say('a'), delay(5), say('b'), delay(5), say(`c: ${text}`)]
    if (text.startsWith('hang')) return [say('so far'), hang()]
    const slowly = /^slow(er)?/.exec(text)
    const words = slowly?.[1] ? 80 : 40
    if (slowly) return Array.from({ length: words }, (_, index) => [say([`${index} `]), delay(25)]).flat()
    if (text.startsWith('pay')) return callTool('pay', { note: text })
    if (text.startsWith('look')) return callTool('look', { note: text })
    return say(`answer ${messages.length}: ${text}`)
  }),
})

const note = z.object({ note: z.string() })
const pay = defineTool({
  name: 'pay',
  description: 'Pays',
  input: note,
  approval: 'always',
  execute: ({ note: text }) => {
    tell({ happened: 'paid', detail: text })
    return 'paid'
  },
})
const look = defineTool({
  name: 'look',
  description: 'Looks',
  input: note,
  risk: 'safe',
  idempotent: true,
  execute: async ({ note: text }) => {
    tell({ happened: 'looked', detail: text })
    await sleep(5)
    return 'seen'
  },
})

const connection = { connectionString: options.url, connectionTimeoutMillis: 5_000 }
const pool = new pg.Pool({ ...connection, max: 6 })
const store = postgresStore({
  pool,
  schema: options.schema,
  ...(options.listen ? { listen: () => new pg.Client(connection) } : {}),
})
const runtime = createRuntime({
  store,
  providers: [model],
  agents: [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['scripted/one'], tools: [pay, look] })],
  leaseMs: options.leaseMs,
  ...(options.budget === undefined
    ? {}
    : { budgets: [{ id: 'all', scope: 'tenant', period: 'total', amount: options.budget }] }),
  limits: { flushMs: 50 },
  onError: (error, where) =>
    tell({ happened: 'error', detail: `${where}: ${isKeelsonError(error) ? error.code : String(error)}` }),
})
const client = runtime.as(singleOwner('code'))

async function collect(events: AsyncIterable<TurnEvent>, until: string | undefined): Promise<TurnEvent[]> {
  const all: TurnEvent[] = []
  let text = ''
  for await (const event of events) {
    all.push(event)
    if (event.type === 'text.delta') text += event.text
    if (until !== undefined && text.includes(until)) break
  }
  return all
}

async function obey(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'run': {
      const { message, session, key } = command
      const { id, session: of } = await client.run('clerk', {
        message,
        ...(session === undefined ? {} : { session }),
        ...(key === undefined ? {} : { idempotencyKey: key }),
      }).accepted
      return { turn: id, session: of }
    }
    case 'outcome':
      return await client.attach(command.turn).outcome
    case 'follow':
      return await collect(await client.turns.follow({ id: command.turn, after: command.after ?? 0 }), command.until)
    case 'cancel':
      return await client.turns.cancel({ id: command.turn })
    case 'decide':
      return await client.approvals.decide({ id: command.approval, decision: 'approve' })
    case 'approvals':
      return await client.approvals.list({ limit: 10, offset: 0, turn: command.turn })
    case 'messages':
      return await client.sessions.messages({ session: command.session, limit: 10_000 })
    case 'turn':
      return await client.sessions.turn({ id: command.turn })
    case 'session':
      return await client.sessions.create({ agent: 'clerk' })
    case 'stop':
      await runtime.stop()
      await pool.end()
      return null
  }
}

process.on('message', ({ number, command }: { readonly number: number; readonly command: Command }) => {
  obey(command).then(
    (value) => {
      tell({ answers: number, value })
      if (command.do === 'stop') process.disconnect()
    },
    (error: unknown) => tell({ answers: number, code: isKeelsonError(error) ? error.code : String(error) }),
  )
})
process.on('disconnect', () => process.exit())

await runtime.start()
tell({ happened: 'started' })
