import type { RequestListener } from 'node:http'
import { keelson } from '@keelson/adapter-express'
import { keelson as onFastify } from '@keelson/adapter-fastify'
import {
  type Client,
  createRuntime,
  type Principal,
  type Provider,
  type Runtime,
  type Store,
  singleOwner,
} from '@keelson/core'
import type { Mount } from '@keelson/core/http'
import { mycelos } from '@keelson/core/surfaces/mycelos'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { sqliteStore } from '@keelson/store-sqlite'
import express from 'express'
import Fastify from 'fastify'
import { instructions } from '../harness/script.ts'

/** How each surface is asked for an answer that is streamed. */
export const surfaces = {
  roboticus: {
    create: () => roboticus(),
    streamPath: '/ai/api/agent/message/stream',
    question: (session: string, text: string) => ({ content: text, session_id: session }),
  },
  mycelos: {
    create: () => mycelos(),
    streamPath: '/ai/api/chat',
    question: (session: string, text: string) => ({ message: text, session_id: session }),
  },
} as const

export type SurfaceName = keyof typeof surfaces
export type FrameworkName = 'Express' | 'Fastify'

export const healthPath = '/ai/api/health'

interface AgentServer {
  readonly runtime: Runtime
  readonly client: Client
  /** The surface below `/ai`. */
  readonly mounting: { readonly mounts: Mount<Client>[]; authenticate(): Principal }
  /** An app of the framework with the surface alone. */
  listener(framework: FrameworkName): Promise<RequestListener>
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

/** An agent behind a surface; on a database in memory unless a store is given. */
export async function agentServer(
  provider: Provider,
  surface: SurfaceName = 'roboticus',
  store: Store = sqliteStore(':memory:'),
): Promise<AgentServer> {
  const { create, question } = surfaces[surface]
  const runtime = createRuntime({
    store,
    providers: [provider],
    agents: [{ id: 'bench', instructions, models: ['bench/scripted'] }],
  })
  await runtime.start()
  const client = runtime.as(singleOwner('bench'))
  const mounting = { mounts: [{ prefix: '/ai', surface: create() }], authenticate: () => singleOwner('bench') }
  let number = 0
  return {
    runtime,
    client,
    mounting,
    async listener(framework) {
      if (framework === 'Express') return hostApp().use(keelson(runtime, mounting))
      const app = Fastify()
      await app.register(onFastify(runtime, mounting))
      await app.ready()
      return app.routing
    },
    async bodies(count) {
      const made: string[] = []
      for (let index = 0; index < count; index += 1) {
        const { id } = await client.sessions.create({ agent: 'bench' })
        number += 1
        made.push(JSON.stringify(question(id, `Question ${number}`)))
      }
      return made
    },
  }
}
