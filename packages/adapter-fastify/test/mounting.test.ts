import { request } from 'node:http'
import fastifyCors from '@fastify/cors'
import type { Principal } from '@keelson/core/http'
import Fastify, { type FastifyPluginAsync, type FastifyServerOptions } from 'fastify'
import { describe, expect, it, vi } from 'vitest'
import { keelson } from '../src/index.ts'
import { listen } from './host.ts'
import { ann, type Client, one, runtime, surface } from './surface.ts'

declare module 'fastify' {
  interface FastifyRequest {
    user?: Principal
  }
}

const things = surface({
  'GET /': () => ({ json: 'root' }),
  'GET /things': () => ({ json: 'list' }),
  'GET /things/:id': ({ params, query, request: { path } }) => ({ json: { ...params, query, path } }),
  'DELETE /things/:id': ({ params }) => ({ json: { deleted: params['id'] } }),
  'GET /things/:id/parts/:part': ({ params }) => ({ json: { ...params } }),
})
const mounts = [{ prefix: '/ai', surface: things }]

/** An app that says of what is not ours that it is its own. */
const host = (plugin: FastifyPluginAsync, options: FastifyServerOptions = {}, prefix = '') => {
  const app = Fastify(options)
  app.setNotFoundHandler((_request, reply) => reply.code(404).send('host: not found'))
  app.register(plugin, { prefix })
  return app
}

describe('routes', () => {
  it('are Fastify’s own, so that it can tell which one a request met', async () => {
    const app = host(keelson(runtime, { mounts }))
    const seen: (string | undefined)[] = []
    app.addHook('onResponse', async ({ routeOptions }) => void seen.push(routeOptions.url))
    await app.inject('/ai/things/1')
    await app.inject('/ai/things')
    expect(seen).toEqual(['/ai/things/:id', '/ai/things'])
    expect(app.hasRoute({ method: 'HEAD', url: '/ai/things/:id' })).toBe(true)
  })

  it('that the host has too are refused when the app is built', async () => {
    const app = host(keelson(runtime, { mounts }))
    app.get('/ai/things/:name', async () => 'host')
    await expect(app.ready()).rejects.toMatchObject({ code: 'FST_ERR_DUPLICATED_ROUTE' })
  })

  it('answer with a slash at their end, as everywhere', async () => {
    for (const options of [{}, { routerOptions: { ignoreTrailingSlash: true } }]) {
      const app = host(keelson(runtime, { mounts }), options)
      for (const path of ['/ai', '/ai/', '/ai/things', '/ai/things/', '/ai/things/1/', '/ai/things/1/parts/2/']) {
        expect((await app.inject(path)).statusCode, path).toBe(200)
      }
    }
  })

  it.each([{}, { routerOptions: { compile: true } }, { routerOptions: { maxParamLength: 3 } }])(
    'take parameters of any length (%j)',
    async (options) => {
      const app = host(keelson(runtime, { mounts }), options)
      const long = 'x'.repeat(2_000)
      expect((await app.inject(`/ai/things/${long}`)).json()).toMatchObject({ id: long })
      expect((await app.inject(`/ai/things/${long}/parts/${long}y`)).json()).toEqual({ id: long, part: `${long}y` })
      expect((await app.inject({ method: 'DELETE', url: `/ai/things/${long}` })).json()).toEqual({ deleted: long })
      expect((await app.inject({ method: 'HEAD', url: `/ai/things/${long}` })).statusCode).toBe(200)
      for (const path of [`/ai/things/${long}/nothing`, `/ai/${long}`, '/ai/things/1/parts']) {
        expect((await app.inject(path)).payload, path).toBe('host: not found')
      }
      expect((await app.inject({ method: 'PUT', url: `/ai/things/${long}` })).payload).toBe('host: not found')
    },
  )

  it('read the path as it is on the wire', async () => {
    const app = host(keelson(runtime, { mounts }), {
      routerOptions: { caseSensitive: false, ignoreDuplicateSlashes: true },
    })
    expect((await app.inject('/ai/things/a%2Fb%20c?x=1&x=2')).json()).toEqual({
      id: 'a/b c',
      query: { x: '1' },
      path: '/ai/things/a%2Fb%20c',
    })
    for (const path of ['/AI/things/1', '/ai//things/1', '/%61i/things/1', '/ai/%74hings']) {
      expect((await app.inject(path)).payload, path).toBe('host: not found')
    }
  })

  it('understand a target in absolute form', async () => {
    const { origin, close } = await listen(host(keelson(runtime, { mounts })))
    const status = await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(origin)
      request({ hostname, port, path: 'http://elsewhere.example/ai/things?y' }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(200)
    await close()
  })
})

describe('below a prefix of the plugin', () => {
  it('paths count from there', async () => {
    const app = host(keelson(runtime, { mounts }), {}, '/v1')
    expect((await app.inject('/v1/ai/things/1?a=b')).json()).toEqual({
      id: '1',
      query: { a: 'b' },
      path: '/ai/things/1',
    })
    expect((await app.inject(`/v1/ai/things/${'x'.repeat(200)}`)).statusCode).toBe(200)
    expect((await app.inject('/ai/things/1')).payload).toBe('host: not found')
  })

  it('which may have a parameter', async () => {
    const app = host(keelson(runtime, { mounts }), {}, '/tenants/:tenant')
    expect((await app.inject('/tenants/a%2Fb/ai/things/1')).json()).toMatchObject({ path: '/ai/things/1' })
  })

  it('a surface may answer there itself, and have all of it', async () => {
    const mounts = [{ prefix: '/', surface: things, exclusive: true }]
    const app = host(keelson(runtime, { mounts }), {}, '/v1')
    expect((await app.inject('/v1')).json()).toBe('root')
    expect((await app.inject('/v1/')).json()).toBe('root')
    expect((await app.inject({ method: 'POST', url: '/v1' })).json()).toEqual({ code: 'METHOD_NOT_ALLOWED' })
    expect((await app.inject({ method: 'POST', url: '/v1/' })).json()).toEqual({ code: 'METHOD_NOT_ALLOWED' })
    expect((await app.inject('/v1/nothing')).json()).toEqual({ code: 'NOT_FOUND' })
    expect((await app.inject('/v2')).payload).toBe('host: not found')
  })
})

describe('an exclusive mount', () => {
  const all = [{ prefix: '/', surface: things, exclusive: true }]

  it('of the whole app leaves the host its own routes and its preflight requests', async () => {
    const app = Fastify()
    app.register(fastifyCors, { origin: 'https://a.example' })
    app.register(keelson(runtime, { mounts: all }))
    app.get('/own', async () => 'host')
    expect((await app.inject('/own')).payload).toBe('host')
    expect((await app.inject('/other')).json()).toEqual({ code: 'NOT_FOUND' })
    const headers = { origin: 'https://a.example', 'access-control-request-method': 'DELETE' }
    const preflight = await app.inject({ method: 'OPTIONS', url: '/things/1', headers })
    expect(preflight.statusCode).toBe(204)
    expect(preflight.headers['access-control-allow-origin']).toBe('https://a.example')
  })

  it('says of every method which ones there are', async () => {
    for (const prefix of ['', '/only']) {
      const app = host(keelson(runtime, { mounts: [{ prefix: `${prefix}/`, surface: things, exclusive: true }] }))
      for (const method of ['POST', 'PUT', 'PATCH', 'OPTIONS'] as const) {
        const refused = await app.inject({ method, url: `${prefix}/things/1` })
        expect([refused.statusCode, refused.headers['allow']], method).toEqual([405, 'GET, DELETE, HEAD'])
      }
    }
  })
})

describe('the scope', () => {
  it('leaves the parsers and the 404 of the host and of other scopes alone', async () => {
    const app = host(keelson(runtime, { mounts }))
    app.addContentTypeParser('application/x-own', { parseAs: 'string' }, (_request, body, done) =>
      done(null, `own ${body}`),
    )
    app.post('/echo', async (request) => ({ body: request.body }))
    app.register(
      (scope, _options, done) => {
        scope.setNotFoundHandler((_request, reply) => reply.code(404).send('scope: not found'))
        scope.register(keelson(runtime, { mounts }))
        done()
      },
      { prefix: '/admin' },
    )
    const echo = async (type: string, payload: string) =>
      (await app.inject({ method: 'POST', url: '/echo', payload, headers: { 'content-type': type } })).json()
    expect(await echo('application/json', '{"a":1}')).toEqual({ body: { a: 1 } })
    expect(await echo('application/x-own', 'x')).toEqual({ body: 'own x' })
    expect(await echo('text/html', 'x')).toMatchObject({ statusCode: 415 })
    expect((await app.inject('/ai/things/1/2')).payload).toBe('host: not found')
    expect((await app.inject('/admin/ai/things/1/2')).payload).toBe('scope: not found')
    expect((await app.inject('/admin/ai/things/1')).statusCode).toBe(200)
  })

  it('is one of many: two runtimes in one app keep to their prefixes', async () => {
    const started: string[] = []
    const named = (name: string) =>
      keelson<string>(
        { as: () => name, start: async () => void started.push(name) },
        {
          mounts: [
            {
              prefix: `/${name}`,
              surface: { ...things, routes: [{ ...route, handle: ({ client }) => ({ json: client }) }] },
            },
          ],
        },
      )
    const [first] = things.routes
    if (first === undefined) throw new Error('no route')
    const route = { ...first, path: '/things/:id' }
    const app = Fastify()
    app.register(named('red'))
    app.register(named('blue'))
    app.register(named('red'), { prefix: '/again' })
    expect((await app.inject('/red/things/1')).json()).toBe('red')
    expect((await app.inject('/blue/things/1')).json()).toBe('blue')
    expect((await app.inject(`/again/red/things/${'x'.repeat(101)}`)).json()).toBe('red')
    expect((await app.inject('/blue/red/things/1')).statusCode).toBe(404)
    expect(started).toEqual(['red', 'blue', 'red'])
  })

  it('is typed for any server and logger', async () => {
    const app = Fastify({ http2: true, loggerInstance: Fastify().log })
    app.register(keelson(runtime, { mounts }))
    await app.ready()
    expect(app.hasRoute({ method: 'GET', url: '/ai/things' })).toBe(true)
  })
})

describe('callers', () => {
  it('are whom the host’s hooks have found', async () => {
    const zoe = { ...ann, subject: 'zoe' }
    const authenticate = vi.fn((request: { user?: Principal }) => request.user)
    const app = host(keelson(runtime, { ...one('GET /x', ({ client }) => ({ json: client })), authenticate }))
    app.addHook('onRequest', async (request) => {
      request.user = zoe
    })
    expect((await app.inject('/ai/x')).json()).toEqual(zoe)
    expect(authenticate.mock.calls[0]?.[0]).toMatchObject({ ip: '127.0.0.1' })
  })
})

describe('the runtime', () => {
  const plain = one('GET /x', () => ({ json: 1 }))

  it('is started before the app is ready, and stays when the app closes', async () => {
    const [start, stop] = [vi.fn(async () => {}), vi.fn(async () => {})]
    const app = host(keelson({ ...runtime, start, stop }, plain))
    expect(start).not.toHaveBeenCalled()
    await app.ready()
    expect(start).toHaveBeenCalledOnce()
    await app.inject('/ai/x')
    await app.close()
    expect(start).toHaveBeenCalledOnce()
    expect(stop).not.toHaveBeenCalled()
  })

  it('stops with the app when that is asked for, and its streams end with it', async () => {
    const { promise: stopping, resolve: stopped } = Promise.withResolvers<void>()
    const stop = vi.fn(async () => stopped())
    const stream = one('GET /x', () => ({
      type: 'text/plain',
      async stream({ write }) {
        void write('one ')
        await stopping
        void write('two')
      },
    }))
    const app = host(keelson({ ...runtime, stop }, { ...stream, stopWithHost: true }))
    await app.listen({ host: '127.0.0.1', port: 0 })
    const response = await fetch(`${app.listeningOrigin}/ai/x`)
    const [text] = await Promise.all([response.text(), app.close()])
    expect(text).toBe('one two')
    expect(stop).toHaveBeenCalledOnce()
  })

  it('that does not start is reported, tried again, and does not keep the app from its own work', async () => {
    const reportError = vi.fn()
    const failure = new Error('no disk')
    const start = vi
      .fn(async () => {})
      .mockRejectedValueOnce(failure)
      .mockRejectedValueOnce(failure)
    const app = host(keelson({ ...runtime, start, reportError }, plain))
    app.get('/own', async () => 'host')
    await app.ready()
    expect(reportError).toHaveBeenCalledExactlyOnceWith(failure, 'start')
    expect((await app.inject('/own')).payload).toBe('host')
    expect((await app.inject('/ai/x')).statusCode).toBe(500)
    expect((await app.inject('/ai/x')).statusCode).toBe(200)
  })

  it('has its mounts checked when the plugin is made', () => {
    const mounts = [
      ...plain.mounts,
      { prefix: '/ai', surface: { ...surface({ 'GET /:y': () => ({ json: 2 }) }), id: 'other' } },
    ]
    expect(() => keelson<Client>(runtime, { mounts })).toThrow('"GET /ai/x": "test" or "other" (GET /ai/:y)')
    const resolved = keelson<Client>(runtime, { mounts, resolve: { 'GET /ai/x': 'other' } })
    return expect(
      host(resolved)
        .inject('/ai/x')
        .then((response) => response.json()),
    ).resolves.toBe(2)
  })
})
