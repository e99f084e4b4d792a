import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { keelson as expressHandler } from '@keelson/adapter-express'
import { keelson as fastifyPlugin } from '@keelson/adapter-fastify'
import { createRuntime, defineAgent, type Runtime } from '@keelson/core'
import { demo } from '@keelson/core/providers/demo'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { sqliteStore } from '@keelson/store-sqlite'
import express from 'express'
import Fastify from 'fastify'
import { expect, it } from 'vitest'

const callers = 1_000
const path = '/api/agent/message/stream'
const headers = { 'content-type': 'application/json', 'x-api-key': 'key' }
const mounts = [{ prefix: '/', surface: roboticus({ apiKey: 'key', scopeMode: 'peer' }) }]

const hosts: Record<string, (runtime: Runtime) => Promise<RequestListener>> = {
  express: async (runtime) => express().use(expressHandler(runtime, { mounts })),
  fastify: async (runtime) => {
    const app = Fastify()
    await app.register(fastifyPlugin(runtime, { mounts }))
    await app.ready()
    return app.routing
  },
}

it.each(Object.keys(hosts))(
  '1,000 callers at once each get their whole stream on %s',
  async (framework) => {
    const errors: unknown[] = []
    const runtime = createRuntime({
      store: sqliteStore(':memory:'),
      providers: [demo()],
      agents: [defineAgent({ id: 'a', instructions: 'You help.', models: ['demo/demo'] })],
      onError: (error) => errors.push(error),
    })
    const server: Server = createServer(await hosts[framework]?.(runtime))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    try {
      const streams = await Promise.all(
        Array.from({ length: callers }, async (_, number) => {
          // Not with fetch, which waits ten seconds for a connection and no longer.
          const sent = request({ host: '127.0.0.1', port, path, method: 'POST', headers, agent: false })
          sent.end(JSON.stringify({ content: `caller ${number} speaks`, sender_id: `caller-${number}` }))
          const [response] = (await once(sent, 'response')) as [IncomingMessage]
          return await text(response)
        }),
      )
      const cut = streams.filter((each) => !each.includes('"stream_end"') && !/"done":\s*true/.test(each))
      expect(cut.slice(0, 1)).toEqual([])
      expect(new Set(streams.map((each) => /"session_id":"([^"]+)"/.exec(each)?.[1])).size).toBe(callers)
      expect(errors).toEqual([])
    } finally {
      await runtime.stop()
      server.closeAllConnections()
      server.close()
    }
  },
  120_000,
)
