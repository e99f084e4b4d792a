import { describe, expect, it, vi } from 'vitest'
import type { ModelMessage, ModelPart, ModelRequest, Provider } from '../../src/capabilities/models/index.ts'
import { type OpenAIOptions, openai } from '../../src/providers/openai.ts'
import { chunk, done, event, type HandMade, handMade, secret, stream } from './fake-openai.ts'

const request: ModelRequest = {
  instructions: 'be brief',
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'hi' }] }],
  tools: [],
  maxOutputTokens: 50,
}
const never = new AbortController().signal

async function ask(provider: Provider, asked = request, model = 'gpt-5-mini'): Promise<ModelPart[]> {
  const parts: ModelPart[] = []
  for await (const part of provider.stream(model, asked, never)) parts.push(part)
  return parts
}

const completed = (more: object = {}): string =>
  event('response.completed', { response: { status: 'completed', usage: null, ...more } })

async function against<T>(body: string, run: (server: HandMade) => Promise<T>): Promise<T> {
  const server = await handMade((response) => void stream(response).end(body))
  try {
    return await run(server)
  } finally {
    await server.close()
  }
}

const at = (server: HandMade, options: OpenAIOptions = {}) =>
  openai({ baseURL: server.url, apiKey: secret, ...options })

const sent = (asked: ModelRequest, options: OpenAIOptions = {}, model = 'gpt-5-mini') =>
  against(options.api === 'chat' ? chunk({}) + done('stop') : completed(), async (server) => {
    await ask(at(server, options), asked, model)
    const [first] = server.requests
    if (!first) throw new Error('nothing was sent')
    return first
  })

const heard = (...events: readonly string[]) => against(events.join(''), (server) => ask(at(server)))

const strictSchema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
} as const
const looseSchema = { type: 'object', properties: { city: { type: 'string' } } } as const

describe('a request to the Responses API', () => {
  it('leaves nothing with the vendor, and asks for thoughts in a form that can go back', async () => {
    expect((await sent(request)).body).toEqual({
      model: 'gpt-5-mini',
      instructions: 'be brief',
      input: [{ role: 'user', content: 'hi' }],
      stream: true,
      store: false,
      include: ['reasoning.encrypted_content'],
      max_output_tokens: 50,
    })
  })

  it('asks a model that does not reason for no thoughts, and gives it the temperature', async () => {
    const body = (await sent({ ...request, temperature: 0.2 }, { reasoning: { summary: 'auto' } }, 'gpt-4.1')).body
    expect(body).toMatchObject({ temperature: 0.2 })
    expect(body).not.toHaveProperty('include')
    expect(body).not.toHaveProperty('reasoning')
  })

  it('asks a reasoning model as the options say, without a temperature', async () => {
    const reasoning = { effort: 'low', summary: 'auto' } as const
    const body = (await sent({ ...request, temperature: 0.2 }, { reasoning })).body
    expect(body).toMatchObject({ reasoning })
    expect(body).not.toHaveProperty('temperature')
  })

  it('describes tools as strict only where their schema is', async () => {
    const tools = [
      { name: 'loose', description: 'l', parameters: looseSchema },
      { name: 'strict', description: 's', parameters: strictSchema },
      { name: 'bare', description: 'b', parameters: { type: 'object' } },
    ]
    const body = (await sent({ ...request, tools }, { parallelToolCalls: false })).body
    expect(body).toMatchObject({
      parallel_tool_calls: false,
      tools: [
        { type: 'function', name: 'loose', description: 'l', strict: false, parameters: looseSchema },
        { name: 'strict', strict: true, parameters: strictSchema },
        { name: 'bare', strict: false, parameters: { type: 'object', properties: {} } },
      ],
    })
  })

  it.each([
    [strictSchema, true],
    [looseSchema, false],
    [{ ...strictSchema, required: [] }, false],
    [{ ...strictSchema, allOf: [] }, false],
    [{ ...strictSchema, properties: { city: looseSchema } }, false],
    [{ ...strictSchema, properties: { city: { type: 'array', items: strictSchema } } }, true],
    [{ ...strictSchema, properties: { city: { anyOf: [strictSchema, { type: 'null' }] } } }, true],
    [{ ...strictSchema, properties: { city: { type: 'string', minLength: 1 } } }, false],
    [{ type: 'array', items: { type: 'string' } }, false],
  ])('asks for JSON of the schema %#', async (schema, strict) => {
    const output = { name: 'the answer!', schema }
    const format = { type: 'json_schema', name: 'the_answer_', schema, strict }
    expect((await sent({ ...request, output })).body).toMatchObject({ text: { format } })
    const { type, ...json_schema } = format
    expect((await sent({ ...request, output }, { api: 'chat' })).body).toMatchObject({
      response_format: { type, json_schema },
    })
  })

  it('names organisation and project, and holds the fields of the host', async () => {
    const options = { organization: 'org-1', project: 'proj-1', extraBody: { service_tier: 'flex' } }
    const got = await sent(request, options)
    expect(got.headers).toMatchObject({ 'openai-organization': 'org-1', 'openai-project': 'proj-1' })
    expect(got.body).toMatchObject({ service_tier: 'flex' })
  })
})

describe('thoughts', () => {
  const answered: ModelMessage = {
    role: 'assistant',
    parts: [
      {
        type: 'reasoning',
        text: 'hm',
        state: { provider: 'openai', model: 'gpt-5-mini', item: 'rs_1', encrypted: 'abc' },
      },
      { type: 'tool-call', call: 'c1', tool: 'one', arguments: '{}' },
    ],
  }
  const result: ModelMessage = {
    role: 'tool',
    parts: [{ type: 'tool-result', call: 'c1', tool: 'one', output: 'fine' }],
  }
  const history = { ...request, messages: [...request.messages, answered, result] }
  const inputOf = async (asked: ModelRequest, options: OpenAIOptions = {}, model?: string) =>
    ((await sent(asked, options, model)).body as { input: readonly object[] }).input

  it('go back before the calls they led to', async () => {
    expect(await inputOf(history)).toEqual([
      { role: 'user', content: 'hi' },
      { type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: 'hm' }], encrypted_content: 'abc' },
      { type: 'function_call', call_id: 'c1', name: 'one', arguments: '{}' },
      { type: 'function_call_output', call_id: 'c1', output: 'fine' },
    ])
  })

  it('stay away from another model, and from another provider', async () => {
    expect(JSON.stringify(await inputOf(history, {}, 'gpt-5'))).not.toContain('abc')
    expect(JSON.stringify(await inputOf(history, { id: 'azure' }))).not.toContain('abc')
  })

  it('that led to nothing stay away', async () => {
    const [thought] = answered.parts
    const messages = [...request.messages, { role: 'assistant', parts: thought ? [thought] : [] }] as const
    expect(await inputOf({ ...request, messages })).toEqual([{ role: 'user', content: 'hi' }])
  })

  it('come in paragraphs, and end with what is needed back', async () => {
    const at = { item_id: 'rs_1', output_index: 0 }
    const parts = await heard(
      event('response.reasoning_summary_part.added', { ...at, summary_index: 0 }),
      event('response.reasoning_summary_text.delta', { ...at, summary_index: 0, delta: 'First.' }),
      event('response.reasoning_summary_part.added', { ...at, summary_index: 1 }),
      event('response.reasoning_summary_text.delta', { ...at, summary_index: 1, delta: 'Second.' }),
      event('response.output_item.done', {
        output_index: 0,
        item: { type: 'reasoning', id: 'rs_1', summary: [{ text: 'ignored' }], encrypted_content: 'abc' },
      }),
      completed(),
    )
    expect(parts.slice(0, -1)).toEqual([
      { type: 'reasoning', text: 'First.' },
      { type: 'reasoning', text: '\n\n' },
      { type: 'reasoning', text: 'Second.' },
      {
        type: 'reasoning',
        text: '',
        state: { provider: 'openai', model: 'gpt-5-mini', item: 'rs_1', encrypted: 'abc' },
      },
    ])
  })
})

describe('an answer of the Responses API', () => {
  const text = (delta: string) => event('response.output_text.delta', { output_index: 0, delta })
  const item = (fields: object) => event('response.output_item.done', { output_index: 0, item: fields })

  it('may come whole, without pieces', async () => {
    const message = { type: 'message', content: [{ type: 'output_text', text: 'whole' }] }
    expect(await heard(item(message), completed())).toMatchObject([{ type: 'text', text: 'whole' }, { reason: 'stop' }])
  })

  it('says what the model says when it refuses, and that it did', async () => {
    const refusal = event('response.refusal.delta', { output_index: 0, delta: 'I cannot.' })
    expect(await heard(refusal, completed())).toMatchObject([
      { type: 'text', text: 'I cannot.' },
      { reason: 'content-filter' },
    ])
  })

  it.each([
    ['max_output_tokens', 'length'],
    ['content_filter', 'content-filter'],
    ['steered', 'other'],
    [undefined, 'other'],
  ])('that is incomplete because of %s says so', async (why, reason) => {
    const response = { status: 'incomplete', incomplete_details: { reason: why }, usage: null }
    expect(await heard(text('so'), event('response.incomplete', { response }))).toMatchObject([{}, { reason }])
  })

  it('passes over events and items that it does not know', async () => {
    const parts = await heard(
      event('response.brand_new', { anything: 1 }),
      item({ type: 'web_search_call' }),
      text('x'),
      completed(),
    )
    expect(parts).toMatchObject([{ text: 'x' }, { reason: 'stop' }])
  })

  it.each([
    ['a number', 'data: 7\n\n'],
    ['text that is none', event('response.output_text.delta', { delta: { a: 1 } })],
    ['an item that is none', event('response.output_item.done', { item: null })],
    ['a call without a name', item({ type: 'function_call', arguments: '{}' })],
    ['an end without a response', event('response.completed')],
    ['nothing at all', ''],
  ])('is malformed when it holds %s', async (_, body) => {
    await expect(heard(body)).rejects.toMatchObject({ failure: 'malformed' })
  })

  it.each([
    [event('response.failed', { response: { error: { code: 'rate_limit_exceeded', message: 'm' } } }), 'rate-limit'],
    [event('response.failed', { response: { error: { code: 'bio_policy', message: 'm' } } }), 'content-refused'],
    [event('response.failed', { response: { error: { code: 'image_too_large', message: 'm' } } }), 'bad-request'],
    [event('response.failed', { response: {} }), 'server'],
    [event('error', { code: null, message: "exceeds this model's maximum context length" }), 'context-too-long'],
  ])('fails inside the stream %#', async (body, failure) => {
    await expect(heard(body)).rejects.toMatchObject({ failure })
  })
})

describe('what is asked wrongly', () => {
  const refusing = async (status: number, error: object, asked = request) => {
    const server = await handMade(
      (response) =>
        void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error })),
    )
    try {
      return await ask(at(server), asked).catch((thrown) => thrown)
    } finally {
      await server.close()
    }
  }
  const tools = ['first', 'second'].map((name) => ({ name, description: '', parameters: looseSchema }))

  it('names the tool whose schema is refused, and why', async () => {
    const message = "Invalid schema: 'city' is not of type 'object'"
    const error = { message, type: 'invalid_request_error', param: 'tools[1].parameters', code: 'invalid_schema' }
    expect(await refusing(400, error, { ...request, tools })).toMatchObject({
      failure: 'bad-request',
      message: expect.stringMatching(/tool "second" was refused: .*'city' is not of type 'object'/),
    })
  })

  it('calls a model that does not exist by its name', async () => {
    const message = "The model 'gpt-none' does not exist"
    expect(await refusing(404, { message, code: 'model_not_found' })).toMatchObject({
      failure: 'bad-request',
      message: expect.stringContaining('gpt-none'),
    })
  })

  it('does not repeat a wrong key', async () => {
    const message = `Incorrect API key provided: ${secret}`
    const failure = await refusing(401, { message, code: 'invalid_api_key' })
    expect(failure).toMatchObject({ failure: 'auth', message: expect.not.stringContaining(secret) })
  })

  it.each<[OpenAIOptions, string]>([
    [{}, 'apiKey is needed'],
    [{ apiKey: '' }, 'apiKey is empty'],
    [{ apiKey: secret, baseURL: 'api.openai.com' }, 'baseURL'],
    [{ apiKey: secret, baseURL: `https://me:${secret}@x/` }, 'credentials'],
    [{ apiKey: secret, api: 'assistants' as 'chat' }, 'api is'],
    [{ apiKey: secret, id: 'a/b' }, 'id'],
  ])('refuses the options %#', (options, words) => {
    expect(() => openai(options)).toThrow(
      expect.objectContaining({ code: 'PROVIDER_OPTIONS_INVALID', message: expect.stringContaining(words) }),
    )
    expect(() => openai(options)).not.toThrow(secret)
  })

  it('needs no key for somebody else’s address', () => {
    expect(openai({ baseURL: 'http://127.0.0.1:1/v1' }).id).toBe('openai')
  })

  it.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate'],
    ['CERT_HAS_EXPIRED', 'certificate'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'TLS'],
    ['ENOTFOUND', 'ENOTFOUND'],
  ])('says what is wrong with the connection: %s', async (code, words) => {
    const cause = Object.assign(new Error('detail'), { code })
    const fetch = vi.fn(async () => Promise.reject(new TypeError('fetch failed', { cause })))
    await expect(ask(openai({ apiKey: secret, fetch }))).rejects.toMatchObject({
      failure: 'network',
      message: expect.stringContaining(words),
    })
    expect(fetch).toHaveBeenCalledTimes(1)
  })
})

describe('what is known of its models', () => {
  it('is shipped, and replaced and joined by what the host says', () => {
    const models = [{ name: 'gpt-5-mini', contextTokens: 1_000 }, { name: 'ft:mine' }]
    const known = new Map(openai({ apiKey: secret, models }).models?.map((info) => [info.name, info]))
    expect(known.get('gpt-4.1')).toMatchObject({ contextTokens: 1_047_576, vision: true })
    expect(known.get('gpt-5-mini')).toMatchObject({ contextTokens: 1_000, maxOutputTokens: 128_000 })
    expect(known.has('ft:mine')).toBe(true)
  })
})
