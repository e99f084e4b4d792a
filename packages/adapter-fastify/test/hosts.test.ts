import { setTimeout as pause } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import fastifyCompress from '@fastify/compress'
import fastifyCors from '@fastify/cors'
import fastifyHelmet from '@fastify/helmet'
import { answerEvents } from '@keelson/core/http'
import Fastify, { type FastifyInstance } from 'fastify'
import { describe, expect, it, vi } from 'vitest'
import { keelson } from '../src/index.ts'
import { listen } from './host.ts'
import { runtime, surface } from './surface.ts'

const large = 'x'.repeat(20_000)

const api = surface(
  {
    'GET /json': () => ({ json: { large } }),
    'POST /echo': ({ body }) => ({ json: { body } }),
    'GET /fail': () => Promise.reject(new Error('secret')),
    'GET /events': () =>
      answerEvents(async ({ send }) => {
        await send({ data: 'first' })
        await send({ data: large })
      }),
  },
  { headers: { 'Content-Security-Policy': "default-src 'none'" }, bodyLimit: 50_000 },
)
const plugin = (exclusive = false) => keelson(runtime, { mounts: [{ prefix: '/ai', surface: api, exclusive }] })

const hosting = (build: (app: FastifyInstance) => void, after: (app: FastifyInstance) => void = () => {}) => {
  const app = Fastify({ forceCloseConnections: true })
  build(app)
  app.register(plugin())
  after(app)
  return app
}

const events = `data: first\n\ndata: ${large}\n\n`
const json = { 'content-type': 'application/json' }

describe('@fastify/cors', () => {
  it('puts its headers on answers, errors and event streams', async () => {
    const app = hosting((app) => app.register(fastifyCors, { origin: ['https://a.example'], credentials: true }))
    for (const [url, status] of [
      ['/ai/json', 200],
      ['/ai/fail', 500],
      ['/ai/events', 200],
    ] as const) {
      const answer = await app.inject({ url, headers: { origin: 'https://a.example' } })
      expect(answer.statusCode, url).toBe(status)
      expect(answer.headers, url).toMatchObject({
        'access-control-allow-origin': 'https://a.example',
        'access-control-allow-credentials': 'true',
        vary: expect.stringContaining('Origin'),
      })
    }
    expect((await app.inject('/ai/events')).payload).toBe(events)
  })

  it('answers preflight requests of our routes, exclusive or not', async () => {
    for (const exclusive of [false, true]) {
      const app = Fastify()
      app.register(fastifyCors, { origin: true })
      app.register(plugin(exclusive))
      const headers = { origin: 'https://a.example', 'access-control-request-method': 'POST' }
      const preflight = await app.inject({ method: 'OPTIONS', url: '/ai/echo', headers })
      expect([preflight.statusCode, preflight.headers['access-control-allow-origin']]).toEqual([
        204,
        'https://a.example',
      ])
    }
  })
})

describe('@fastify/helmet', () => {
  it('puts its headers on answers and event streams, where the surface has none of its own', async () => {
    const app = hosting((app) => app.register(fastifyHelmet))
    app.get('/own', async () => 'host')
    for (const url of ['/ai/json', '/ai/events', '/ai/fail']) {
      expect((await app.inject(url)).headers, url).toMatchObject({
        'strict-transport-security': expect.any(String),
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'",
      })
    }
    expect((await app.inject('/own')).headers['content-security-policy']).toContain("default-src 'self'")
  })
})

describe('@fastify/compress', () => {
  const compressing = () => hosting((app) => app.register(fastifyCompress))
  const accepting = { 'accept-encoding': 'gzip' }

  it('compresses JSON', async () => {
    const answer = await compressing().inject({ url: '/ai/json', headers: accepting })
    expect(answer.headers['content-encoding']).toBe('gzip')
    expect(answer.headers['vary']).toBe('accept-encoding')
    expect(JSON.parse(gunzipSync(answer.rawPayload).toString())).toEqual({ large })
    const plain = await compressing().inject({ url: '/ai/json' })
    expect([plain.headers['content-encoding'], plain.json()]).toEqual([undefined, { large }])
  })

  it('leaves event streams as they are', async () => {
    const answer = await compressing().inject({ url: '/ai/events', headers: accepting })
    expect([answer.headers['content-encoding'], answer.payload]).toEqual([undefined, events])
  })

  it('compresses event streams whole when it is told to', async () => {
    const app = hosting((app) => app.register(fastifyCompress, { customTypes: /event-stream/ }))
    const answer = await app.inject({ url: '/ai/events', headers: accepting })
    expect(answer.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(answer.rawPayload).toString()).toBe(events)
  })

  it('decompresses bodies for us, within our limit and without the process at risk', async () => {
    const { origin, close } = await listen(compressing())
    const post = async (body: Uint8Array<ArrayBuffer>) => {
      const headers = { ...json, 'content-encoding': 'gzip' }
      const response = await fetch(`${origin}/ai/echo`, { method: 'POST', body, headers })
      return [response.status, await response.json()]
    }
    expect(await post(new Uint8Array(gzipSync('{"a":1}')))).toEqual([200, { body: { a: 1 } }])
    expect(await post(new Uint8Array(Buffer.from('no gzip at all')))).toEqual([400, { code: 'BODY_NOT_DECODED' }])
    expect(await post(new Uint8Array(gzipSync(JSON.stringify('y'.repeat(5_000_000)))))).toEqual([
      413,
      { code: 'BODY_TOO_LARGE' },
    ])
    expect(await post(new Uint8Array(gzipSync('{"b":2}')))).toEqual([200, { body: { b: 2 } }])
    await close()
  })
})

describe('hooks of the host', () => {
  it('see our requests and may change our answers', async () => {
    const seen: string[] = []
    const app = hosting((app) => {
      app.addHook('onRequest', async ({ url }) => void seen.push(`request ${url}`))
      app.addHook('preHandler', async ({ url }) => void seen.push(`handler ${url}`))
      app.addHook('onSend', async (_request, reply, payload) => {
        seen.push(`send ${typeof payload}`)
        reply.header('x-seen', 'yes')
        return typeof payload === 'string' ? payload.replace('"body"', '"changed"') : payload
      })
      app.addHook('onResponse', async (_request, { statusCode }) => void seen.push(`response ${statusCode}`))
    })
    const answer = await app.inject({ method: 'POST', url: '/ai/echo', payload: '{"a":1}', headers: json })
    expect(answer.json()).toEqual({ changed: { a: 1 } })
    expect(answer.headers).toMatchObject({ 'x-seen': 'yes', 'content-type': 'application/json' })
    expect((await app.inject('/ai/events')).headers['x-seen']).toBe('yes')
    expect(seen).toEqual([
      'request /ai/echo',
      'handler /ai/echo',
      'send string',
      'response 200',
      'request /ai/events',
      'handler /ai/events',
      'send object',
      'response 200',
    ])
  })

  it('run once for what turns out to be nobody’s', async () => {
    const onRequest = vi.fn(async () => {})
    const preHandler = vi.fn(async () => {})
    const routes = surface({ 'GET /things/:id': () => ({ json: 1 }) })
    const app = Fastify()
    app.addHook('onRequest', onRequest)
    app.addHook('preHandler', preHandler)
    app.register(keelson(runtime, { mounts: [{ prefix: '/ai', surface: routes }] }))
    expect((await app.inject('/ai/things/1/2')).json()).toMatchObject({ message: 'Route GET:/ai/things/1/2 not found' })
    expect(onRequest).toHaveBeenCalledOnce()
    expect(preHandler).toHaveBeenCalledOnce()
  })

  it.each(['onRequest', 'preHandler'] as const)('that refuse in %s do so in the host’s own words', async (name) => {
    const authenticate = vi.fn(() => undefined)
    const app = Fastify()
    app.setErrorHandler((error: Error, _request, reply) => reply.code(403).send({ host: error.message }))
    app.addHook(name, async ({ headers }) => {
      if (headers['x-pass'] !== 'yes') throw new Error('no pass')
    })
    app.register(keelson(runtime, { mounts: [{ prefix: '/ai', surface: api }], authenticate }))
    for (const url of ['/ai/json', '/ai/events']) {
      const refused = await app.inject(url)
      expect([refused.statusCode, refused.json()]).toEqual([403, { host: 'no pass' }])
    }
    expect(authenticate).not.toHaveBeenCalled()
    expect((await app.inject({ url: '/ai/json', headers: { 'x-pass': 'yes' } })).statusCode).toBe(200)
  })

  it('in preHandler are not got round with a content type that is none', async () => {
    const handle = vi.fn(() => ({ json: 'in' }))
    const app = Fastify()
    app.addHook('preHandler', async () => {
      throw new Error('no pass')
    })
    app.register(keelson(runtime, { mounts: [{ prefix: '/ai', surface: surface({ 'POST /x': handle }) }] }))
    const refused = await app.inject({
      method: 'POST',
      url: '/ai/x',
      payload: '{}',
      headers: { 'content-type': 'none' },
    })
    expect([refused.statusCode, refused.json()]).toEqual([415, { code: 'UNSUPPORTED_MEDIA_TYPE' }])
    expect(handle).not.toHaveBeenCalled()
  })

  it('that answer while we think are not disturbed', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const handled = vi.fn()
    const reportError = vi.fn()
    const slow = surface({
      async 'GET /slow'() {
        await released
        handled()
        return { json: 'late' }
      },
    })
    const app = Fastify()
    app.addHook('preHandler', async (_request, reply) => {
      setImmediate(() => reply.code(503).send('host timed out'))
    })
    app.register(keelson({ ...runtime, reportError }, { mounts: [{ prefix: '/ai', surface: slow }] }))
    const answer = await app.inject('/ai/slow')
    expect([answer.statusCode, answer.payload]).toEqual([503, 'host timed out'])
    release()
    await vi.waitFor(() => expect(handled).toHaveBeenCalled(), { timeout: 20_000 })
    await pause(1)
    expect(reportError).not.toHaveBeenCalled()
  })
})

describe('the host’s error handler', () => {
  it('sees none of our errors, and all of its own', async () => {
    const onError = vi.fn((_error: unknown) => {})
    const reportError = vi.fn()
    const app = Fastify()
    app.setErrorHandler((error: Error, _request, reply) => {
      onError(error)
      reply.code(500).send(`host: ${error.message}`)
    })
    const routes = surface({
      'GET /fail': () => Promise.reject(new Error('secret')),
      'GET /header': () => ({ json: 1, headers: { 'x-bad': 'a\r\nset-cookie: b' } }),
      'GET /status': () => ({ json: 1, status: 99 }),
      'POST /body': () => ({ json: 1 }),
      'GET /broken': () => ({ type: 'text/plain', stream: () => Promise.reject(new Error('secret')) }),
    })
    app.register(keelson({ ...runtime, reportError }, { mounts: [{ prefix: '/ai', surface: routes }] }))
    app.get('/own', async () => {
      throw new Error('boom')
    })
    const { origin, close } = await listen(app)
    const get = async (path: string, init?: RequestInit) => {
      const response = await fetch(origin + path, init)
      return [response.status, await response.text(), response.headers.get('set-cookie')]
    }
    expect(await get('/ai/fail')).toEqual([500, '{"code":"INTERNAL"}', null])
    expect(await get('/ai/header')).toEqual([500, '', null])
    expect(await get('/ai/status')).toEqual([500, '', null])
    expect(await get('/ai/body', { method: 'POST', body: '{', headers: json })).toEqual([
      400,
      '{"code":"MALFORMED_JSON"}',
      null,
    ])
    await expect(get('/ai/broken')).rejects.toThrow()
    expect(onError).not.toHaveBeenCalled()
    expect(reportError).toHaveBeenCalledTimes(4)
    expect(await get('/own')).toEqual([500, 'host: boom', null])
    expect(onError).toHaveBeenCalledOnce()
    await close()
  })
})
