import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { keelson } from '@keelson/adapter-express'
import { type Client, createRuntime, defineAgent } from '@keelson/core'
import type { Mount, Surface } from '@keelson/core/http'
import { demo } from '@keelson/core/providers/demo'
import { openaiCompatible } from '@keelson/core/providers/openai-compatible'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { sqliteStore } from '@keelson/store-sqlite'
import express from 'express'
import type { Config, SurfaceName } from './config.ts'
import { loopbackGuard } from './loopback-guard.ts'
import { calculator, clock, noteWriter } from './tools.ts'

/** How long open connections may take to end after the runtime has stopped, in milliseconds. */
const closeMs = 2_000

export interface RunningServer {
  readonly url: string
  readonly mounts: readonly { readonly prefix: string; readonly surface: string }[]
  /** Stops taking requests, leaves running turns resumable, and ends the streams. */
  close(): Promise<void>
}

/** Starts the server. Rejects when the database cannot be opened or the port is taken. */
export async function startServer(
  config: Config,
  report: (error: unknown, where: string) => void,
): Promise<RunningServer> {
  const runtime = createRuntime({
    store: sqliteStore(config.database),
    providers: [demo(), openaiCompatible(config.openai)],
    agents: [
      defineAgent({
        id: 'assistant',
        name: 'Assistant',
        instructions: 'You are a helpful assistant. Use your tools where they help, and answer briefly.',
        models: [config.model],
        tools: [calculator, clock, noteWriter(config.notes)],
      }),
    ],
    onError: report,
  })
  await runtime.start()

  const app = express()
  app.disable('x-powered-by')
  const server = createServer(app)
  const address = () => server.address() as AddressInfo
  if (config.auth === 'loopback') app.use(loopbackGuard(() => address().port))
  const mounts = mountsOf(config)
  app.use(keelson(runtime, { mounts }))

  try {
    server.listen(config.port, config.host)
    await once(server, 'listening')
  } catch (error) {
    await runtime.stop()
    throw error
  }
  const host = config.host.includes(':') ? `[${config.host}]` : config.host
  return {
    url: `http://${host}:${address().port}`,
    mounts: mounts.map(({ prefix, surface }) => ({ prefix, surface: surface.id })),
    async close() {
      const closed = once(server, 'close')
      server.close()
      await runtime.stop()
      // Streams have ended with the runtime; what is left are idle or stuck connections.
      const force = setTimeout(() => server.closeAllConnections(), closeMs)
      server.closeIdleConnections()
      await closed
      clearTimeout(force)
    },
  }
}

/** One surface alone is mounted at the root; several are merged there, and each is also mounted by its name. */
function mountsOf(config: Config): Mount<Client>[] {
  const merged = config.surfaces.map((name) => ({ prefix: '/', surface: surfaceOf(name, config), exclusive: true }))
  if (merged.length === 1) return merged
  return [
    ...merged,
    ...config.surfaces.map((name) => ({ prefix: `/${name}`, surface: surfaceOf(name, config), exclusive: true })),
  ]
}

function surfaceOf(name: SurfaceName, { apiKey, auth }: Config): Surface<Client> {
  switch (name) {
    case 'roboticus':
      return roboticus({ apiKey, trustLoopback: auth === 'loopback' })
  }
}
