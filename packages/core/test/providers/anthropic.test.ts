import { describe, expect, it, vi } from 'vitest'
import { describeProvider } from '../../../conformance/src/provider.ts'
import type { FailureClass, ModelRequest } from '../../src/capabilities/models/index.ts'
import { loadSdk } from '../../src/providers/anthropic/client.ts'
import { type AnthropicOptions, anthropic } from '../../src/providers/anthropic.ts'
import { block, call, event, finish, messagesWire, secret, start, text, thinking } from './fake-anthropic.ts'
import { type Answer, type HandMade, json, readAll, saying, withServer } from './hand-made.ts'

describeProvider('anthropic', {
  model: 'claude-kit',
  secret,
  provider: (baseURL) => anthropic({ baseURL, apiKey: secret }),
  wire: messagesWire,
  usage: { input: 900, cacheRead: 100, cacheWrite: 70, output: 37, reasoning: 13 },
  reasoning: 'state',
  images: 'data-and-url',
  output: true,
  aimock: {},
})

const request: ModelRequest = {
  instructions: 'be brief',
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'hi' }] }],
  tools: [],
  maxOutputTokens: 50,
}

const providerOf = ({ url }: HandMade, options: AnthropicOptions = {}) =>
  anthropic({ baseURL: url, apiKey: secret, ...options })

const answered = async (answer: Answer, asked = request, options: AnthropicOptions = {}) => {
  let parts: Awaited<ReturnType<typeof readAll>> = []
  await withServer(answer, async (server) => {
    parts = await readAll(providerOf(server, options), asked)
  })
  return parts
}

const failed = async (answer: Answer, asked = request, options: AnthropicOptions = {}) => {
  const outcome = await answered(answer, asked, options).catch((error: unknown) => error)
  if (!(outcome instanceof Error)) throw new Error('it did not fail')
  return outcome as Error & { failure?: string; retryAfterMs?: number; status?: number; code?: string }
}

const hello = saying(start(), text(0, 'hello'), finish('end_turn'))

describe('what is sent', () => {
  const sent = async (options: AnthropicOptions, asked = request) => {
    let got: HandMade['requests'] = []
    await withServer(hello, async (server) => {
      await readAll(providerOf(server, options), asked)
      got = server.requests
    })
    const [first] = got
    if (!first) throw new Error('nothing was sent')
    return first
  }

  it('is a streamed message', async () => {
    const { path, body, headers } = await sent({})
    expect(path).toBe('/v1/messages')
    expect(headers).toMatchObject({ authorization: `Bearer ${secret}`, 'anthropic-version': expect.any(String) })
    expect(body).toEqual({
      model: 'm',
      max_tokens: 50,
      stream: true,
      system: [{ type: 'text', text: 'be brief', cache_control: { type: 'ephemeral' } }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'hi', cache_control: { type: 'ephemeral' } }] }],
    })
  })

  it('holds the headers and fields of the host', async () => {
    const { body, headers } = await sent({
      headers: { 'anthropic-beta': 'x-1' },
      extraBody: { service_tier: 'standard_only', model: 'never' },
    })
    expect(headers['anthropic-beta']).toBe('x-1')
    expect(body).toMatchObject({ service_tier: 'standard_only', model: 'm' })
  })

  it('holds the key that a function fetches', async () => {
    expect((await sent({ apiKey: async () => 'fetched-key' })).headers.authorization).toBe('Bearer fetched-key')
  })

  it('asks for JSON by a schema that the vendor takes', async () => {
    const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 3 } }, required: ['n'] }
    const { body } = await sent({}, { ...request, output: { name: 'count', schema } })
    expect(body).toMatchObject({
      output_config: {
        format: {
          type: 'json_schema',
          schema: {
            type: 'object',
            additionalProperties: false,
            required: ['n'],
            properties: { n: { type: 'integer' } },
          },
        },
      },
    })
    expect(JSON.stringify(body)).not.toContain('"minimum"')
  })

  it('takes no key and no address from the environment', async () => {
    vi.stubEnv('ANTHROPIC_API_KEY', 'sk-from-environment')
    vi.stubEnv('ANTHROPIC_AUTH_TOKEN', 'token-from-environment')
    vi.stubEnv('ANTHROPIC_BASE_URL', 'http://127.0.0.1:9')
    try {
      await withServer(hello, async (server) => {
        await readAll(anthropic({ baseURL: server.url }), request)
        expect(server.requests[0]?.headers).not.toHaveProperty('authorization')
        expect(server.requests[0]?.headers).not.toHaveProperty('x-api-key')
        expect(JSON.stringify(server.requests)).not.toContain('from-environment')
      })
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it('goes to the same place whether or not the address ends in /v1', () =>
    withServer(hello, async (server) => {
      for (const baseURL of [server.url, `${server.url}/`, `${server.url}/v1`, `${server.url}/v1/`]) {
        await readAll(anthropic({ baseURL, apiKey: secret }), request)
      }
      expect(server.requests.map(({ path }) => path)).toEqual(Array(4).fill('/v1/messages'))
    }))
})

describe('what comes back', () => {
  it('keeps thoughts apart from text, each ended by what proves it', async () => {
    const redacted = block(2, { type: 'redacted_thinking', data: 'opaque' })
    const pieces = [
      start(),
      thinking(0, 'let me see', 'sig-1'),
      text(1, 'One.'),
      redacted,
      call(3, 'toolu_1', 'look', '{"x":1}'),
      thinking(4, '', 'sig-2'),
      call(5, 'toolu_2', 'look', ''),
      finish('tool_use'),
    ]
    const ended = (state: object) => ({
      type: 'reasoning',
      text: '',
      state: { anthropic: { by: 'anthropic', ...state } },
    })
    expect(await answered(saying(...pieces))).toEqual([
      { type: 'reasoning', text: 'let me see' },
      ended({ text: 0, calls: 0, signature: 'sig-1' }),
      { type: 'text', text: 'One.' },
      ended({ text: 4, calls: 0, redacted: 'opaque' }),
      ended({ text: 4, calls: 1, signature: 'sig-2' }),
      { type: 'tool-call', call: 'toolu_1', tool: 'look', arguments: '{"x":1}' },
      { type: 'tool-call', call: 'toolu_2', tool: 'look', arguments: '{}' },
      {
        type: 'finish',
        reason: 'tool-calls',
        usage: { input: 3, cacheRead: 0, cacheWrite: 0, output: 2, reasoning: 0 },
      },
    ])
  })

  it('counts what was written to the cache apart', async () => {
    const usage = { input: 11, cacheRead: 22, cacheWrite: 33, output: 44, reasoning: 55 }
    const parts = await answered(saying(start(usage), text(0, 'x'), finish('end_turn', usage)))
    expect(parts.at(-1)).toEqual({ type: 'finish', reason: 'stop', usage })
  })

  it.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['refusal', 'content-filter'],
    ['pause_turn', 'other'],
    ['something_new', 'other'],
  ])('finishes with the reason %s as %s', async (wire, reason) => {
    expect((await answered(saying(start(), text(0, 'x'), finish(wire)))).at(-1)).toMatchObject({ reason })
  })

  it('is a refusal when nothing was said, with what the vendor says of it', async () => {
    const details = { type: 'refusal', category: 'bio', explanation: 'not this' }
    const error = await failed(saying(start(), finish('refusal', undefined, details)))
    expect(error).toMatchObject({ failure: 'content-refused', message: 'bio: not this' })
  })

  it('has broken arguments, not empty ones, for a call that was cut off', async () => {
    const parts = await answered(saying(start(), call(0, 'toolu_1', 'wipe', ''), finish('max_tokens')))
    const made = parts.find((part) => part.type === 'tool-call')
    expect(() => JSON.parse(made?.arguments ?? '')).toThrow(SyntaxError)
  })

  it('passes over what the server did by itself', async () => {
    const own = block(
      0,
      { type: 'server_tool_use', id: 's', name: 'web_search', input: { q: 1 } },
      {
        type: 'input_json_delta',
        partial_json: '{"q":2}',
      },
    )
    const parts = await answered(
      saying(start(), own, event('something_new', { a: 1 }), text(1, 'x'), finish('end_turn')),
    )
    expect(parts.map(({ type }) => type)).toEqual(['text', 'finish'])
  })

  it('is read whole though characters and lines are torn apart on the way', async () => {
    const parts = await answered((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const byte of Buffer.from(start() + text(0, 'Grüße 🎌') + finish('end_turn')))
        response.write(Buffer.of(byte))
      response.end()
    })
    expect(parts[0]).toEqual({ type: 'text', text: 'Grüße 🎌' })
  })

  it('ends as cut when it stops without a reason', async () => {
    expect(await failed(saying(start(), text(0, 'so far')))).toMatchObject({ failure: 'network' })
  })

  it.each([
    ['nothing at all', ''],
    ['only a comment', ': hello\n\n'],
    ['events without names', 'data: {"type":"message_stop"}\n\n'],
    ['a number', 'event: message_start\ndata: 7\n\n'],
    ['a message that is none', event('message_start', { message: 7 })],
    ['text that is none', start() + block(0, { type: 'text', text: '' }, { type: 'text_delta', text: 7 })],
    ['a block that is none', start() + event('content_block_start', { index: 0 })],
    ['a call without a name', start() + block(0, { type: 'tool_use', id: 'a', input: {} }) + finish('tool_use')],
  ])('is malformed when it holds %s', async (_, pieces) => {
    expect(await failed(saying(pieces))).toMatchObject({ failure: 'malformed' })
  })

  it('is malformed when it is a whole JSON answer', async () => {
    expect(await failed((response) => json(response, 200, { content: [] }))).toMatchObject({ failure: 'malformed' })
  })

  it.each([
    ['overloaded_error', 'Overloaded', 'overload'],
    ['rate_limit_error', 'slow down', 'rate-limit'],
    ['api_error', 'Internal server error', 'server'],
    ['invalid_request_error', 'prompt is too long: 3 tokens > 2 maximum', 'context-too-long'],
    ['something_new', 'oops', 'server'],
  ])('fails by the %s that comes inside the stream', async (type, message, failure) => {
    const error = event('error', { error: { type, message } })
    expect(await failed(saying(start(), text(0, 'so far'), error))).toMatchObject({ failure, message })
  })

  it('prints nothing, whatever comes and whatever model was asked', async () => {
    const printed = (['error', 'warn', 'log', 'info', 'debug'] as const).map((level) =>
      vi.spyOn(console, level).mockImplementation(() => undefined),
    )
    const broken = saying('event: message_start\ndata: {"secret prompt\n\n')
    expect((await failed(broken)).message).not.toContain('secret prompt')
    await withServer(hello, async (server) => {
      const provider = providerOf(server, { thinking: { budgetTokens: 1_024 } })
      for (const model of ['claude-sonnet-4-5', 'claude-opus-4-6']) {
        await readAll(provider, { ...request, maxOutputTokens: 4_000 }, model)
      }
    })
    for (const spy of printed) expect(spy).not.toHaveBeenCalled()
    vi.restoreAllMocks()
  })
})

describe('thoughts that the vendor refuses to take back', () => {
  const thought = {
    type: 'reasoning',
    text: 'hm',
    state: { anthropic: { by: 'anthropic', text: 0, calls: 0, signature: 'old-signature' } },
  } as const
  const withThought: ModelRequest = {
    ...request,
    messages: [
      ...request.messages,
      { role: 'assistant', parts: [thought, { type: 'text', text: 'hello' }] },
      { role: 'user', parts: [{ type: 'text', text: 'again' }] },
    ],
  }
  const refusing: Answer = (response, body) => {
    if (!JSON.stringify(body).includes('old-signature')) return hello(response, body, '')
    const message = 'messages.1.content.0: Invalid `signature` in `thinking` block'
    json(response, 400, { type: 'error', error: { type: 'invalid_request_error', message } })
  }

  it('are left out, once and for all', () =>
    withServer(refusing, async (server) => {
      const provider = providerOf(server)
      for (let turn = 0; turn < 2; turn += 1) {
        expect((await readAll(provider, withThought)).at(-1)).toMatchObject({ type: 'finish', reason: 'stop' })
      }
      const held = server.requests.map(({ body }) => JSON.stringify(body).includes('old-signature'))
      expect(held).toEqual([true, false, false])
    }))

  it('are not tried again when there were none', async () => {
    await withServer(
      (response) =>
        json(response, 400, { type: 'error', error: { type: 'invalid_request_error', message: 'thinking blocks' } }),
      async (server) => {
        await expect(readAll(providerOf(server), request)).rejects.toMatchObject({ failure: 'bad-request' })
        expect(server.requests).toHaveLength(1)
      },
    )
  })
})

describe('a failure', () => {
  const refuse =
    (status: number, error: object, headers: Record<string, string> = {}): Answer =>
    (response) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify({ type: 'error', error }))
    }

  it('of an overloaded server says how long to wait', async () => {
    const answer = refuse(529, { type: 'overloaded_error', message: 'Overloaded' }, { 'retry-after': '12' })
    expect(await failed(answer)).toMatchObject({ failure: 'overload', status: 529, retryAfterMs: 12_000 })
  })

  it.each<[number, object, FailureClass]>([
    [400, { type: 'invalid_request_error', message: 'something' }, 'bad-request'],
    [
      400,
      { type: 'invalid_request_error', message: 'input length and `max_tokens` exceed context limit: 3 + 2 > 4' },
      'context-too-long',
    ],
    [400, { type: 'invalid_request_error', message: 'You have reached your specified API usage limits.' }, 'billing'],
    [402, { type: 'billing_error', message: 'pay' }, 'billing'],
    [403, { type: 'permission_error', message: 'not yours' }, 'auth'],
    [413, { type: 'request_too_large', message: 'too large' }, 'context-too-long'],
    [
      429,
      { type: 'rate_limit_error', message: 'm', details: { error_code: 'enforced_spend_limit_reached' } },
      'billing',
    ],
    [500, {}, 'server'],
    [502, {}, 'server'],
    [503, {}, 'overload'],
    [408, {}, 'timeout'],
    [422, {}, 'bad-request'],
    [401, {}, 'auth'],
  ])('with status %i and %j is %s', async (status, error, failure) => {
    expect(await failed(refuse(status, error))).toMatchObject({ failure, status })
  })

  it('names the tool that was refused, and why', async () => {
    const message = 'tools.1.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12'
    const tools = ['find_city', 'book_room'].map((name) => ({ name, description: '', parameters: { type: 'object' } }))
    const error = await failed(refuse(400, { type: 'invalid_request_error', message }), { ...request, tools })
    expect(error).toMatchObject({ failure: 'bad-request' })
    expect(error.message).toBe(`the tool "book_room" was refused: ${message}`)
  })

  it('names the model that does not exist', async () => {
    const error = await failed(refuse(404, { type: 'not_found_error', message: 'model: claude-none' }))
    expect(error).toMatchObject({ failure: 'bad-request', message: expect.stringContaining('claude-none') })
  })

  it('never quotes the key or the headers, wherever the server puts them', async () => {
    const other = { 'x-key': 'my-other-secret' }
    const error = await failed(
      refuse(401, { type: secret, message: `Bearer ${secret} and my-other-secret are wrong` }),
      request,
      { headers: other },
    )
    expect(error).toMatchObject({ failure: 'auth', message: expect.stringContaining('[hidden]') })
    for (const shown of [error.message, String(error.stack), String(error.cause), JSON.stringify(error)]) {
      expect(shown).not.toContain(secret)
      expect(shown).not.toContain('my-other-secret')
    }
  })

  it.each([200, 404, 502])('of a proxy that answers %i with a page quotes it in part only', async (status) => {
    const page: Answer = (response) =>
      void response.writeHead(status, { 'content-type': 'text/html' }).end(`<html>${'x'.repeat(100_000)}`)
    const error = await failed(page)
    expect(error).toMatchObject({ failure: { 200: 'malformed', 404: 'bad-request', 502: 'server' }[status] })
    expect(error.message.length).toBeLessThan(500)
  })

  it('of the function that fetches the key is one of credentials', async () => {
    const apiKey = async (): Promise<string> => {
      throw new Error('vault is locked')
    }
    expect(await failed(hello, request, { apiKey })).toMatchObject({ failure: 'auth' })
    const error = await failed(hello, request, { apiKey: async () => `${secret}\n` })
    expect(error).toMatchObject({ failure: 'auth', message: expect.not.stringContaining(secret) })
  })

  it('of an address where nothing is found is one of the network', async () => {
    const provider = anthropic({ baseURL: 'http://keelson.invalid', apiKey: secret })
    await expect(readAll(provider, request)).rejects.toMatchObject({ failure: 'network' })
  })

  it('says how to install the package when it is missing', async () => {
    const missing = Object.assign(new Error("Cannot find package '@anthropic-ai/sdk' imported from /app/x.js"), {
      code: 'ERR_MODULE_NOT_FOUND',
    })
    await expect(loadSdk(() => Promise.reject(missing))).rejects.toMatchObject({
      code: 'PROVIDER_PACKAGE_MISSING',
      message: expect.stringContaining('npm install @anthropic-ai/sdk'),
    })
    const inside = Object.assign(new Error("Cannot find package 'other'"), { code: 'ERR_MODULE_NOT_FOUND' })
    await expect(loadSdk(() => Promise.reject(inside))).rejects.toBe(inside)
  })
})

describe('the options', () => {
  it.each<[AnthropicOptions]>([
    [{}],
    [{ apiKey: secret, id: '' }],
    [{ apiKey: secret, id: 'a/b' }],
    [{ apiKey: secret, baseURL: 'not a url' }],
    [{ apiKey: secret, baseURL: 'ftp://example.test' }],
    [{ apiKey: secret, cache: '2d' as never }],
    [{ baseURL: `https://user:${secret}@example.test` }],
    [{ apiKey: '' }],
    [{ apiKey: `${secret}\n` }],
    [{ apiKey: secret, thinking: { budgetTokens: 100 } }],
    [{ apiKey: secret, thinking: { budgetTokens: Number.NaN } }],
  ])('%j are refused, without quoting a secret', (options) => {
    expect(() => anthropic(options)).toThrow(
      expect.objectContaining({ code: 'PROVIDER_OPTIONS_INVALID', message: expect.not.stringContaining(secret) }),
    )
  })
})
