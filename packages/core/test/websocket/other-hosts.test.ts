import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { webSockets } from '@keelson/adapter-express/websocket'
import { keelson } from '@keelson/adapter-fastify'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import Fastify from 'fastify'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { apiKey, assistant } from '../surfaces/roboticus-server.ts'

const runtimeOf = () => createTestRuntime({ agents: [assistant()], model: scriptedModel([say('Hello.')]) })

const mounts = () => [{ prefix: '/ai', surface: roboticus({ apiKey }) }]

/** Connects, and resolves with the code of the end and all types of frames before it. */
async function listenTo(server: Server, path: string, meanwhile: () => Promise<unknown>) {
  const { port } = server.address() as AddressInfo
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers: { 'x-api-key': apiKey } })
  const types: string[] = []
  socket.on('message', (data) => types.push(JSON.parse(data.toString()).type))
  const end = new Promise<number>((resolve) => socket.on('close', resolve))
  await new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject))
  await meanwhile()
  return { code: await end, types }
}

test('the push works on the server of a Fastify app, below its prefix, and ends before the app does', async () => {
  await using runtime = await runtimeOf()
  const app = Fastify()
  await app.register(keelson(runtime, { mounts: mounts() }), { prefix: '/host' })
  const sockets = webSockets(app.server, runtime, { mounts: mounts(), base: '/host' })
  app.addHook('preClose', () => sockets.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { code, types } = await listenTo(app.server, '/host/ai/ws', async () => {
    await runtime.client.run('assistant', { message: 'Hi' }).outcome
    await app.close()
  })
  expect(code).toBe(1001)
  expect(types).toEqual(expect.arrayContaining(['connected', 'model_selection', 'agent_working', 'stream_chunk']))
})

test('the push works on a bare server that serves nothing else', async () => {
  await using runtime = await runtimeOf()
  const server = createServer()
  const sockets = webSockets(server, runtime, { mounts: mounts() })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { code, types } = await listenTo(server, '/ai/ws', () => sockets.close())
  expect([code, types]).toEqual([1001, ['connected']])
  await new Promise((resolve) => server.close(resolve))
})
