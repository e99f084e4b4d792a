import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { answerEvents } from '@keelson/core/http'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { keelson } from '../src/index.ts'
import { type Client, type Handle, runtime, surface } from './surface.ts'

/** For what comes as soon as the machine gets round to it. */
const soon = { timeout: 20_000 }

/** A client of an app that speaks HTTP/2 alone. */
async function connected(routes: Readonly<Record<string, Handle>>) {
  const reportError = vi.fn()
  const app = Fastify({ http2: true })
  app.register(keelson<Client>({ ...runtime, reportError }, { mounts: [{ prefix: '/ai', surface: surface(routes) }] }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const client = connect(`http://127.0.0.1:${port}`)
  onTestFinished(async () => {
    client.destroy()
    await app.close()
  })
  return { client, reportError }
}

/** An answer, once all of it is here. A body goes out without a word of its length. */
async function ask(client: ClientHttp2Session, method: string, path: string, body?: string) {
  const request = client.request(
    { ':method': method, ':path': path, ...(body !== undefined && { 'content-type': 'application/json' }) },
    { endStream: body === undefined },
  )
  let text = ''
  request.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  if (body !== undefined) request.end(body)
  const [headers] = (await once(request, 'response')) as [IncomingHttpHeaders & { ':status': number }]
  if (!request.closed) await once(request, 'close')
  return { status: headers[':status'], headers, text }
}

describe('over HTTP/2', () => {
  it('a body needs no header that announces it, and none is no body', async () => {
    const { client } = await connected({ 'POST /echo': ({ body }) => ({ json: body }) })
    expect(await ask(client, 'POST', '/ai/echo', '{"a":1}')).toMatchObject({ status: 200, text: '{"a":1}' })
    expect(await ask(client, 'POST', '/ai/echo')).toMatchObject({ status: 200, text: '{}' })
    const long = JSON.stringify({ a: 'x'.repeat(2_000) })
    expect(await ask(client, 'POST', '/ai/echo', long)).toMatchObject({ status: 413 })
    expect(await ask(client, 'POST', '/ai/echo', '{"b":2}')).toMatchObject({ status: 200, text: '{"b":2}' })
  })

  it('the host that a browser names is known, and HEAD has headers alone', async () => {
    const { client } = await connected({ 'GET /host': ({ request }) => ({ json: request.header('host') }) })
    const { text } = await ask(client, 'GET', '/ai/host')
    expect(text).toMatch(/^"127\.0\.0\.1:\d+"$/)
    const head = await ask(client, 'HEAD', '/ai/host')
    expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-length': String(text.length) } })
  })

  it('what only WebSockets are for is answered without the headers of a connection', async () => {
    const { client, reportError } = await connected({
      'GET /socket': () => ({ socket: { mostMessageBytes: 1, open: () => ({}) } }),
    })
    const { headers, status } = await ask(client, 'GET', '/ai/socket')
    expect(status).toBe(426)
    expect(headers).not.toHaveProperty('upgrade')
    expect(reportError).not.toHaveBeenCalled()
  })

  it('a client that gives its request up ends what is done for it, and one that waits does not', async () => {
    const aborted = vi.fn()
    const begun = vi.fn()
    const ended = vi.fn()
    const { client, reportError } = await connected({
      'GET /slow': async ({ request: { signal } }) => {
        begun()
        await once(signal, 'abort')
        aborted()
        return { empty: true }
      },
      'GET /events': ({ request }) =>
        answerEvents(async ({ send, signal }) => {
          request.signal.addEventListener('abort', aborted)
          await send({ data: 'first' })
          if (!signal.aborted) await once(signal, 'abort')
          ended()
        }),
      'GET /quick': ({ request }) => {
        request.signal.addEventListener('abort', aborted)
        return { json: 1 }
      },
    })
    expect(await ask(client, 'GET', '/ai/quick')).toMatchObject({ text: '1' })
    const slow = client.request({ ':path': '/ai/slow' })
    await vi.waitFor(() => expect(begun).toHaveBeenCalled(), soon)
    expect(aborted).not.toHaveBeenCalled()
    slow.close(constants.NGHTTP2_CANCEL)
    await vi.waitFor(() => expect(aborted).toHaveBeenCalledTimes(1), soon)
    const events = client.request({ ':path': '/ai/events' })
    await once(events, 'data')
    events.close(constants.NGHTTP2_CANCEL)
    await vi.waitFor(() => expect(ended).toHaveBeenCalled(), soon)
    await vi.waitFor(() => expect(aborted).toHaveBeenCalledTimes(2), soon)
    expect(reportError).not.toHaveBeenCalled()
  })
})
