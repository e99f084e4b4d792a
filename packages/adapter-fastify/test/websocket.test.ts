import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { keelson } from '../src/index.ts'
import { webSockets } from '../src/websocket.ts'
import { anything, type Handle, runtime, surface } from './surface.ts'

const echo: Handle = ({ params }) => ({
  socket: {
    mostMessageBytes: 100,
    open(socket) {
      socket.send(JSON.stringify(params))
      return { text: (text) => socket.send(text) }
    },
  },
})

const mounts = [
  {
    prefix: '/ai',
    surface: surface(
      {},
      {
        routes: [
          {
            method: 'GET',
            path: '/rooms/:room',
            section: 's',
            summary: 's',
            socket: true,
            response: anything,
            handle: echo,
          },
        ],
      },
    ),
  },
]

async function serve() {
  const app = Fastify()
  const sockets = webSockets(app, runtime, { mounts })
  await app.register(keelson(runtime, { mounts }))
  app.get('/host', async () => 'host')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return { app, sockets, origin: `127.0.0.1:${port}` }
}

/** A connection and what it was told first. */
async function connect(origin: string, path: string) {
  const socket = new WebSocket(`ws://${origin}${path}`)
  const message = await new Promise<string>((resolve, reject) => {
    socket.on('message', (data) => resolve(String(data)))
    socket.on('error', reject)
  })
  return { socket, message }
}

describe('webSockets', () => {
  it('opens the WebSockets of the mounts beside the routes of the app', async () => {
    const { app, origin } = await serve()
    try {
      const { socket, message } = await connect(origin, '/ai/rooms/7')
      expect(JSON.parse(message)).toEqual({ room: '7' })
      const echoed = new Promise((resolve) => socket.on('message', (data) => resolve(String(data))))
      socket.send('hello')
      expect(await echoed).toBe('hello')
      expect(await (await fetch(`http://${origin}/host`)).text()).toBe('host')
      const plain = await fetch(`http://${origin}/ai/rooms/7`)
      expect([plain.status, plain.headers.get('upgrade')]).toEqual([426, 'websocket'])
    } finally {
      await app.close()
    }
  })

  it('closes them with 1001 when the app closes', async () => {
    const { app, origin, sockets } = await serve()
    const { socket } = await connect(origin, '/ai/rooms/7')
    const closed = new Promise((resolve) => socket.on('close', resolve))
    await app.close()
    expect(await closed).toBe(1001)
    expect(sockets.size).toBe(0)
  })
})
