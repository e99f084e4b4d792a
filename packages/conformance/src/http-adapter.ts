import type { DispatchContext, Mount, Principal } from '@keelson/core/http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeBodies } from './http-adapter/bodies.ts'
import { ann, connectionTo } from './http-adapter/client.ts'
import { describeStreams } from './http-adapter/streams.ts'
import { createProbe, type KitClient, kitPrincipal, kitSurface } from './http-adapter/surface.ts'

/** What the kit hands to the adapter. */
export interface HttpAdapterSetup {
  readonly runtime: {
    as(principal: Principal | null, context?: DispatchContext): KitClient
    start(): Promise<void>
    reportError(error: unknown, where: string): void
  }
  readonly mounts: readonly Mount<KitClient>[]
  authenticate(native: unknown): Principal | null | undefined
  readonly bodyTimeoutMs: number
}

export interface HttpAdapterHost {
  /**
   * What the host has done to JSON bodies before the adapter sees them: nothing, parsed them, or parsed them and kept
   * the bytes. Bodies of other types are always left alone. A parser of the host takes at least 64 KiB.
   */
  readonly bodies: 'untouched' | 'parsed' | 'parsed and kept'
  /**
   * True when the server makes a URL of the path before anybody sees it, as `Request` demands: dots are then resolved and
   * backslashes turned, so that such a path is the same request as the one it resolves to. What is not a URL's affair,
   * such as empty segments, reaches none of our routes all the same.
   */
  readonly resolvesPaths?: boolean
  /**
   * Starts a server on a free port of 127.0.0.1 with the adapter mounted and a host around it, which
   * - sets `x-host: host` and `vary: Origin` on every response before anything else,
   * - answers `GET /host/before`, registered before the adapter, and `GET /host/after` and `GET /ai/host`, registered
   *   after it, with their last segment as text,
   * - answers `POST /host/echo` with the JSON of its request's body, whoever parses it,
   * - throws in `GET /host/throws`; its error handler answers 500 `host error: <message>`,
   * - answers all else with 404 `host: not found`.
   */
  serve(setup: HttpAdapterSetup): Promise<{ readonly origin: string; close(): Promise<void> }>
}

/** Proves an HTTP adapter over real connections: its own routes, the host's around it, streams, and clients that misbehave. */
export function describeHttpAdapter(name: string, host: HttpAdapterHost): void {
  describe(`HTTP adapter: ${name}`, () => {
    const probe = createProbe()
    let origin = ''
    let close = async () => {}
    const connection = connectionTo(() => origin)
    const { get, send, post, getRaw } = connection

    const serve = (bodyTimeoutMs: number, seen = createProbe()) => {
      const surface = kitSurface(seen)
      return host.serve({
        runtime: {
          as: (principal) => ({ subject: principal?.subject ?? null }),
          async start() {
            seen.starts += 1
          },
          reportError: (error, where) => void seen.reported.push({ error, where }),
        },
        mounts: [
          { prefix: '/ai', surface },
          { prefix: '/only', surface, exclusive: true },
        ],
        authenticate: hostOpinion,
        bodyTimeoutMs,
      })
    }

    beforeAll(async () => {
      const served = await serve(30_000, probe)
      origin = served.origin
      close = served.close
    })
    afterAll(() => close())

    describe('the host’s own routes', () => {
      it.each([
        ['/host/before', 200, 'before'],
        ['/host/after', 200, 'after'],
        ['/ai/host', 200, 'host'],
        ['/host/throws', 500, 'host error: boom'],
        ['/nothing', 404, 'host: not found'],
        ['/ai/nothing', 404, 'host: not found'],
        ['/aix/open', 404, 'host: not found'],
      ])('%s answers as without us', async (path, status, text) => {
        const response = await get(path)
        expect([response.status, await response.text()]).toEqual([status, text])
        expect(response.headers.get('x-kit')).toBeNull()
      })

      it('an unknown method on one of our paths is the host’s', async () => {
        const response = await send('PATCH', '/ai/me')
        expect([response.status, await response.text()]).toEqual([404, 'host: not found'])
      })

      it('a body that passes us by is whole', async () => {
        const response = await post('/host/echo', JSON.stringify({ text: 'x'.repeat(20_000) }))
        expect(await response.json()).toEqual({ text: 'x'.repeat(20_000) })
      })
    })

    describe('our routes', () => {
      it('answer with parameters and query, and keep the headers of the host', async () => {
        const response = await get('/ai/things/a%2Fb%20c?x=1&x=2')
        expect(await response.json()).toEqual({ id: 'a/b c', query: { x: '1' } })
        expect(response.headers.get('x-host')).toBe('host')
        expect(response.headers.get('x-kit')).toBe('yes')
        expect(response.headers.get('vary')?.split(/, */)).toEqual(['Origin', 'X-Kit'])
        expect(response.headers.get('content-type')).toBe('application/json')
      })

      it('prefer the static path', async () => {
        expect(await (await get('/ai/things/special')).json()).toEqual({ special: true })
      })

      it('may answer with nothing', async () => {
        const response = await send('DELETE', '/ai/things/1')
        expect([response.status, await response.text()]).toEqual([204, ''])
      })

      it('may answer with text and headers of their own', async () => {
        const response = await get('/ai/text')
        expect(await response.text()).toBe('café')
        expect(response.headers.get('x-own')).toBe('1')
        expect(response.headers.get('content-length')).toBe('5')
      })

      it('answer HEAD without a body', async () => {
        const whole = await get('/ai/things/1')
        const response = await send('HEAD', '/ai/things/1')
        expect([response.status, await response.text()]).toEqual([200, ''])
        expect(response.headers.get('content-length')).toBe(whole.headers.get('content-length'))
        const events = await send('HEAD', '/ai/events/3')
        expect([events.status, await events.text()]).toEqual([200, ''])
      })

      it('started the runtime once', () => {
        expect(probe.starts).toBe(1)
      })
    })

    describe('an exclusive mount', () => {
      it('answers unknown paths and methods in the surface’s body', async () => {
        const missing = await get('/only/nothing')
        expect([missing.status, await missing.json()]).toEqual([404, { kit: 'NOT_FOUND', message: 'not found' }])
        const wrong = await send('POST', '/only/things/1')
        expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, DELETE, HEAD'])
        expect(await wrong.json()).toMatchObject({ kit: 'METHOD_NOT_ALLOWED' })
      })
    })

    describe('callers', () => {
      it.each([
        ['/ai/me', {}, 401, { kit: 'UNAUTHENTICATED' }],
        ['/ai/me', ann, 200, { subject: 'ann' }],
        ['/ai/me', { 'x-user': 'zoe', ...ann }, 200, { subject: 'zoe' }],
        ['/ai/me', { 'x-user': 'nobody', ...ann }, 401, { kit: 'UNAUTHENTICATED' }],
        ['/ai/open', {}, 200, { subject: null }],
        ['/ai/open', ann, 200, { subject: 'ann' }],
        ['/ai/open', { 'x-user': 'nobody', ...ann }, 200, { subject: null }],
      ])('of %s with %j get %d', async (path, headers, status, body) => {
        const response = await get(path, headers as unknown as Record<string, string>)
        expect(response.status).toBe(status)
        expect(await response.json()).toMatchObject(body)
      })
    })

    describe('paths as they are on the wire', () => {
      const resolved = ['/ai/./open', '/ai/things/../open', '/ai\\open', '/x/../ai/open']
      it.each([
        '//ai/open',
        '/ai//open',
        '/ai/things/%2e%2e',
        '/ai/things/..',
        '/ai/things/a\\b',
        '/ai/%6fpen',
        '/ai/open%2f',
        ...(host.resolvesPaths ? [] : resolved),
      ])('%s reaches none of our routes', async (path) => {
        const answer = await getRaw(path)
        expect(answer.status).toBeGreaterThanOrEqual(400)
        expect(answer.headers['x-kit']).toBeUndefined()
      })

      it.each(host.resolvesPaths ? resolved : [])('%s is the path it resolves to', async (path) => {
        expect((await getRaw(path)).body).toBe('{"subject":"ann"}')
      })

      it.each(['/ai/open/', '/ai/things/special/'])('%s is the path without its last slash', async (path) => {
        expect((await getRaw(path)).status).toBe(200)
      })

      it('a parameter may be long', async () => {
        const id = 'x'.repeat(2_000)
        expect(await (await get(`/ai/things/${id}`)).json()).toEqual({ id, query: {} })
      })

      it.each(['%zz', '%', '%C3%28', 'a%00b'])('the parameter %s is a bad request', async (segment) => {
        expect((await getRaw(`/ai/things/${segment}`)).status).toBe(400)
      })
    })

    describe('errors', () => {
      it('of a catalogue are in the surface’s body', async () => {
        const response = await get('/ai/teapot')
        expect([response.status, await response.json()]).toEqual([409, { kit: 'TEAPOT', message: 'a teapot' }])
      })

      it('that nobody foresaw say nothing, are reported, and never reach the host', async () => {
        const response = await get('/ai/fail')
        expect([response.status, await response.json()]).toEqual([500, { kit: 'INTERNAL', message: 'internal error' }])
        expect(probe.reported.filter(({ where }) => where.includes('GET /ai/fail'))).toMatchObject([
          { error: { message: 'the password is hunter2' } },
        ])
      })
    })

    describeBodies(connection, probe, host.bodies, serve)
    describeStreams(connection, probe)
  })
}

/** The host's `authenticate`: a header names somebody or nobody; without it there is no opinion. */
function hostOpinion(native: unknown): Principal | null | undefined {
  const user = (native as { headers: Readonly<Record<string, unknown>> }).headers['x-user']
  if (typeof user !== 'string') return undefined
  return user === 'nobody' ? null : kitPrincipal(user)
}
