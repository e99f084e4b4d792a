import { createServer, request } from 'node:http'
import type { Duplex } from 'node:stream'
import { duplexPair } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import { type AnyRoute, answerEvents, type HttpSink, type Principal, type Surface, statusOf } from '@keelson/core/http'
import type { Request, RequestHandler, Response } from 'express'
import { describe, expect, it, vi } from 'vitest'
import { type HostRuntime, keelson, verify } from '../src/index.ts'
import { type Express, listen, versions } from './host.ts'

const ann: Principal = { tenant: 't', subject: 'ann', roles: [], via: 'test', ambient: false }

type Client = Principal | null
const runtime: HostRuntime<Client> = { as: (principal) => principal }

type Handle = AnyRoute<Client>['handle']

const anything: AnyRoute<Client>['response'] = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
}

const surface = (routes: Readonly<Record<string, Handle>>): Surface<Client> => ({
  id: 'test',
  bodyLimit: 1_000,
  headers: {},
  authenticate: () => ann,
  encodeError: (error) => ({ status: statusOf(error), body: { code: error.code } }),
  routes: Object.entries(routes).map(([target, handle]) => {
    const [method, path = ''] = target.split(' ')
    return { method: method as 'GET', path, section: 'test', summary: 'test', response: anything, handle }
  }),
})

const one = (target: string, handle: Handle, prefix = '/ai') => ({
  mounts: [{ prefix, surface: surface({ [target]: handle }) }],
})

describe.each(versions)('%s', (_name, express) => {
  const serve = (build: (app: ReturnType<Express>) => void) => {
    const app = express()
    build(app)
    return listen(app)
  }

  it('adds its own mount point to the prefixes', async () => {
    const handler = keelson(
      runtime,
      one('GET /x/:id', ({ params, request, query }) => ({ json: { params, query, path: request.path } })),
    )
    const { origin, close } = await serve((app) => void app.use('/host', handler))
    expect(await (await fetch(`${origin}/host/ai/x/1?a=b`)).json()).toEqual({
      params: { id: '1' },
      query: { a: 'b' },
      path: '/ai/x/1',
    })
    expect((await fetch(`${origin}/ai/x/1`)).status).toBe(404)
    await close()
  })

  it('answers at the mount point itself', async () => {
    const handler = keelson(
      runtime,
      one('GET /', ({ query }) => ({ json: query }), '/'),
    )
    const { origin, close } = await serve((app) => void app.use('/host', handler))
    for (const path of ['/host', '/host/', '/host?a=1', '/host/?a=1']) {
      expect((await fetch(origin + path)).status, path).toBe(200)
    }
    expect(await (await fetch(`${origin}/host?a=1`)).json()).toEqual({ a: '1' })
    await close()
  })

  it('understands a target in absolute form', async () => {
    const handler = keelson(
      runtime,
      one('GET /x', () => ({ json: 'ours' })),
    )
    const { origin, close } = await serve((app) => void app.use(handler))
    const status = await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(origin)
      request({ hostname, port, path: 'http://elsewhere.example/ai/x?y' }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(200)
    await close()
  })

  it('gives authenticate the request as Express made it', async () => {
    const authenticate = vi.fn((req: Request & { user?: Principal }) => req.user)
    const zoe = { ...ann, subject: 'zoe' }
    const handler = keelson(runtime, { ...one('GET /x', ({ client }) => ({ json: client })), authenticate })
    const { origin, close } = await serve((app) => {
      app.use((req, _res, next) => {
        Object.assign(req, { user: zoe })
        next()
      })
      app.use(handler)
    })
    expect(await (await fetch(`${origin}/ai/x`)).json()).toEqual(zoe)
    expect(authenticate.mock.calls[0]?.[0].ip).toBe('127.0.0.1')
    await close()
  })

  it.each(['parsed', 'raw'])('takes the bytes of a host that reads bodies of any type (%s)', async (kind) => {
    const handler = keelson(
      runtime,
      one('POST /raw', async ({ request }) => ({ json: Buffer.from(await request.bytes(100)).toString() })),
    )
    const { origin, close } = await serve((app) => {
      app.use(kind === 'raw' ? express.raw({ type: '*/*' }) : express.json({ type: '*/*', verify }))
      app.use(handler)
    })
    const response = await fetch(`${origin}/ai/raw`, { method: 'POST', body: '{ "a": 1 }' })
    expect(await response.json()).toBe('{ "a": 1 }')
    const large = await fetch(`${origin}/ai/raw`, {
      method: 'POST',
      body: JSON.stringify('x'.repeat(200)).replace(/^/, '[').replace(/$/, ']'),
    })
    expect(await large.json()).toEqual({ code: 'BODY_TOO_LARGE' })
    await close()
  })

  it('reads JSON itself where the host only parses other types', async () => {
    const echo: AnyRoute<Client> = {
      method: 'POST',
      path: '/echo',
      section: 'test',
      summary: 'test',
      body: anything,
      response: anything,
      handle: ({ body }) => ({ json: body }),
    }
    const mounts = [{ prefix: '/ai', surface: { ...surface({}), routes: [echo] } }]
    const { origin, close } = await serve((app) => {
      app.use(express.urlencoded({ extended: false }), express.text())
      app.use(keelson(runtime, { mounts }))
    })
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${origin}/ai/echo`, { method: 'POST', body: '{"a":1}', headers })
    expect(await response.json()).toEqual({ a: 1 })
    await close()
  })

  it('has its events flushed through a compressing host', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const handler = keelson(
      runtime,
      one('GET /events', () =>
        answerEvents(async ({ send }) => {
          await send({ data: 'first' })
          await released
          await send({ data: 'second' })
        }),
      ),
    )
    const { origin, close } = await serve((app) => {
      app.use(compressing)
      app.use(handler)
    })
    const text = await new Promise<string>((resolve, reject) => {
      request(`${origin}/ai/events`, (response) => {
        let text = ''
        response
          .pipe(createGunzip())
          .on('data', (chunk: Buffer) => {
            text += chunk.toString()
            // The second event is made only once the first has come through.
            if (text === 'data: first\n\n') release()
          })
          .on('end', () => resolve(text))
          .on('error', reject)
      })
        .on('error', reject)
        .end()
    })
    expect(text).toBe('data: first\n\ndata: second\n\n')
    await close()
  })

  it('leaves a response alone that the host has sent meanwhile', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const { promise: done, resolve: handled } = Promise.withResolvers<void>()
    const reportError = vi.fn()
    const handler = keelson(
      { ...runtime, reportError },
      one('GET /slow', async () => {
        await released
        setImmediate(handled)
        return { json: 'late' }
      }),
    )
    const { origin, close } = await serve((app) => {
      app.use((_req, res, next) => {
        setImmediate(() => res.status(503).send('host timed out'))
        next()
      })
      app.use(handler)
    })
    const response = await fetch(`${origin}/ai/slow`)
    expect([response.status, await response.text()]).toEqual([503, 'host timed out'])
    release()
    await done
    expect(reportError).not.toHaveBeenCalled()
    await close()
  })

  it('answers with a bare 500, and not through the host, when a header cannot be sent', async () => {
    const onError = vi.fn()
    const reportError = vi.fn()
    const handler = keelson(
      { ...runtime, reportError },
      one('GET /x', () => ({ json: 1, headers: { 'x-bad': 'a\r\nset-cookie: b' } })),
    )
    const { origin, close } = await serve((app) => {
      app.use(handler)
      app.use((error: unknown, _req: unknown, _res: unknown, next: (error: unknown) => void) => {
        onError()
        next(error)
      })
    })
    const response = await fetch(`${origin}/ai/x`)
    expect([response.status, await response.text(), response.headers.get('set-cookie')]).toEqual([500, '', null])
    expect(onError).not.toHaveBeenCalled()
    expect(reportError).toHaveBeenCalledOnce()
    await close()
  })
})

/** What compression middleware does: holds writes back in a compressor until `flush` is called. */
const compressing: RequestHandler = (_req, res, next) => {
  const gzip = createGzip()
  const write = res.write.bind(res)
  const end = res.end.bind(res)
  res.setHeader('content-encoding', 'gzip')
  gzip.on('data', (chunk: Buffer) => void write(chunk))
  gzip.on('end', () => void end())
  const replaced = res as Response & { flush?: () => void }
  replaced.write = ((chunk: string) => gzip.write(chunk)) as Response['write']
  replaced.end = (() => gzip.end()) as unknown as Response['end']
  replaced.flush = () => gzip.flush()
  next()
}

describe('the handler', () => {
  const handler = keelson(
    runtime,
    one('GET /x', () => ({ json: 'ours' })),
  )

  it('passes on at once what is not ours', () => {
    const next = vi.fn()
    const touched = (): never => {
      throw new Error('touched')
    }
    const sealed = <T extends object>(target: T): T => new Proxy(target, { set: touched, deleteProperty: touched })
    const req = sealed({ method: 'GET', url: '/host?x' })
    const returned: unknown = handler(req as never, sealed({}) as never, next)
    expect(returned).toBeUndefined()
    expect(next).toHaveBeenCalledExactlyOnceWith()
  })

  it('serves alone, with a bare 404 for the rest', async () => {
    const { origin, close } = await listen((req, res) => handler(req, res))
    expect(await (await fetch(`${origin}/ai/x`)).json()).toBe('ours')
    const missing = await fetch(`${origin}/y`)
    expect([missing.status, await missing.text()]).toEqual([404, ''])
    await close()
  })

  it('starts the runtime when it is made, and reports when that fails', async () => {
    const reportError = vi.fn()
    const failure = new Error('no disk')
    keelson(
      { ...runtime, start: () => Promise.reject(failure), reportError },
      one('GET /x', () => ({ json: 1 })),
    )
    await vi.waitFor(() => expect(reportError).toHaveBeenCalledExactlyOnceWith(failure, 'start'))
  })

  it('refuses mounts in conflict when it is made', () => {
    const mounts = [...one('GET /x', () => ({ json: 1 })).mounts, ...one('GET /:y', () => ({ json: 1 })).mounts]
    expect(() => keelson(runtime, { mounts })).toThrow('answer the same requests')
  })
})

describe('clients that read slowly', () => {
  /** A server over connections in memory: no kernel buffers stand between the writer and what it may buffer. */
  function inMemory(handle: Handle) {
    const buffered: (() => number)[] = []
    const handler = keelson(runtime, one('GET /x', handle))
    const server = createServer((req, res) => {
      buffered.push(() => res.writableLength)
      handler(req, res)
    })
    const connect = (): Duplex => {
      const [client, side] = duplexPair()
      server.emit('connection', side)
      client.write('GET /ai/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
      return client
    }
    return { connect, most: () => Math.max(...buffered.map((length) => length())), count: () => buffered.length }
  }

  const turns = async (count: number) => {
    for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate)
  }

  it('make 200 event streams wait, each with no more than an event over its buffer, and get all of them', async () => {
    const events = 100
    const data = 'x'.repeat(4_096)
    let sent = 0
    let most = 0
    const {
      connect,
      most: buffered,
      count,
    } = inMemory(() =>
      answerEvents(async ({ send }) => {
        for (let event = 0; event < events; event += 1) {
          await send({ data })
          sent += 1
        }
      }),
    )
    const clients = Array.from({ length: 200 }, connect)
    await turns(200)
    expect(count()).toBe(200)
    most = buffered()
    expect(most).toBeLessThan(128 * 1024)
    // Nobody has read: each stream stands where its buffers were full.
    const stalled = sent
    expect(stalled).toBeLessThan((200 * events) / 2)
    await turns(50)
    expect(sent).toBe(stalled)

    const received = await Promise.all(
      clients.map(async (client) => {
        let frames = 0
        for await (const chunk of client) {
          frames += String(chunk).split('data: ').length - 1
          most = Math.max(most, buffered())
          await turns(1)
        }
        return frames
      }),
    )
    expect(received).toEqual(received.map(() => events))
    expect(sent).toBe(200 * events)
    expect(most).toBeLessThan(128 * 1024)
  })

  it('are cut off by a route that does not wait for them, before memory runs out', async () => {
    let handed = 0
    let sink: HttpSink | undefined
    const { connect, most } = inMemory(() => ({
      type: 'text/plain',
      async stream(to) {
        sink = to
        for (; handed < 1_000 && !to.signal.aborted; handed += 1) {
          void to.write('x'.repeat(64 * 1024))
          if (handed % 50 === 0) await turns(1)
        }
      },
    }))
    connect().on('error', () => {})
    await vi.waitFor(() => expect(sink?.signal.aborted).toBe(true))
    expect(handed).toBeLessThan(300)
    expect(most()).toBeLessThan(9 * 1024 * 1024)
  })
})
