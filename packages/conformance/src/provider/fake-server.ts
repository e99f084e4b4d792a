import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FailureClass, Provider, Usage } from '@keelson/core'
import type { FakeEnd, FakeItem, ProviderKit } from './kit.ts'

/** What the kit's server is to do with every request it gets. */
export type FakeAnswer =
  /** Says the items and ends. `torn`: byte by byte. `afterMs`: so long after the request. */
  | {
      readonly kind: 'answer'
      readonly items: readonly FakeItem[]
      readonly end: FakeEnd
      readonly torn?: boolean
      readonly afterMs?: number
    }
  /** Refuses. `retryAfter` is the value of the `Retry-After` header. */
  | { readonly kind: 'failure'; readonly failure: FailureClass; readonly retryAfter: string | null }
  /** Says the chunks, then that it fails, inside the stream. */
  | { readonly kind: 'stream-failure'; readonly failure: FailureClass; readonly chunks: readonly string[] }
  /** Says the chunks, then loses the connection when `lose` is called. */
  | { readonly kind: 'cut'; readonly chunks: readonly string[] }
  /** Says the chunks and ends the response, but not the answer. */
  | { readonly kind: 'unfinished'; readonly chunks: readonly string[] }
  /** Says the chunks, then a piece of the stream that cannot be parsed. */
  | { readonly kind: 'malformed'; readonly chunks: readonly string[] }
  /** Says the chunks, then a line that has no end. */
  | { readonly kind: 'endless'; readonly chunks: readonly string[] }
  /** Answers with something that is no stream. */
  | { readonly kind: 'page'; readonly status: number; readonly contentType: string; readonly body: string }
  /** Says the chunks, then nothing more until the client goes. */
  | { readonly kind: 'stalled'; readonly chunks: readonly string[] }
  /** Takes the request and never answers, not even with a status. */
  | { readonly kind: 'silent' }

/** A fake server, and the provider under test that talks to it. */
export interface FakeServer {
  readonly origin: string
  readonly provider: Provider
  /** Bodies of the requests so far. */
  received(): readonly unknown[]
  /** Tears down the connections of a `cut` answer: only the test knows when all that was said has been read. */
  lose(): void
  /** Resolves when the client has left an answer that was not ended. */
  readonly left: Promise<void>
  close(): Promise<void>
}

/** What an endless line may be at most, so that a provider without a bound fails the test and not the machine. */
const mostEndless = 64 * 2 ** 20

const counted: Usage = { input: 1, cacheRead: 0, cacheWrite: 0, output: 1, reasoning: 0 }

/** Starts a server of the kit's protocol. */
export async function serveFake(kit: ProviderKit, answer: FakeAnswer): Promise<FakeServer> {
  const requests: unknown[] = []
  const { promise: left, resolve: leave } = Promise.withResolvers<void>()
  const server = createServer(async (request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) leave()
    })
    response.on('error', () => {})
    let text = ''
    for await (const chunk of request) text += chunk
    requests.push(JSON.parse(text))
    await write(kit, answer, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    provider: kit.provider(origin),
    received: () => requests,
    lose: () => server.closeAllConnections(),
    left,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The provider under test, and an address where nobody listens. */
export async function nobodyListens(kit: ProviderKit): Promise<Provider> {
  const { provider, close } = await serveFake(kit, { kind: 'silent' })
  await close()
  return provider
}

async function write({ secret, wire }: ProviderKit, answer: FakeAnswer, response: ServerResponse): Promise<void> {
  const begin = () => response.writeHead(200, { 'content-type': wire.contentType ?? 'text/event-stream' })
  const say = (chunks: readonly string[]) => {
    begin()
    for (const piece of wire.stream([{ type: 'text', chunks }], null)) response.write(piece)
  }
  switch (answer.kind) {
    case 'answer': {
      if (answer.afterMs !== undefined) await new Promise((resolve) => setTimeout(resolve, answer.afterMs))
      begin()
      const pieces = wire.stream(answer.items, answer.end)
      if (answer.torn) for (const byte of Buffer.from(pieces.join(''))) response.write(Buffer.of(byte))
      else for (const piece of pieces) response.write(piece)
      response.end()
      return
    }
    case 'failure': {
      const refusal = wire.failure(answer.failure, `refused as ${answer.failure} (key ${secret})`)
      const headers = answer.retryAfter === null ? {} : { 'retry-after': answer.retryAfter }
      response.writeHead(refusal?.status ?? 500, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify(refusal?.body ?? {}))
      return
    }
    case 'stream-failure':
      say(answer.chunks)
      response.end(wire.streamFailure(answer.failure, `failed as ${answer.failure} (key ${secret})`) ?? '')
      return
    case 'page':
      response.writeHead(answer.status, { 'content-type': answer.contentType }).end(answer.body)
      return
    case 'unfinished':
      say(answer.chunks)
      response.end()
      return
    case 'malformed':
      say(answer.chunks)
      response.end(wire.malformed)
      return
    case 'endless':
      say(answer.chunks)
      await writeEndless(response)
      return
    case 'cut':
    case 'stalled':
      say(answer.chunks)
      return
    case 'silent':
      return
  }
}

async function writeEndless(response: ServerResponse): Promise<void> {
  response.write('data: "')
  const piece = 'x'.repeat(2 ** 16)
  for (let written = 0; written < mostEndless && !response.destroyed; written += piece.length) {
    if (response.write(piece)) continue
    await new Promise<void>((resolve) => {
      const go = () => {
        response.off('drain', go)
        response.off('close', go)
        resolve()
      }
      response.on('drain', go)
      response.on('close', go)
    })
  }
  response.end('"\n\n')
}

/** An end that counts next to nothing. */
export const ended = (reason: FakeEnd['reason'] = 'stop', usage: Usage = counted): FakeEnd => ({ reason, usage })
