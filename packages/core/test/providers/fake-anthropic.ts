import { LLMock } from '@copilotkit/aimock'
import type { FakeAnswer, FakeServer } from '../../../conformance/src/provider.ts'
import type { FailureClass } from '../../src/capabilities/models/index.ts'
import type { Usage } from '../../src/capabilities/sessions/index.ts'
import { type AnthropicOptions, anthropic } from '../../src/providers/anthropic.ts'
import { serveByHand } from './hand-made.ts'

export const secret = 'sk-ant-test-0123456789abcdef'

/** Status and body by which the vendor says each class. */
export const refusals: Partial<Record<FailureClass, { status: number; type: string; message: string }>> = {
  'rate-limit': { status: 429, type: 'rate_limit_error', message: 'This request would exceed your rate limit' },
  overload: { status: 529, type: 'overloaded_error', message: 'Overloaded' },
  server: { status: 500, type: 'api_error', message: 'Internal server error' },
  timeout: { status: 504, type: 'timeout_error', message: 'Request timed out' },
  auth: { status: 401, type: 'authentication_error', message: 'invalid key' },
  billing: { status: 400, type: 'invalid_request_error', message: 'Your credit balance is too low' },
  'context-too-long': {
    status: 400,
    type: 'invalid_request_error',
    message: 'prompt is too long: 210000 tokens > 200000 maximum',
  },
  'content-refused': {
    status: 400,
    type: 'invalid_request_error',
    message: 'Output blocked by content filtering policy',
  },
  'bad-request': { status: 404, type: 'not_found_error', message: 'model: claude-none' },
}

export const event = (type: string, fields: object = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

export const wireUsage = ({ input, cacheRead, cacheWrite, output, reasoning }: Usage) => ({
  start: {
    input_tokens: input,
    cache_read_input_tokens: cacheRead,
    cache_creation_input_tokens: cacheWrite,
    output_tokens: 1,
  },
  end: { output_tokens: output + reasoning, output_tokens_details: { thinking_tokens: reasoning } },
})

const someUsage: Usage = { input: 3, cacheRead: 0, cacheWrite: 0, output: 2, reasoning: 0 }

export const start = (usage: Usage = someUsage): string =>
  event('message_start', {
    message: { id: 'msg_1', type: 'message', role: 'assistant', content: [], usage: wireUsage(usage).start },
  }) + event('ping')

export const block = (index: number, content: object, ...deltas: readonly object[]): string =>
  event('content_block_start', { index, content_block: content }) +
  deltas.map((delta) => event('content_block_delta', { index, delta })).join('') +
  event('content_block_stop', { index })

export const text = (index: number, ...chunks: readonly string[]): string =>
  block(index, { type: 'text', text: '' }, ...chunks.map((chunk) => ({ type: 'text_delta', text: chunk })))

export const thinking = (index: number, thought: string, signature: string): string =>
  block(
    index,
    { type: 'thinking', thinking: '', signature: '' },
    ...(thought === '' ? [] : [{ type: 'thinking_delta', thinking: thought }]),
    { type: 'signature_delta', signature },
  )

export const call = (index: number, id: string, name: string, args: string): string =>
  block(
    index,
    { type: 'tool_use', id, name, input: {} },
    { type: 'input_json_delta', partial_json: '' },
    ...(args.match(/.{1,3}/gsu) ?? []).map((piece) => ({ type: 'input_json_delta', partial_json: piece })),
  )

export const finish = (reason: string, usage: Usage = someUsage, details: object | null = null): string =>
  event('message_delta', { delta: { stop_reason: reason, stop_details: details }, usage: wireUsage(usage).end }) +
  event('message_stop')

/** What the mock server can do is done by it; the rest by a server made by hand. */
export async function serveAnthropic(answer: FakeAnswer, options: AnthropicOptions = {}): Promise<FakeServer> {
  return (await mocked(answer, options)) ?? byHand(answer, options)
}

async function mocked(answer: FakeAnswer, options: AnthropicOptions): Promise<FakeServer | null> {
  const mock = new LLMock({ port: 0 })
  if (answer.kind === 'slow') {
    mock.on({}, { content: answer.chunks.join('') }, { chunkSize: 4, streamingProfile: { ttft: answer.ms } })
  } else {
    const refusal = answer.kind === 'failure' ? refusals[answer.failure] : undefined
    if (answer.kind !== 'failure' || refusal === undefined || answer.retryAfter !== null) return null
    const { status, type, message } = refusal
    mock.on({}, { error: { type, message: `${message} (key ${secret})` }, status })
  }
  await mock.start()
  return {
    provider: anthropic({ baseURL: mock.url, apiKey: secret, ...options }),
    received: () => mock.getRequests().map(({ body }) => body),
    lose: () => undefined,
    left: Promise.resolve(),
    close: () => mock.stop(),
  }
}

async function byHand(answer: FakeAnswer, options: AnthropicOptions): Promise<FakeServer> {
  const server = await serveByHand(async (response) => {
    if (answer.kind === 'silent') return
    if (answer.kind === 'page') {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html><body>It works!</body></html>')
      return
    }
    if (answer.kind === 'failure') {
      const { status, ...error } = refusals[answer.failure] ?? { status: 500, message: 'unknown' }
      const headers = answer.retryAfter === null ? {} : { 'retry-after': answer.retryAfter }
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify({ type: 'error', error, request_id: 'req_1' }))
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    switch (answer.kind) {
      case 'text':
        response.end(start(answer.usage) + text(0, ...answer.chunks) + finish('end_turn', answer.usage))
        return
      case 'tools': {
        const before = answer.text === '' ? '' : text(0, answer.text)
        const made = answer.calls.map(({ call: id, tool, arguments: args }, index) => call(index + 1, id, tool, args))
        response.end(start(answer.usage) + before + made.join('') + finish('tool_use', answer.usage))
        return
      }
      case 'cut':
      case 'malformed':
      case 'stalled':
        response.write(start() + event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }))
        for (const chunk of answer.chunks) {
          response.write(event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: chunk } }))
        }
        if (answer.kind === 'malformed') response.end('event: content_block_delta\ndata: {"index": 0, "del\n\n')
    }
  })
  if (answer.kind === 'absent') await server.close()
  return {
    provider: anthropic({ baseURL: server.url, apiKey: secret, ...options }),
    received: () => server.requests.map(({ body }) => body),
    lose: server.lose,
    left: server.left,
    close: () => (answer.kind === 'absent' ? Promise.resolve() : server.close()),
  }
}
