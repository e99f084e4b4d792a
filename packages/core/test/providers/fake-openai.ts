import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { LLMock } from '@copilotkit/aimock'
import type { FakeAnswer, FakeServer } from '../../../conformance/src/provider.ts'
import type { FailureClass } from '../../src/capabilities/models/index.ts'
import type { Usage } from '../../src/capabilities/sessions/index.ts'
import { type OpenAICompatibleOptions, openaiCompatible } from '../../src/providers/openai-compatible.ts'

export const secret = 'sk-test-0123456789abcdef'

/** Status and body by which a server of this protocol says each class. */
export const refusals: Partial<Record<FailureClass, { status: number; type: string; code: string; message: string }>> =
  {
    'rate-limit': { status: 429, type: 'requests', code: 'rate_limit_exceeded', message: 'Too many requests' },
    overload: { status: 503, type: 'server_error', code: 'busy', message: 'The engine is overloaded' },
    server: { status: 500, type: 'server_error', code: 'oops', message: 'Internal error' },
    timeout: { status: 408, type: 'timeout', code: 'timed_out', message: 'Request timed out' },
    auth: { status: 401, type: 'invalid_request_error', code: 'invalid_api_key', message: 'Incorrect API key' },
    billing: {
      status: 429,
      type: 'insufficient_quota',
      code: 'insufficient_quota',
      message: 'You exceeded your quota',
    },
    'context-too-long': {
      status: 400,
      type: 'invalid_request_error',
      code: 'context_length_exceeded',
      message: "This model's maximum context length is 8192 tokens",
    },
    'content-refused': { status: 400, type: 'invalid_request_error', code: 'content_filter', message: 'Filtered' },
    'bad-request': { status: 404, type: 'invalid_request_error', code: 'model_not_found', message: 'No such model' },
  }

const wireUsage = (usage: Usage) => ({
  prompt_tokens: usage.input + usage.cacheRead + usage.cacheWrite,
  completion_tokens: usage.output + usage.reasoning,
  total_tokens: usage.input + usage.cacheRead + usage.cacheWrite + usage.output + usage.reasoning,
  prompt_tokens_details: { cached_tokens: usage.cacheRead, cache_write_tokens: usage.cacheWrite },
  completion_tokens_details: { reasoning_tokens: usage.reasoning },
})

/** A server of this protocol with a body of its own, for what a mock server cannot be told to do. */
export interface HandMade {
  readonly url: string
  readonly requests: { readonly body: unknown; readonly headers: IncomingMessage['headers'] }[]
  readonly left: Promise<void>
  /** Tears down every connection. */
  lose(): void
  close(): Promise<void>
}

export async function handMade(
  answer: (response: ServerResponse, body: unknown) => void | Promise<void>,
): Promise<HandMade> {
  const requests: HandMade['requests'] = []
  const { promise: left, resolve: leave } = Promise.withResolvers<void>()
  const server = createServer(async (request, response) => {
    response.on('close', () => {
      if (!response.writableEnded) leave()
    })
    let text = ''
    for await (const chunk of request) text += chunk
    const body: unknown = JSON.parse(text)
    requests.push({ body, headers: request.headers })
    await answer(response, body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/v1`,
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

export const chunk = (delta: unknown, more: Record<string, unknown> = {}): string =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: null }], ...more })}\n\n`

export const done = (reason: string, usage?: unknown): string =>
  `${chunk({}, { choices: [{ index: 0, delta: {}, finish_reason: reason }] })}${usage === undefined ? '' : chunk({}, { choices: [], usage })}data: [DONE]\n\n`

export const stream = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { 'content-type': 'text/event-stream' })

/** What the mock server can do is done by it; the rest by a server made by hand. */
export async function serveOpenai(answer: FakeAnswer, options: OpenAICompatibleOptions = {}): Promise<FakeServer> {
  return (await mocked(answer, options)) ?? byHand(answer, options)
}

async function mocked(answer: FakeAnswer, options: OpenAICompatibleOptions): Promise<FakeServer | null> {
  const mock = new LLMock({ port: 0 })
  const chunkSize = 4
  switch (answer.kind) {
    case 'text':
      mock.on({}, { content: answer.chunks.join(''), usage: wireUsage(answer.usage) }, { chunkSize })
      break
    case 'tools': {
      const toolCalls = answer.calls.map(({ call, tool, arguments: args }) => ({
        id: call,
        name: tool,
        arguments: args,
      }))
      const usage = wireUsage(answer.usage)
      mock.on({}, answer.text === '' ? { toolCalls, usage } : { content: answer.text, toolCalls, usage }, { chunkSize })
      break
    }
    case 'failure': {
      const refusal = refusals[answer.failure]
      const wait = Number(answer.retryAfter ?? 1)
      if (refusal === undefined || !Number.isInteger(wait) || (answer.retryAfter !== null && refusal.status !== 429)) {
        return null
      }
      const { status, message, ...error } = refusal
      mock.on({}, { error: { ...error, message: `${message} (key ${secret})` }, status, retryAfter: wait })
      break
    }
    case 'slow':
      mock.on({}, { content: answer.chunks.join('') }, { chunkSize, streamingProfile: { ttft: answer.ms } })
      break
    default:
      return null
  }
  await mock.start()
  // Under this base it sends the details of usage as well.
  const base = answer.kind === 'text' || answer.kind === 'tools' ? '/api/v1' : '/v1'
  return {
    provider: openaiCompatible({ baseURL: `${mock.url}${base}`, apiKey: secret, ...options }),
    received: () => mock.getRequests().map(({ body }) => body),
    lose: () => undefined,
    left: Promise.resolve(),
    close: () => mock.stop(),
  }
}

async function byHand(answer: FakeAnswer, options: OpenAICompatibleOptions): Promise<FakeServer> {
  const server = await handMade(async (response) => {
    switch (answer.kind) {
      case 'failure': {
        const { status, ...error } = refusals[answer.failure] ?? { status: 500, message: 'unknown' }
        const headers = answer.retryAfter === null ? {} : { 'retry-after': answer.retryAfter }
        response.writeHead(status, { 'content-type': 'application/json', ...headers })
        response.end(JSON.stringify({ error }))
        return
      }
      case 'page':
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html><body>It works!</body></html>')
        return
      case 'silent':
        return
      case 'cut':
      case 'malformed':
      case 'stalled':
        stream(response)
        for (const content of answer.chunks) response.write(chunk({ content }))
        if (answer.kind === 'malformed') response.end('data: {"choices": [{"del\n\n')
    }
  })
  if (answer.kind === 'absent') await server.close()
  return {
    provider: openaiCompatible({ baseURL: server.url, apiKey: secret, ...options }),
    received: () => server.requests.map(({ body }) => body),
    lose: server.lose,
    left: server.left,
    close: () => (answer.kind === 'absent' ? Promise.resolve() : server.close()),
  }
}
