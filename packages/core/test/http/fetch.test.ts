import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { packagesOf, probeImport } from '../../../../scripts/packages/probe-import.ts'
import { root } from '../../../../scripts/packages/workspace.ts'
import { createFetchHandler, type FetchOptions } from '../../src/http/fetch.ts'
import type { HttpRequest, HttpSink, HttpStream } from '../../src/http/message.ts'
import { answerEvents } from '../../src/http/sse.ts'
import type { AnyRoute, Surface } from '../../src/http/surface.ts'
import { ann, type RouteInput, testSurface } from './surfaces.ts'

const runtime = { as: (principal: unknown) => principal }

it.each<[string, boolean, object, number]>([
  ['is told of', true, {}, 1],
  ['is nothing to tell of where the host says who calls', true, { authenticate: () => ann }, 0],
  ['is nothing to tell of where it checks a secret', false, {}, 0],
])('a surface that lets nobody in by itself %s', (_, closed, options, times) => {
  const reportError = vi.fn<(error: unknown, where: string) => void>()
  const surface = { ...testSurface('one', []), closed }
  createFetchHandler({ ...runtime, reportError }, { mounts: [{ prefix: '/ai', surface }], ...options })
  expect(reportError).toHaveBeenCalledTimes(times)
  if (times === 1) expect(reportError.mock.calls[0]?.[0]).toMatchObject({ code: 'MOUNT_CLOSED' })
})

it.each<[string, unknown, object, string]>([
  ['what is no runtime', {}, { mounts: [] }, 'a runtime'],
  ['mounts that are no list', runtime, {}, 'a list'],
  [
    'a surface that was not called',
    runtime,
    { mounts: [{ prefix: '/ai', surface: () => {} }] },
    'roboticus({ apiKey })',
  ],
  ['a mount without a prefix', runtime, { mounts: [{ surface: testSurface('one', []) }] }, 'prefix'],
])('%s is refused, with what is meant', (_, host, options, message) => {
  expect(() => createFetchHandler(host as never, options as never)).toThrow(
    expect.objectContaining({ code: 'MOUNT_INVALID', message: expect.stringContaining(message) }),
  )
})

const handlerOf = (
  routes: readonly RouteInput[],
  options: Partial<FetchOptions<unknown>> = {},
  more: Partial<Surface<unknown>> = {},
) => createFetchHandler(runtime, { mounts: [{ prefix: '/ai', surface: testSurface('api', routes, more) }], ...options })

const to = (path: string, init?: RequestInit) => new Request(`https://host.example${path}`, init)
const post = (path: string, body: string | ReadableStream, init: RequestInit = {}) =>
  to(path, {
    method: 'POST',
    body,
    duplex: 'half',
    headers: { 'content-type': 'application/json' },
    ...init,
  } as RequestInit)

const get = (path: string, handle: AnyRoute<unknown>['handle']): RouteInput => ({ method: 'GET', path, handle })
const streaming = (stream: HttpStream) => handlerOf([get('/x', () => ({ type: 'text/plain', stream }))])

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate)
}

describe('a request', () => {
  it('that is not below a mount is the host’s at once, and untouched', () => {
    const handler = handlerOf([get('/x', () => ({ json: 1 }))])
    const request = post('/host', '{}')
    expect(handler(request)).toBeUndefined()
    expect(handler(to('/ai/y'))).toBeUndefined()
    expect(request.bodyUsed).toBe(false)
  })

  it('reaches its route with parameters, query, headers and the address of its connection', async () => {
    const seen: HttpRequest[] = []
    const handler = handlerOf([
      get('/things/:id', ({ params, query, request }) => {
        seen.push(request)
        return { json: { params, query } }
      }),
    ])
    const request = to('/ai/things/a%2Fb?x=1&x=2#part', { headers: { 'X-Own': 'yes' } })
    const response = await handler(request, { remoteAddress: '192.0.2.1' })
    expect(await response?.json()).toEqual({ params: { id: 'a/b' }, query: { x: '1' } })
    expect(seen[0]).toMatchObject({
      method: 'GET',
      path: '/ai/things/a%2Fb',
      query: 'x=1&x=2',
      remoteAddress: '192.0.2.1',
    })
    expect(seen[0]?.native).toBe(request)
    expect(seen[0]?.header('x-own')).toBe('yes')
    expect(seen[0]?.header('x-none')).toBeUndefined()
    await handler(request)
    expect(seen[1]?.remoteAddress).toBeUndefined()
  })

  it('is given to the host to say who calls', async () => {
    const authenticate = vi.fn((request: Request) => (request.headers.get('x-user') === 'ann' ? ann : null))
    const handler = handlerOf([get('/x', ({ client }) => ({ json: client }))], { authenticate })
    expect(await (await handler(to('/ai/x', { headers: { 'x-user': 'ann' } })))?.json()).toEqual(ann)
    expect((await handler(to('/ai/x')))?.status).toBe(401)
  })

  it('is answered without a body to HEAD', async () => {
    const response = await handlerOf([get('/x', () => ({ json: 'one' }))])(to('/ai/x', { method: 'HEAD' }))
    expect([response?.status, response?.body, response?.headers.get('content-length')]).toEqual([200, null, '5'])
  })

  it('starts the runtime when it is the first of ours, and again when that has failed', async () => {
    const start = vi.fn(async () => {}).mockRejectedValueOnce(new Error('no disk'))
    const reportError = vi.fn()
    const mounts = [{ prefix: '/ai', surface: testSurface('api', [get('/x', () => ({ json: 1 }))]) }]
    const handler = createFetchHandler({ ...runtime, start, reportError }, { mounts })
    expect(handler(to('/host'))).toBeUndefined()
    expect(start).not.toHaveBeenCalled()
    const statuses = []
    for (let n = 0; n < 3; n += 1) statuses.push((await handler(to('/ai/x')))?.status)
    expect(statuses).toEqual([500, 200, 200])
    expect(start).toHaveBeenCalledTimes(2)
    expect(reportError).toHaveBeenCalledOnce()
  })

  it('is refused with a bare 500 when its answer cannot be sent', async () => {
    const reportError = vi.fn()
    const surface = testSurface('api', [
      get('/header', () => ({ json: 1, headers: { 'x-bad': 'a\r\nb: c' } })),
      get('/status', () => ({ json: 1, status: 99 })),
    ])
    const handler = createFetchHandler({ ...runtime, reportError }, { mounts: [{ prefix: '/', surface }] })
    for (const path of ['/header', '/status']) {
      const response = await handler(to(path))
      expect([response?.status, await response?.text()]).toEqual([500, ''])
    }
    expect(reportError).toHaveBeenCalledTimes(2)
  })
})

describe('a body', () => {
  const echo: RouteInput = { method: 'POST', path: '/echo', body: z.any(), handle: ({ body }) => ({ json: { body } }) }
  const codeOf = async (response: Promise<Response> | undefined) =>
    ((await (await response)?.json()) as { code: string } | undefined)?.code

  it('is read once, whoever asks how often', async () => {
    const raw: RouteInput = {
      method: 'POST',
      path: '/raw',
      async handle({ request }) {
        const [one, two] = await Promise.all([request.bytes(100), request.bytes(100)])
        await expect(request.bytes(2)).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' })
        return { json: [one.byteLength, two.byteLength] }
      },
    }
    const handler = handlerOf([raw, echo])
    expect(await (await handler(post('/ai/raw', 'bytes')))?.json()).toEqual([5, 5])
    expect(await (await handler(to('/ai/raw', { method: 'POST' })))?.status).toBe(500)
    expect(await (await handler(post('/ai/echo', '{"a":"é"}')))?.json()).toEqual({ body: { a: 'é' } })
  })

  it('that the host has read is gone, and the error says why', async () => {
    for (const take of [
      (request: Request) => request.text(),
      async (request: Request) => void request.body?.getReader(),
    ]) {
      const request = post('/ai/echo', '{}')
      await take(request)
      expect(await codeOf(handlerOf([echo])(request))).toBe('RAW_BODY_CONSUMED')
    }
  })

  it('past the limit is let go, with and without a length', async () => {
    const cancelled = vi.fn()
    const endless = () =>
      new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new Uint8Array(600)),
        cancel: cancelled,
      })
    expect(await codeOf(handlerOf([echo])(post('/ai/echo', endless())))).toBe('BODY_TOO_LARGE')
    expect(cancelled).toHaveBeenCalledOnce()
    const headers = { 'content-type': 'application/json', 'content-length': '2000' }
    expect(await codeOf(handlerOf([echo])(post('/ai/echo', '{}', { headers })))).toBe('BODY_TOO_LARGE')
  })

  it('that never comes is given up', async () => {
    const cancelled = vi.fn()
    const silent = new ReadableStream({ cancel: cancelled })
    const response = handlerOf([echo], { bodyTimeoutMs: 20 })(post('/ai/echo', silent))
    expect((await response)?.status).toBe(408)
    expect(cancelled).toHaveBeenCalledOnce()
  })

  it('of a client that leaves is given up, and nobody is blamed', async () => {
    const reportError = vi.fn()
    const mounts = [{ prefix: '/ai', surface: testSurface('api', [echo]) }]
    const handler = createFetchHandler({ ...runtime, reportError }, { mounts })
    const client = new AbortController()
    const leaving = handler(post('/ai/echo', new ReadableStream({}), { signal: client.signal }))
    await turns(5)
    client.abort()
    expect(await codeOf(leaving)).toBe('CLIENT_GONE')
    expect(await codeOf(handler(post('/ai/echo', '{}', { signal: client.signal })))).toBe('CLIENT_GONE')
    const broken = new ReadableStream({ start: (controller) => controller.error(new Error('reset')) })
    expect(await codeOf(handler(post('/ai/echo', broken)))).toBe('CLIENT_GONE')
    expect(reportError).not.toHaveBeenCalled()
  })
})

describe('a stream', () => {
  it('begins when it is read, and is as long as it is written', async () => {
    const begun = vi.fn()
    const handler = streaming(async ({ write }) => {
      begun()
      for (let n = 0; n < 1_000; n += 1) await write(`${n} é\n`)
    })
    const unread = await handler(to('/ai/x'))
    await turns(20)
    expect(begun).not.toHaveBeenCalled()
    expect(unread?.headers.get('content-type')).toBe('text/plain')
    expect((await unread?.text())?.split('\n').at(-2)).toBe('999 é')
  })

  it('waits for its reader', async () => {
    let handed = 0
    const handler = streaming(async ({ write }) => {
      for (; handed < 100; handed += 1) await write('x'.repeat(4_096))
    })
    const reader = (await handler(to('/ai/x')))?.body?.getReader()
    await reader?.read()
    await turns(50)
    const stalled = handed
    expect(stalled).toBeLessThan(10)
    await turns(50)
    expect(handed).toBe(stalled)
    let bytes = 4_096
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read())
      bytes += next.value.byteLength
    expect([handed, bytes]).toEqual([100, 100 * 4_096])
  })

  it('is told when the reader cancels, and when the client leaves', async () => {
    const sinks: HttpSink[] = []
    const signals: AbortSignal[] = []
    const handler = handlerOf([
      get('/x', ({ request }) => {
        signals.push(request.signal)
        return answerEvents(async (events) => {
          sinks.push({ write: (data) => events.send({ data }), signal: events.signal })
          await events.send({ data: 'x' })
          await pause(60_000, undefined, { signal: events.signal }).catch(() => {})
        })
      }),
    ])
    const cancelled = (await handler(to('/ai/x')))?.body?.getReader()
    await cancelled?.read()
    await cancelled?.cancel()
    const client = new AbortController()
    const left = (await handler(to('/ai/x', { signal: client.signal })))?.body?.getReader()
    await left?.read()
    client.abort()
    await expect(left?.read()).rejects.toMatchObject({ code: 'CLIENT_GONE' })
    expect(sinks.map(({ signal }) => signal.aborted)).toEqual([true, true])
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
    expect(sinks[0]?.write('late')).toBeUndefined()
  })

  it('that waits for a reader who leaves is let go', async () => {
    const ended = vi.fn()
    const handler = streaming(async ({ write, signal }) => {
      while (!signal.aborted) await write('x'.repeat(10_000))
      ended()
    })
    const reader = (await handler(to('/ai/x')))?.body?.getReader()
    await reader?.read()
    await turns(20)
    expect(ended).not.toHaveBeenCalled()
    await reader?.cancel()
    await turns(20)
    expect(ended).toHaveBeenCalledOnce()
  })

  it('that breaks is broken for its reader too, who is not told why', async () => {
    const handler = streaming(async ({ write }) => {
      await write('first')
      throw new Error('the password is hunter2')
    })
    await expect((await handler(to('/ai/x')))?.text()).rejects.toThrow('the answer broke off')
  })

  it('that does not wait is cut off before memory runs out', async () => {
    let handed = 0
    const handler = streaming(async ({ write, signal }) => {
      for (; handed < 1_000 && !signal.aborted; handed += 1) void write('x'.repeat(64 * 1024))
    })
    await expect((await handler(to('/ai/x')))?.text()).rejects.toMatchObject({ code: 'CLIENT_GONE' })
    expect(handed).toBeLessThan(200)
  })
})

describe('mounts', () => {
  it('are checked when the handler is made, and resolved as told', async () => {
    const mounts = ['one', 'two'].map((id) => ({
      prefix: '/',
      surface: testSurface(id, [{ method: 'GET', path: '/x' }]),
    }))
    expect(() => createFetchHandler(runtime, { mounts })).toThrow('"GET /x": "one" or "two"')
    const byHeader = createFetchHandler(runtime, {
      mounts,
      resolve: { 'GET /x': (request) => request.header('x-to') ?? 'one' },
    })
    const answered = async (name: string) => {
      const response = await byHeader(to('/x', { headers: { 'x-to': name } }))
      return [response?.status, response?.headers.get('x-surface')]
    }
    expect(await answered('two')).toEqual([200, 'two'])
    expect(await answered('one')).toEqual([200, 'one'])
    expect(await answered('nobody')).toEqual([500, 'one'])
  })

  it('leave out what starts processes, unless that is allowed', async () => {
    const routes = [{ ...get('/install', () => ({ json: 'installed' })), startsProcesses: true }]
    expect(handlerOf(routes)(to('/ai/install'))).toBeUndefined()
    expect((await handlerOf(routes, { allowProcesses: true })(to('/ai/install')))?.status).toBe(200)
  })
})

it('brings no module of Node’s along that the rest of http does without', () => {
  const load = (specifier: string) => probeImport({ mode: 'import', specifier, from: root, source: true })
  const [own, rest] = [load('@keelson/core/fetch'), load('@keelson/core/http')]
  const modulesOf = ({ modules }: typeof own) =>
    modules.filter((url) => !rest.modules.includes(url)).map((url) => url.split('/').at(-1))
  expect(packagesOf(own).filter((name) => !packagesOf(rest).includes(name))).toEqual([])
  expect(modulesOf(own).sort()).toEqual(['fetch.ts', 'web-stream.ts'])
  expect(own.modules.some((url) => url.endsWith('/node.ts'))).toBe(false)
})
