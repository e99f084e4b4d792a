import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ModelPart, ModelRequest, Provider } from '../../src/capabilities/models/index.ts'

/** A server that answers as a test says, for what a mock server cannot be told to do. */
export interface HandMade {
  /** Where it listens, without a path. */
  readonly url: string
  readonly requests: { readonly path: string; readonly body: unknown; readonly headers: IncomingMessage['headers'] }[]
  readonly left: Promise<void>
  /** Tears down every connection. */
  lose(): void
  close(): Promise<void>
}

export type Answer = (response: ServerResponse, body: unknown, path: string) => void | Promise<void>

export async function serveByHand(answer: Answer): Promise<HandMade> {
  const requests: HandMade['requests'] = []
  const { promise: left, resolve: leave } = Promise.withResolvers<void>()
  const server = createServer(async (request, response) => {
    response.on('close', () => {
      if (!response.writableEnded) leave()
    })
    let text = ''
    for await (const chunk of request) text += chunk
    const body: unknown = text === '' ? null : JSON.parse(text)
    requests.push({ path: request.url ?? '', body, headers: request.headers })
    await answer(response, body, request.url ?? '')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    left,
    lose: () => server.closeAllConnections(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Runs with a server, and closes it however that ends. */
export async function withServer(answer: Answer, run: (server: HandMade) => Promise<void>): Promise<void> {
  const server = await serveByHand(answer)
  try {
    await run(server)
  } finally {
    await server.close()
  }
}

/** Answers with an event stream of these pieces. */
export const saying =
  (...pieces: readonly string[]): Answer =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const piece of pieces) response.write(piece)
    response.end()
  }

export const json = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

export async function readAll(
  provider: Provider,
  request: ModelRequest,
  model = 'm',
  signal: AbortSignal = new AbortController().signal,
): Promise<ModelPart[]> {
  const parts: ModelPart[] = []
  for await (const part of provider.stream(model, request, signal)) parts.push(part)
  return parts
}
