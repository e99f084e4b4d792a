import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FakeItem, WireProtocol } from '../../../conformance/src/provider.ts'
import type { FailureClass } from '../../src/capabilities/models/index.ts'
import type { FinishReason, Usage } from '../../src/capabilities/sessions/index.ts'

export const secret = 'sk-test-0123456789abcdef'

/** Status and body by which a server of this protocol says each class. */
const refusals: Partial<Record<FailureClass, { status: number; type: string; code: string; message: string }>> = {
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

/** The error body of every OpenAI-like server. */
export const refusal: WireProtocol['failure'] = (failure, message) => {
  const known = refusals[failure]
  if (!known) return null
  const { status, ...error } = known
  return { status, body: { error: { ...error, message: `${error.message}: ${message}` } } }
}

export const chatUsage = (usage: Usage) => ({
  prompt_tokens: usage.input + usage.cacheRead + usage.cacheWrite,
  completion_tokens: usage.output + usage.reasoning,
  total_tokens: usage.input + usage.cacheRead + usage.cacheWrite + usage.output + usage.reasoning,
  prompt_tokens_details: { cached_tokens: usage.cacheRead, cache_write_tokens: usage.cacheWrite },
  completion_tokens_details: { reasoning_tokens: usage.reasoning },
})

const chatReasons: Partial<Record<FinishReason, string>> = {
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
}

function chatPieces(item: FakeItem, index: number): readonly string[] {
  if (item.type === 'text') return item.chunks.map((content) => chunk({ content }))
  if (item.type === 'reasoning') return item.chunks.map((text) => chunk({ reasoning_content: text }))
  const half = Math.ceil(item.arguments.length / 2)
  const begun = { index, id: item.call, type: 'function', function: { name: item.tool, arguments: '' } }
  return [
    chunk({ tool_calls: [begun] }),
    chunk({ tool_calls: [{ index, function: { arguments: item.arguments.slice(0, half) } }] }),
    chunk({ tool_calls: [{ index, function: { arguments: item.arguments.slice(half) } }] }),
  ]
}

/** Chat Completions. */
export const chatWire: WireProtocol = {
  stream(items, end) {
    const calls = items.filter(({ type }) => type === 'call')
    const said = items.flatMap((item) => chatPieces(item, calls.indexOf(item)))
    return end === null ? said : [...said, done(chatReasons[end.reason] ?? end.reason, chatUsage(end.usage))]
  },
  malformed: 'data: {"choices": [{"del\n\n',
  failure: refusal,
  streamFailure(failure, message) {
    const known = refusals[failure]
    if (!known) return null
    // Where no code says it, servers put the status into it.
    const { status, code } = known
    const error = { message, code: ['busy', 'timed_out', 'oops'].includes(code) ? status : code }
    return `data: ${JSON.stringify({ error })}\n\n`
  },
}

export const responsesUsage = (usage: Usage) => ({
  input_tokens: usage.input + usage.cacheRead + usage.cacheWrite,
  input_tokens_details: { cached_tokens: usage.cacheRead, cache_write_tokens: usage.cacheWrite },
  output_tokens: usage.output + usage.reasoning,
  output_tokens_details: { reasoning_tokens: usage.reasoning },
  total_tokens: usage.input + usage.cacheRead + usage.cacheWrite + usage.output + usage.reasoning,
})

export const event = (type: string, fields: object = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

function responsesPieces(item: FakeItem, index: number): readonly string[] {
  const at = { output_index: index, item_id: `item_${index}` }
  if (item.type === 'text') {
    const content = [{ type: 'output_text', text: item.chunks.join(''), annotations: [] }]
    const message = { type: 'message', id: at.item_id, role: 'assistant' }
    return [
      event('response.output_item.added', { ...at, item: { ...message, status: 'in_progress', content: [] } }),
      ...item.chunks.map((delta) => event('response.output_text.delta', { ...at, content_index: 0, delta })),
      event('response.output_text.done', { ...at, content_index: 0, text: item.chunks.join('') }),
      event('response.output_item.done', { ...at, item: { ...message, status: 'completed', content } }),
    ]
  }
  if (item.type === 'reasoning') {
    const thought = { type: 'reasoning', id: `rs_${index}` }
    const summary = [{ type: 'summary_text', text: item.chunks.join('') }]
    const done = { ...thought, summary, encrypted_content: item.state }
    return [
      event('response.output_item.added', { ...at, item: { ...thought, summary: [], encrypted_content: 'begun' } }),
      event('response.reasoning_summary_part.added', { ...at, summary_index: 0 }),
      ...item.chunks.map((delta) => event('response.reasoning_summary_text.delta', { ...at, summary_index: 0, delta })),
      event('response.output_item.done', { ...at, item: done }),
    ]
  }
  const call = { type: 'function_call', id: `fc_${index}`, call_id: item.call, name: item.tool }
  const half = Math.ceil(item.arguments.length / 2)
  return [
    event('response.output_item.added', { ...at, item: { ...call, arguments: '', status: 'in_progress' } }),
    event('response.function_call_arguments.delta', { ...at, delta: item.arguments.slice(0, half) }),
    event('response.function_call_arguments.delta', { ...at, delta: item.arguments.slice(half) }),
    event('response.function_call_arguments.done', { ...at, arguments: item.arguments }),
    event('response.output_item.done', { ...at, item: { ...call, arguments: item.arguments, status: 'completed' } }),
  ]
}

const incomplete: Partial<Record<FinishReason, string>> = {
  length: 'max_output_tokens',
  'content-filter': 'content_filter',
}

/** The Responses API. */
export const responsesWire: WireProtocol = {
  stream(items, end) {
    const response = { id: 'resp_kit', object: 'response', output: [] }
    const said = [
      event('response.created', { response: { ...response, status: 'in_progress' } }),
      event('response.in_progress', { response: { ...response, status: 'in_progress' } }),
      ...items.flatMap(responsesPieces),
    ]
    if (end === null) return said.slice(0, -2)
    const why = incomplete[end.reason]
    const status = why === undefined ? 'completed' : 'incomplete'
    const details = why === undefined ? null : { reason: why }
    const ended = { ...response, status, error: null, incomplete_details: details, usage: responsesUsage(end.usage) }
    return [...said, event(`response.${status}`, { response: ended })]
  },
  malformed: 'event: response.output_text.delta\ndata: {"type": "response.outp\n\n',
  failure: refusal,
  streamFailure(failure, message) {
    const code = responsesCodes[failure]
    if (code === undefined) return null
    if (failure === 'server')
      return event('response.failed', { response: { status: 'failed', error: { code, message } } })
    return event('error', { code, message, param: null })
  },
}

const responsesCodes: Partial<Record<FailureClass, string>> = {
  'rate-limit': 'rate_limit_exceeded',
  server: 'server_error',
  'content-refused': 'invalid_prompt',
  'bad-request': 'invalid_image',
  'context-too-long': 'context_length_exceeded',
  overload: 'server_is_overloaded',
  billing: 'insufficient_quota',
}

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
