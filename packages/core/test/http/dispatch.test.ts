import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { createDispatcher, type DispatcherOptions } from '../../src/http/dispatch.ts'
import { httpErrors } from '../../src/http/errors.ts'
import type { HttpRequest } from '../../src/http/message.ts'
import type { Surface } from '../../src/http/surface.ts'
import { defineErrors } from '../../src/kernel/errors.ts'
import { ann, jsonOf, type RouteInput, testRequest, testSink, testSurface } from './surfaces.ts'

const errors = defineErrors({
  TEAPOT: { kind: 'conflict', message: 'a teapot' },
  SLOW_DOWN: { kind: 'rate_limited', message: 'slow down' },
})

type Options = Partial<DispatcherOptions<unknown>>

/** Sends one request through a dispatcher with one surface at the root. */
async function send(surface: Surface<unknown>, request: HttpRequest, options: Options = {}) {
  const onError = vi.fn()
  const dispatcher = createDispatcher<unknown>({
    mounts: [{ prefix: '/', surface, exclusive: true }],
    as: (principal) => ({ principal }),
    onError,
    ...options,
  })
  const match = dispatcher.match(request.method, request.path)
  if (match === undefined) throw new Error('not ours')
  const response = await dispatcher.handle(match, request)
  return { response, status: response.status, json: jsonOf(response), onError }
}

const json = { 'content-type': 'application/json' }

describe('who calls', () => {
  const closed: RouteInput = {
    method: 'GET',
    path: '/x',
    handle: ({ principal, client }) => ({ json: { principal, client } }),
  }
  const open = { ...closed, open: true }
  const zoe = { ...ann, subject: 'zoe' }
  const get = testRequest({ path: '/x' })

  it('is decided by the host first; the surface is not asked', async () => {
    const authenticate = vi.fn(() => ann)
    const host = vi.fn(() => zoe)
    const { json } = await send(testSurface('s', [closed], { authenticate }), get, { authenticate: host })
    expect(json).toEqual({ principal: zoe, client: { principal: zoe } })
    expect(host).toHaveBeenCalledExactlyOnceWith({ marker: 'native' })
    expect(authenticate).not.toHaveBeenCalled()
  })

  describe('on a surface that asks for no secret', () => {
    const lenient = testSurface('lenient', [closed], { unprotected: true, authenticate: () => zoe })
    const strict = testSurface('strict', [{ method: 'GET', path: '/y' }], {
      authenticate: ({ header }) => (header('x-key') === 'right' ? ann : null),
    })
    const beside = (prefix: string, key?: string) =>
      send(lenient, testRequest({ path: '/x', headers: key === undefined ? {} : { 'x-key': key } }), {
        mounts: [
          { prefix: '/', surface: lenient },
          { prefix, surface: strict },
        ],
      })

    it('is decided by the stricter one that shares its prefix', async () => {
      expect(await beside('/')).toMatchObject({ status: 401, json: { surface: 'lenient', code: 'UNAUTHENTICATED' } })
      expect((await beside('/', 'wrong')).status).toBe(401)
      expect((await beside('/', 'right')).json).toMatchObject({ principal: ann })
    })

    it('is decided by itself where it has the prefix to itself', async () => {
      expect((await beside('/strict')).json).toMatchObject({ principal: zoe })
    })

    it('is decided by itself beside one whose routes are all open', async () => {
      const pages = testSurface('pages', [{ ...open, path: '/page' }], { authenticate: () => null })
      const mounts = [lenient, pages].map((surface) => ({ prefix: '/', surface }))
      expect((await send(lenient, get, { mounts })).json).toMatchObject({ principal: zoe })
    })
  })

  it('does not matter to a surface that refuses the request', async () => {
    const admit = (request: HttpRequest) => {
      if (request.header('origin') === 'https://evil.test') throw errors.TEAPOT()
    }
    const authenticate = vi.fn(() => ann)
    const surface = testSurface('s', [open], { admit, authenticate })
    const evil = testRequest({ path: '/x', headers: { origin: 'https://evil.test' } })
    expect(await send(surface, evil)).toMatchObject({ status: 409, json: { code: 'TEAPOT' } })
    expect(authenticate).not.toHaveBeenCalled()
    expect((await send(surface, get)).status).toBe(200)
  })

  it('may come from an origin that the surface trusts', async () => {
    const as = vi.fn()
    const surface = testSurface('s', [closed], { trustsOrigin: (origin) => origin === 'http://localhost:3000' })
    for (const origin of ['http://localhost:3000', 'https://evil.test']) {
      await send(surface, testRequest({ path: '/x', headers: { origin, host: 'h' } }), { as })
    }
    expect(as.mock.calls.map(([, context]) => context.requestOrigin)).toEqual([
      { origin: undefined, host: 'h' },
      { origin: 'https://evil.test', host: 'h' },
    ])
  })

  it('is nobody when the host says so, and the surface cannot overrule it', async () => {
    const authenticate = vi.fn(() => ann)
    const { status, json } = await send(testSurface('s', [closed], { authenticate }), get, { authenticate: () => null })
    expect(status).toBe(401)
    expect(json).toMatchObject({ surface: 's', code: 'UNAUTHENTICATED' })
    expect(authenticate).not.toHaveBeenCalled()
  })

  it('is decided by the surface when the host has no opinion', async () => {
    const { json } = await send(testSurface('s', [closed]), get, { authenticate: async () => undefined })
    expect(json).toMatchObject({ principal: ann })
  })

  it('is refused when nobody can say', async () => {
    const handle = vi.fn(() => ({ empty: true as const }))
    const surface = testSurface('s', [{ ...closed, handle }], { authenticate: () => null })
    expect((await send(surface, get)).status).toBe(401)
    expect(handle).not.toHaveBeenCalled()
  })

  it('is nobody on an open route without proof, and somebody with it', async () => {
    const nobody = await send(testSurface('s', [open], { authenticate: () => null }), get)
    expect(nobody.json).toEqual({ principal: null, client: { principal: null } })
    expect((await send(testSurface('s', [open]), get)).json).toMatchObject({ principal: ann })
    expect((await send(testSurface('s', [open]), get, { authenticate: () => null })).json).toMatchObject({
      principal: null,
    })
  })

  it('is refused when the check itself breaks, but an open route goes on as nobody', async () => {
    const authenticate = () => Promise.reject(new Error('directory is down: secret'))
    const refused = await send(testSurface('s', [closed]), get, { authenticate })
    expect(refused.status).toBe(500)
    expect(JSON.stringify(refused.json)).not.toContain('secret')
    const answered = await send(testSurface('s', [open]), get, { authenticate })
    expect(answered.json).toMatchObject({ principal: null })
    expect(answered.onError).toHaveBeenCalledOnce()
  })

  it('is settled before the body is read and before the query is looked at', async () => {
    const surface = testSurface(
      's',
      [{ method: 'POST', path: '/x', body: z.object({}), query: z.object({ n: z.string() }) }],
      {
        authenticate: () => null,
      },
    )
    const bytes = vi.fn(async () => new Uint8Array(0))
    const { status } = await send(surface, testRequest({ method: 'POST', path: '/x', headers: json, bytes }))
    expect(status).toBe(401)
    expect(bytes).not.toHaveBeenCalled()
  })

  it('is settled before a path with a broken escape is refused', async () => {
    const byId = testSurface('s', [{ method: 'GET', path: '/x/:id' }], { authenticate: () => null })
    expect((await send(byId, testRequest({ path: '/x/%zz' }))).status).toBe(401)
    expect((await send({ ...byId, authenticate: () => ann }, testRequest({ path: '/x/%zz' }))).json).toMatchObject({
      code: 'INVALID_PATH',
    })
  })

  it('reaches the runtime with the signal and the origin of the request', async () => {
    const as = vi.fn(() => ({}))
    const request = testRequest({ path: '/x', headers: { origin: 'https://a.example', host: 'b.example' } })
    await send(testSurface('s', [closed]), request, { as })
    expect(as).toHaveBeenCalledExactlyOnceWith(ann, {
      signal: request.signal,
      requestOrigin: { origin: 'https://a.example', host: 'b.example' },
    })
  })
})

describe('input', () => {
  const surface = testSurface('s', [
    {
      method: 'POST',
      path: '/x/:id',
      query: z.object({ limit: z.coerce.number().int().max(10).default(5) }),
      body: z.object({ items: z.array(z.object({ name: z.string() })) }),
      handle: ({ params, query, body }) => ({ json: { params, query, body } }),
    },
    { method: 'GET', path: '/raw', handle: ({ query, body }) => ({ json: { query, body: body ?? 'none' } }) },
  ])
  const post = (body: string, query = '') =>
    send(surface, testRequest({ method: 'POST', path: '/x/a%2Fb', headers: json, body, query }))

  it('reaches the route checked and typed', async () => {
    expect((await post('{"items":[{"name":"n","more":1}]}', 'limit=7&limit=99')).json).toEqual({
      params: { id: 'a/b' },
      query: { limit: 7 },
      body: { items: [{ name: 'n' }] },
    })
  })

  it('of a route without schemas is the query as it came, and no body', async () => {
    const request = testRequest({ path: '/raw', query: 'a=1', body: '{', headers: json })
    expect((await send(surface, request)).json).toEqual({ query: { a: '1' }, body: 'none' })
  })

  it('that the body schema refuses is unprocessable and says where', async () => {
    const { status, json } = await post('{"items":[{"name":"ok"},{"name":1}]}')
    expect(status).toBe(422)
    expect(json).toMatchObject({ code: 'INVALID_BODY', details: { issues: [{ path: 'items.1.name' }] } })
  })

  it('that the query schema refuses is a bad request', async () => {
    const { status, json } = await post('{"items":[]}', 'limit=11')
    expect(status).toBe(400)
    expect(json).toMatchObject({ code: 'INVALID_QUERY', details: { issues: [{ path: 'limit' }] } })
  })

  it('names no more than 20 issues', async () => {
    const { json } = await post(JSON.stringify({ items: Array.from({ length: 50 }, () => ({})) }))
    expect((json as { details: { issues: unknown[] } }).details.issues).toHaveLength(20)
  })

  it('is checked by a schema that takes its time', async () => {
    const slow = z.object({ a: z.string() }).refine(async ({ a }) => a === 'good')
    const async = testSurface('s', [{ method: 'POST', path: '/x', body: slow }])
    const ask = (a: string) =>
      send(async, testRequest({ method: 'POST', path: '/x', headers: json, body: JSON.stringify({ a }) }))
    expect((await ask('good')).status).toBe(200)
    expect((await ask('bad')).status).toBe(422)
  })

  it('is limited by the surface', async () => {
    const bytes = vi.fn(async (limit: number) => {
      throw httpErrors.BODY_TOO_LARGE({ details: { limit } })
    })
    const { status, json } = await send(
      surface,
      testRequest({ method: 'POST', path: '/x/1', headers: { 'content-type': 'application/json' }, bytes }),
    )
    expect(status).toBe(413)
    expect(json).toMatchObject({ details: { limit: 1_000 } })
  })
})

describe('answers', () => {
  const answering = (answer: object, method: 'GET' | 'HEAD' = 'GET') =>
    send(
      testSurface('s', [{ method: 'GET', path: '/x', handle: () => answer as never }]),
      testRequest({ method, path: '/x' }),
    )

  it('as JSON have their length in bytes and the headers of the surface', async () => {
    const { response } = await answering({ json: { a: 'é' }, status: 201, headers: { Location: '/y' } })
    expect(response).toEqual({
      status: 201,
      headers: { 'x-surface': 's', 'content-type': 'application/json', 'content-length': '10', location: '/y' },
      body: '{"a":"é"}',
    })
  })

  it('of a route win over the headers of the surface', async () => {
    const { response } = await answering({
      json: 1,
      headers: { 'X-SURFACE': 'mine', 'Content-Type': 'application/problem+json' },
    })
    expect(response.headers).toEqual({
      'x-surface': 'mine',
      'content-type': 'application/problem+json',
      'content-length': '1',
    })
  })

  it('to HEAD are the same without the body', async () => {
    const get = await answering({ json: { a: 1 } })
    const head = await answering({ json: { a: 1 } }, 'HEAD')
    expect(head.response).toEqual({ ...get.response, body: undefined })
    const stream = vi.fn()
    expect((await answering({ stream, type: 'text/event-stream' }, 'HEAD')).response.body).toBeUndefined()
    expect(stream).not.toHaveBeenCalled()
  })

  it('may be text, or nothing', async () => {
    expect((await answering({ text: 'ok', type: 'text/plain' })).response).toMatchObject({
      body: 'ok',
      headers: { 'content-type': 'text/plain', 'content-length': '2' },
    })
    expect((await answering({ empty: true })).response).toEqual({
      status: 204,
      headers: { 'x-surface': 's' },
      body: undefined,
    })
    expect((await answering({ empty: true, status: 202 })).response.headers).toMatchObject({ 'content-length': '0' })
    expect((await answering({ json: undefined })).response.body).toBe('null')
  })

  it('that JSON cannot say are internal errors', async () => {
    const { status, json, onError } = await answering({ json: { n: 1n } })
    expect(status).toBe(500)
    expect(json).toMatchObject({ code: 'INTERNAL', message: 'internal error' })
    expect(onError).toHaveBeenCalledOnce()
  })
})

describe('errors', () => {
  const failing = (error: unknown, options: Options = {}, more: Partial<Surface<unknown>> = {}) =>
    send(
      testSurface('s', [{ method: 'GET', path: '/x/:id', handle: () => Promise.reject(error) }], more),
      testRequest({ path: '/x/1' }),
      options,
    )

  it('of a catalogue are said in the surface’s body and not reported', async () => {
    const { status, json, onError, response } = await failing(errors.TEAPOT({ details: { pot: 1 } }))
    expect(status).toBe(409)
    expect(json).toEqual({ surface: 's', code: 'TEAPOT', message: 'a teapot', details: { pot: 1 } })
    expect(response.headers).toMatchObject({ 'x-surface': 's', 'content-type': 'application/json' })
    expect(onError).not.toHaveBeenCalled()
  })

  it.each([[new Error('password is hunter2')], ['hunter2'], [{ hunter2: true }], [undefined], [null]])(
    'that nobody foresaw (%j) are shown as internal only, and reported with their route',
    async (thrown) => {
      const { status, json, onError, response } = await failing(thrown)
      expect(status).toBe(500)
      expect(json).toMatchObject({ code: 'INTERNAL', message: 'internal error', details: null })
      expect(JSON.stringify(response)).not.toContain('hunter2')
      expect(onError).toHaveBeenCalledExactlyOnceWith(thrown, { method: 'GET', path: '/x/:id', surface: 's' })
    },
  )

  it('of a second copy of the package count as errors of the catalogue', async () => {
    const foreign = Object.assign(new Error('taken'), { code: 'TAKEN', kind: 'conflict' })
    Object.defineProperty(foreign, Symbol.for('keelson.error'), { value: true })
    expect(await failing(foreign)).toMatchObject({ status: 409, json: { code: 'TAKEN' } })
  })

  it('say when to come back', async () => {
    expect((await failing(errors.SLOW_DOWN({ retryAfterMs: 1_200 }))).response.headers).toMatchObject({
      'retry-after': '2',
    })
    const own = { encodeError: () => ({ status: 429, body: {}, headers: { 'Retry-After': '60' } }) }
    const { response } = await failing(errors.SLOW_DOWN({ retryAfterMs: 1_200 }), {}, own)
    expect(response.headers).toMatchObject({ 'retry-after': '60' })
  })

  it('survive an observer that throws', async () => {
    const onError = () => {
      throw new Error('observer')
    }
    expect((await failing(new Error('x'), { onError })).status).toBe(500)
  })

  it('survive a surface that cannot encode them', async () => {
    const broken = {
      encodeError: () => {
        throw new Error('secret')
      },
    }
    const { status, json } = await failing(errors.TEAPOT(), {}, broken)
    expect({ status, json }).toEqual({ status: 409, json: { error: 'a teapot' } })
  })

  it('of a path or method that an exclusive surface does not know are in its body', async () => {
    const surface = testSurface('s', [{ method: 'POST', path: '/x' }], { authenticate: () => null })
    expect(await send(surface, testRequest({ path: '/y' }))).toMatchObject({ status: 404, json: { code: 'NOT_FOUND' } })
    const { response, json } = await send(surface, testRequest({ path: '/x' }))
    expect(response).toMatchObject({ status: 405, headers: { allow: 'POST' } })
    expect(json).toMatchObject({ code: 'METHOD_NOT_ALLOWED' })
  })

  it('to HEAD have no body', async () => {
    const { response } = await send(testSurface('s', []), testRequest({ method: 'HEAD', path: '/y' }))
    expect(response).toMatchObject({ status: 404, body: undefined })
  })

  it('that only say that the client is gone are not reported', async () => {
    const client = new AbortController()
    const surface = testSurface('s', [
      {
        method: 'GET',
        path: '/x',
        handle: async ({ request }) => {
          client.abort()
          request.signal.throwIfAborted()
          return { empty: true }
        },
      },
    ])
    const { onError, json } = await send(surface, testRequest({ path: '/x', signal: client.signal }))
    expect(json).toMatchObject({ code: 'CLIENT_GONE' })
    expect(onError).not.toHaveBeenCalled()
  })

  it('in mid-stream are reported and break the stream, unless the client has left', async () => {
    const surface = testSurface('s', [
      {
        method: 'GET',
        path: '/x',
        handle: () => ({ type: 'text/plain', stream: () => Promise.reject(new Error('mid')) }),
      },
    ])
    const { response, onError } = await send(surface, testRequest({ path: '/x' }))
    if (typeof response.body !== 'function') throw new Error('no stream')
    await expect(response.body(testSink().sink)).rejects.toThrow('mid')
    expect(onError).toHaveBeenCalledOnce()
    const left = testSink()
    left.leave()
    await response.body(left.sink)
    expect(onError).toHaveBeenCalledOnce()
  })
})

describe('starting', () => {
  const surface = testSurface('s', [{ method: 'GET', path: '/x', open: true }])

  it('happens once for all who wait', async () => {
    const start = vi.fn(() => new Promise<void>((resolve) => setImmediate(resolve)))
    const dispatcher = createDispatcher({ mounts: [{ prefix: '/', surface }], as: () => ({}), start })
    const request = testRequest({ path: '/x' })
    const match = dispatcher.match('GET', '/x')
    if (match === undefined) throw new Error('not ours')
    const responses = await Promise.all([
      dispatcher.ready(),
      dispatcher.handle(match, request),
      dispatcher.handle(match, request),
    ])
    expect(responses[1].status).toBe(200)
    await dispatcher.handle(match, request)
    expect(start).toHaveBeenCalledOnce()
  })

  it('is tried again after it has failed, and says why meanwhile', async () => {
    const unavailable = defineErrors({ STORE_BUSY: { kind: 'unavailable', message: 'busy' } })
    const start = vi.fn().mockRejectedValueOnce(unavailable.STORE_BUSY()).mockResolvedValue(undefined)
    const dispatcher = createDispatcher({ mounts: [{ prefix: '/', surface }], as: () => ({}), start })
    const match = dispatcher.match('GET', '/x')
    if (match === undefined) throw new Error('not ours')
    expect((await dispatcher.handle(match, testRequest({ path: '/x' }))).status).toBe(503)
    expect((await dispatcher.handle(match, testRequest({ path: '/x' }))).status).toBe(200)
  })
})

it('lists its routes with their prefixes', () => {
  const surface = testSurface('s', [{ method: 'GET', path: '/x' }])
  const { routes } = createDispatcher({
    mounts: [
      { prefix: '/a', surface },
      { prefix: '/b', surface },
    ],
    as: () => ({}),
  })
  expect(routes.map(({ method, path, surface: { id } }) => `${id} ${method} ${path}`)).toEqual([
    's GET /a/x',
    's GET /b/x',
  ])
})
