import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FetchHandler } from '../../src/http/fetch.ts'

/** What servers in `Request` and `Response` do on Node, without their conveniences. */
export async function serveFetch(
  handler: FetchHandler,
  host: (request: Request) => Response | Promise<Response>,
  finish: (response: ServerResponse) => void = () => {},
): Promise<{ origin: string; close(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    finish(outgoing)
    answer(handler, host, incoming, outgoing).catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()))
        server.closeAllConnections()
      }),
  }
}

async function answer(
  handler: FetchHandler,
  host: (request: Request) => Response | Promise<Response>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const request = requestOf(incoming, outgoing)
  const response = await (handler(request, { remoteAddress: incoming.socket.remoteAddress }) ?? host(request))
  const vary = [outgoing.getHeader('vary') ?? [], response.headers.get('vary') ?? []].flat().join(', ')
  outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), ...(vary && { vary }) })
  if (response.body === null) return void outgoing.end()
  outgoing.flushHeaders()
  const reader = response.body.getReader()
  let more: () => void = () => {}
  outgoing.on('drain', () => more())
  outgoing.on('close', () => {
    more()
    reader.cancel().catch(() => {})
  })
  for (;;) {
    const { done, value } = await reader.read()
    if (done || outgoing.destroyed) return void outgoing.end()
    if (outgoing.write(value) || outgoing.destroyed) continue
    await new Promise<void>((resolve) => {
      more = resolve
    })
  }
}

function requestOf(incoming: IncomingMessage, outgoing: ServerResponse): Request {
  const { method = 'GET', url = '/', headers } = incoming
  const gone = new AbortController()
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) gone.abort()
  })
  const withBody = method !== 'GET' && method !== 'HEAD'
  const pairs = Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
  return new Request(`http://host.example${url}`, {
    method,
    headers: pairs as [string, string][],
    signal: gone.signal,
    ...(withBody && { body: bodyOf(incoming), duplex: 'half' as const }),
  })
}

function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  incoming.pause()
  return new ReadableStream<Uint8Array>({
    start(controller) {
      incoming.on('data', (chunk: Uint8Array) => {
        controller.enqueue(chunk)
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause()
      })
      incoming.on('end', () => controller.close())
      incoming.on('error', (error) => controller.error(error))
    },
    pull: () => void incoming.resume(),
    // What nobody wants is let through, so that the connection can be used again.
    cancel: () => void incoming.removeAllListeners('data').removeAllListeners('end').resume(),
  })
}
