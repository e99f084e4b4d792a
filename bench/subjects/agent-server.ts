import { keelson } from '@keelson/adapter-express'
import { type Client, createRuntime, type Provider, type Runtime, singleOwner } from '@keelson/core'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { sqliteStore } from '@keelson/store-sqlite'
import express from 'express'
import { instructions } from '../harness/script.ts'

export const streamPath = '/ai/api/agent/message/stream'
export const healthPath = '/ai/api/health'

interface AgentServer {
  readonly runtime: Runtime
  readonly client: Client
  /** An Express app with a route of its own and the surface below `/ai`. */
  readonly app: ReturnType<typeof express>
  /** Bodies for the stream route: each a new message in a session of its own. */
  bodies(count: number): Promise<string[]>
}

/** The route of a host that has nothing to do with agents. */
export function hostApp(): ReturnType<typeof express> {
  const app = express()
  app.disable('x-powered-by')
  return app
}

export const health = () => ({ status: 'ok', version: '0.1.0', agent: 'bench', uptime_seconds: 12 })

export const mounting = {
  mounts: [{ prefix: '/ai', surface: roboticus() }],
  authenticate: () => singleOwner('bench'),
}

/** An agent behind Express, on a database in memory. */
export async function agentServer(provider: Provider): Promise<AgentServer> {
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [provider],
    agents: [{ id: 'bench', instructions, models: ['bench/scripted'] }],
  })
  await runtime.start()
  const client = runtime.as(singleOwner('bench'))
  const app = hostApp()
  app.use(keelson(runtime, mounting))
  let number = 0
  return {
    runtime,
    client,
    app,
    async bodies(count) {
      const made: string[] = []
      for (let index = 0; index < count; index += 1) {
        const { id } = await client.sessions.create({ agent: 'bench' })
        number += 1
        made.push(JSON.stringify({ content: `Question ${number}`, session_id: id }))
      }
      return made
    },
  }
}
