import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type Environment, readConfig } from '../src/config.ts'
import { startServer } from '../src/server.ts'
import { ask, scratch } from './running-server.ts'

async function start(environment: Environment = {}) {
  const folder = await scratch()
  const config = readConfig({ PORT: '0', KEELSON_DB: ':memory:', ...environment })
  const server = await startServer(config, () => {})
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** The first frame, or the status that the upgrade was refused with. */
function push(url: string, path: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, { headers })
  const closed = new Promise<number>((resolve) => socket.on('close', resolve))
  return new Promise<{ socket: WebSocket; closed: Promise<number>; got: unknown }>((resolve, reject) => {
    socket.on('message', (data) => resolve({ socket, closed, got: JSON.parse(data.toString()).type }))
    socket.on('unexpected-response', (_request, response) => {
      response.resume()
      resolve({ socket, closed, got: response.statusCode })
    })
    socket.on('error', reject)
  })
}

test.each([
  ['', 'roboticus, mycelos', '/api/agent/message'],
  ['/roboticus', 'roboticus', '/roboticus/api/agent/message'],
  ['/mycelos', 'mycelos', '/mycelos/api/chat'],
])('the routes below "%s" are documented there, with a page', async (prefix, names, path) => {
  await using server = await start()
  const { json, status } = await ask(server.url, 'GET', `${prefix}/openapi.json`)
  expect([status, json.info.title]).toEqual([200, `Keelson: ${names}`])
  expect(Object.keys(json.paths)).toContain(path)
  expect(Object.keys(json.paths).filter((path) => !path.startsWith(prefix))).toEqual([])
  expect((await ask(server.url, 'GET', `${prefix}/swagger`)).status).toBe(200)
})

describe('the WebSocket', () => {
  test.each(['/ws', '/roboticus/ws'])(
    'opens at %s for programs of this machine, and ends with the server',
    async (path) => {
      await using server = await start()
      const { closed, got } = await push(server.url, path)
      expect(got).toBe('connected')
      await server.close()
      expect(await closed).toBe(1001)
    },
  )

  test('does not for pages of other names or origins, nor for what a proxy brings', async () => {
    await using server = await start()
    const { port } = new URL(server.url)
    const foreign = [
      { host: `evil.example:${port}` },
      { 'x-forwarded-for': '127.0.0.1' },
      { origin: 'https://evil.example' },
    ]
    const refusals = await Promise.all(foreign.map(async (headers) => (await push(server.url, '/ws', headers)).got))
    expect(refusals).toEqual([401, 401, 403])
  })

  test('needs the key where there is one', async () => {
    await using server = await start({ KEELSON_AUTH: 'required', KEELSON_API_KEY: 'a-key' })
    expect((await push(server.url, '/ws')).got).toBe(401)
    expect((await push(server.url, '/ws', { 'x-api-key': 'a-key' })).got).toBe('connected')
  })
})
