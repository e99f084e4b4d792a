import type { FakeItem, WireProtocol } from '../../../conformance/src/provider.ts'
import type { FailureClass } from '../../src/capabilities/models/index.ts'
import type { FinishReason, Usage } from '../../src/capabilities/sessions/index.ts'

export const secret = 'sk-ant-test-0123456789abcdef'

/** Status and body by which the vendor says each class. */
const refusals: Partial<Record<FailureClass, { status: number; type: string; message: string }>> = {
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

const wireUsage = ({ input, cacheRead, cacheWrite, output, reasoning }: Usage) => ({
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

const reasons: Record<FinishReason, string> = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
  other: 'pause_turn',
}

function pieces(item: FakeItem, index: number): readonly string[] {
  const open = (content_block: object) => event('content_block_start', { index, content_block })
  const delta = (delta: object) => event('content_block_delta', { index, delta })
  const close = event('content_block_stop', { index })
  switch (item.type) {
    case 'text':
      return [
        open({ type: 'text', text: '' }),
        ...item.chunks.map((text) => delta({ type: 'text_delta', text })),
        close,
      ]
    case 'reasoning':
      return [
        open({ type: 'thinking', thinking: '', signature: '' }),
        ...item.chunks.map((thinking) => delta({ type: 'thinking_delta', thinking })),
        delta({ type: 'signature_delta', signature: item.state }),
        close,
      ]
    case 'call':
      return [call(index, item.call, item.tool, item.arguments)]
  }
}

const errorBody = (failure: FailureClass, message: string) => {
  const known = refusals[failure]
  if (!known) return null
  const { status, ...error } = known
  return {
    status,
    body: { type: 'error', error: { ...error, message: `${error.message}: ${message}` }, request_id: 'r' },
  }
}

/** The Messages API. */
export const messagesWire: WireProtocol = {
  stream: (items, end) => [
    start(end?.usage),
    ...items.flatMap(pieces),
    ...(end === null ? [] : [finish(reasons[end.reason], end.usage)]),
  ],
  malformed: 'event: content_block_delta\ndata: {"index": 0, "del\n\n',
  failure: errorBody,
  streamFailure(failure, message) {
    const refusal = errorBody(failure, message)
    return refusal && event('error', refusal.body)
  },
}
