import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { ModelPart, ModelRequest, Provider } from '../../src/capabilities/models/index.ts'
import { openai } from '../../src/providers/openai.ts'
import { type OpenAICompatibleOptions, openaiCompatible } from '../../src/providers/openai-compatible.ts'
import { chunk, done, handMade, secret, stream } from './fake-openai.ts'

const request: ModelRequest = {
  instructions: 'be brief',
  messages: [
    { role: 'user', parts: [{ type: 'text', text: 'hi' }] },
    {
      role: 'assistant',
      parts: [
        { type: 'reasoning', text: 'hm' },
        { type: 'text', text: 'ho' },
      ],
    },
    { role: 'user', parts: [{ type: 'text', text: 'so' }] },
  ],
  tools: [],
  maxOutputTokens: 50,
}
const never = new AbortController().signal

async function ask(provider: Provider, asked = request): Promise<ModelPart[]> {
  const parts: ModelPart[] = []
  for await (const part of provider.stream('m', asked, never)) parts.push(part)
  return parts
}

async function sent(options: OpenAICompatibleOptions, asked = request): Promise<unknown> {
  const server = await handMade((response) => void stream(response).end(chunk({}) + done('stop')))
  try {
    await ask(openaiCompatible({ ...options, baseURL: server.url }), asked)
    return server.requests[0]?.body
  } finally {
    await server.close()
  }
}

async function heard(options: OpenAICompatibleOptions, body: string): Promise<ModelPart[]> {
  const server = await handMade((response) => void stream(response).end(body))
  try {
    return await ask(openaiCompatible({ ...options, baseURL: server.url }))
  } finally {
    await server.close()
  }
}

describe('a server known by its name', () => {
  it.each([
    ['ollama', { id: 'ollama', local: true }],
    ['vllm', { id: 'vllm', local: true }],
    ['lmstudio', { id: 'lmstudio', local: true }],
    ['litellm', { id: 'litellm', local: false }],
    ['openrouter', { id: 'openrouter', local: false }],
  ] as const)('%s is what it is called', (server, expected) => {
    expect(openaiCompatible({ server })).toMatchObject(expected)
  })

  it('may be called and placed otherwise', async () => {
    const urls: string[] = []
    const fetch = async (input: string | URL | Request) => {
      urls.push(String(input))
      return new Response(chunk({}) + done('stop'), { headers: { 'content-type': 'text/event-stream' } })
    }
    await ask(openaiCompatible({ server: 'ollama', fetch }))
    await ask(openaiCompatible({ server: 'ollama', id: 'gpu', baseURL: 'http://gpu:11434/v1', fetch }))
    expect(urls).toEqual(['http://127.0.0.1:11434/v1/chat/completions', 'http://gpu:11434/v1/chat/completions'])
  })

  it('that nobody knows is refused', () => {
    expect(() => openaiCompatible({ server: 'llamafile' as 'ollama' })).toThrow(/ollama, litellm, openrouter, vllm/)
  })

  it.each([
    ['ollama', { max_tokens: 50, stream_options: { include_usage: true } }],
    ['vllm', { max_completion_tokens: 50, stream_options: { include_usage: true } }],
    ['lmstudio', { max_tokens: 50 }],
    ['openrouter', { max_tokens: 50, usage: { include: true } }],
  ] as const)('%s is asked in its own way', async (server, expected) => {
    expect(await sent({ server })).toMatchObject(expected)
  })

  it('is given earlier thoughts only where it wants them', async () => {
    expect(JSON.stringify(await sent({ server: 'openrouter' }))).toContain('"reasoning":"hm"')
    for (const server of ['ollama', 'vllm', 'lmstudio', 'litellm'] as const) {
      expect(JSON.stringify(await sent({ server }))).not.toContain('hm')
    }
  })

  it('that knows no schema is sent none', async () => {
    const asked = { ...request, output: { name: 'a', schema: { type: 'object' } } }
    expect(await sent({ quirks: { structuredOutput: false } }, asked)).not.toHaveProperty('response_format')
    expect(await sent({ server: 'lmstudio' }, asked)).toMatchObject({ response_format: { type: 'json_schema' } })
  })

  it('is asked for one call at a time only when the host says so', async () => {
    const asked = { ...request, tools: [{ name: 'one', description: '', parameters: { type: 'object' } }] }
    expect(await sent({ server: 'ollama' }, asked)).not.toHaveProperty('parallel_tool_calls')
    const quirks = { parallelToolCalls: false }
    expect(await sent({ server: 'vllm', quirks }, asked)).toMatchObject({ parallel_tool_calls: false })
    expect(await sent({ server: 'vllm', quirks })).not.toHaveProperty('parallel_tool_calls')
  })

  it('beside which private addresses lie is given images as bytes alone', async () => {
    const parts = [{ type: 'image', url: 'https://example.com/a.png' }] as const
    await expect(sent({ server: 'ollama' }, { ...request, messages: [{ role: 'user', parts }] })).rejects.toMatchObject(
      {
        failure: 'bad-request',
        message: expect.stringContaining('bytes only'),
      },
    )
  })

  it('may think under a name of its own', async () => {
    const body = chunk({ thinking: 'hm', reasoning: 'not this' }) + chunk({ content: 'x' }) + done('stop')
    const parts = await heard({ quirks: { reasoningFields: ['thinking', 'reasoning'] } }, body)
    expect(parts[0]).toEqual({ type: 'reasoning', text: 'hm' })
  })

  it('may make calls without ids, with whole arguments at once, or as an object', async () => {
    const call = (args: unknown) => ({ function: { name: 'one', arguments: args } })
    const parts = await heard(
      { server: 'ollama' },
      chunk({ tool_calls: [call('{"a":1}'), call({ a: 2 })] }) + done('stop'),
    )
    expect(parts).toMatchObject([
      { type: 'tool-call', tool: 'one', arguments: '{"a":1}' },
      { type: 'tool-call', tool: 'one', arguments: '{"a":2}' },
      { type: 'finish', reason: 'tool-calls' },
    ])
    const ids = parts.flatMap((part) => (part.type === 'tool-call' ? [part.call] : []))
    expect(new Set(ids).size).toBe(2)
    expect(ids).not.toContain('')
  })

  it.each<[number, unknown, string, string]>([
    [404, { error: "model 'none' not found" }, 'bad-request', "'none' not found"],
    [404, { object: 'error', message: 'The model `none` does not exist.', code: 404 }, 'bad-request', 'does not exist'],
    [
      400,
      { error: { message: 'litellm.ContextWindowExceededError: too big', code: '400' } },
      'context-too-long',
      'too big',
    ],
    [402, { error: { message: 'Insufficient credits', code: 402 } }, 'billing', 'credits'],
    [403, { error: { message: 'Input was flagged', code: 403, metadata: {} } }, 'content-refused', 'flagged'],
    [429, { error: { message: 'Budget', type: 'budget_exceeded' } }, 'billing', 'Budget'],
    [422, { detail: [{ msg: 'field required' }] }, 'bad-request', 'field required'],
  ])('says why it refuses, in a body of its own: %s %j', async (status, body, failure, words) => {
    const server = await handMade(
      (response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
    )
    await expect(ask(openaiCompatible({ baseURL: server.url }))).rejects.toMatchObject({
      failure,
      message: expect.stringContaining(words),
    })
    await server.close()
  })
})

/** A server that answers each path with what is given for it. */
async function serving(
  answers: Readonly<Record<string, (body: Buffer, request: IncomingMessage) => unknown>>,
): Promise<{ readonly origin: string; readonly asked: readonly string[]; close(): void }> {
  const asked: string[] = []
  const server = createServer(async (got, response) => {
    const pieces: Buffer[] = []
    for await (const piece of got) pieces.push(piece as Buffer)
    const key = `${got.method} ${got.url}`
    asked.push(key)
    const answer = answers[key]?.(Buffer.concat(pieces), got)
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer ?? { error: { message: 'no such path' } }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { origin: `http://127.0.0.1:${port}`, asked, close: () => void server.close().closeAllConnections() }
}

describe('the models of a server', () => {
  it('are those of its list', async () => {
    const server = await serving({ 'GET /v1/models': () => ({ object: 'list', data: [{ id: 'a' }, { id: 'b' }, {}] }) })
    const provider = openai({ baseURL: `${server.origin}/v1`, apiKey: secret })
    expect(await provider.discover?.(never)).toEqual([{ name: 'a' }, { name: 'b' }])
    server.close()
  })

  it('come with what OpenRouter and vLLM say of them', async () => {
    const data = [
      {
        id: 'v/big',
        context_length: 200_000,
        top_provider: { max_completion_tokens: 8_000 },
        architecture: { input_modalities: ['text', 'image'] },
        supported_parameters: ['tools', 'structured_outputs'],
        pricing: { prompt: '0.00000125', completion: '0.00001', input_cache_read: '0.000000125' },
      },
      { id: 'auto', pricing: { prompt: '-1', completion: '-1' } },
      { id: 'served', max_model_len: 32_768 },
    ]
    const server = await serving({ 'GET /api/v1/models': () => ({ data }) })
    const provider = openaiCompatible({ server: 'openrouter', baseURL: `${server.origin}/api/v1` })
    expect(await provider.discover?.(never)).toEqual([
      {
        name: 'v/big',
        contextTokens: 200_000,
        maxOutputTokens: 8_000,
        vision: true,
        tools: true,
        structuredOutput: true,
        price: { input: 1_250_000, output: 10_000_000, cacheRead: 125_000 },
      },
      { name: 'auto' },
      { name: 'served', contextTokens: 32_768 },
    ])
    server.close()
  })

  it('of Ollama are asked one by one what they can do', async () => {
    const server = await serving({
      'GET /api/tags': () => ({ models: [{ name: 'eye:7b', model: 'eye:7b' }, { name: 'odd' }] }),
      'POST /api/show': (body) =>
        JSON.parse(String(body)).model === 'eye:7b'
          ? { capabilities: ['completion', 'vision'], model_info: { 'llama.context_length': 8_192 } }
          : undefined,
    })
    const provider = openaiCompatible({ server: 'ollama', baseURL: `${server.origin}/v1` })
    expect(await provider.discover?.(never)).toEqual([
      { name: 'eye:7b', contextTokens: 8_192, tools: false, vision: true },
      { name: 'odd' },
    ])
    server.close()
  })

  it('are no list when the answer is none', async () => {
    const server = await serving({ 'GET /v1/models': () => ({ data: 'many' }) })
    const provider = openaiCompatible({ baseURL: `${server.origin}/v1` })
    await expect(provider.discover?.(never)).rejects.toMatchObject({ failure: 'malformed' })
    await expect(provider.discover?.(AbortSignal.abort(new Error('why')))).rejects.toThrow('why')
    server.close()
  })
})

describe('embeddings', () => {
  const embedding = (body: Buffer) => {
    const { input } = JSON.parse(String(body)) as { input: string[] }
    const data = input.map((text, index) => ({ index, embedding: [Number(text.split(' ')[0]), 0.5] })).reverse()
    return { data, usage: { prompt_tokens: input.length } }
  }

  it('keep the order of the texts, however many batches they take', async () => {
    const server = await serving({ 'POST /v1/embeddings': embedding })
    const provider = openai({ baseURL: `${server.origin}/v1`, apiKey: secret })
    const inputs = Array.from({ length: 5_000 }, (_, index) => `${index} text`)
    const { tokens, vectors } = await provider.embed('small', { inputs }, never)
    expect(vectors).toHaveLength(5_000)
    expect(vectors.every(([first, second], index) => first === index && second === 0.5)).toBe(true)
    expect(tokens).toBe(5_000)
    expect(server.asked).toHaveLength(3)
    server.close()
  })

  it('are sent in smaller batches when the texts are long', async () => {
    const server = await serving({ 'POST /v1/embeddings': embedding })
    const provider = openai({ baseURL: `${server.origin}/v1`, apiKey: secret })
    const inputs = ['1', '2', '3'].map((number) => `${number} ${'x'.repeat(250_000)}`)
    expect((await provider.embed('small', { inputs }, never)).vectors).toEqual([
      [1, 0.5],
      [2, 0.5],
      [3, 0.5],
    ])
    expect(server.asked).toHaveLength(2)
    server.close()
  })

  it.each([
    ['too few', { data: [{ index: 0, embedding: [1] }] }],
    ['none', {}],
    [
      'no numbers',
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 1, embedding: ['x'] },
        ],
      },
    ],
    [
      'one twice',
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 0, embedding: [2] },
        ],
      },
    ],
  ])('are malformed when there are %s', async (_, answer) => {
    const server = await serving({ 'POST /v1/embeddings': () => answer })
    const provider = openai({ baseURL: `${server.origin}/v1`, apiKey: secret })
    await expect(provider.embed('small', { inputs: ['1', '2'] }, never)).rejects.toMatchObject({ failure: 'malformed' })
    server.close()
  })

  it('fail by their class, and stop when they are aborted', async () => {
    const server = await serving({})
    const provider = openai({ baseURL: `${server.origin}/v1`, apiKey: secret })
    await expect(provider.embed('none', { inputs: ['1'] }, never)).rejects.toMatchObject({ failure: 'bad-request' })
    const silent = await handMade(() => {})
    const controller = new AbortController()
    const running = openai({ baseURL: silent.url, apiKey: secret }).embed('m', { inputs: ['1'] }, controller.signal)
    await expect.poll(() => silent.requests.length).toBe(1)
    controller.abort(new Error('why'))
    await expect(running).rejects.toThrow('why')
    await silent.left
    await silent.close()
    server.close()
  })
})

describe('transcripts', () => {
  const audio = new TextEncoder().encode('RIFF')

  it('are of the file that was given', async () => {
    const forms: string[] = []
    const server = await serving({
      'POST /v1/audio/transcriptions': (body, got) => {
        forms.push(`${got.headers['content-type']} ${body}`)
        return { text: 'hello', usage: { type: 'tokens', input_tokens: 14, output_tokens: 2 } }
      },
    })
    const provider = openai({ baseURL: `${server.origin}/v1`, apiKey: secret })
    const asked = { audio, mediaType: 'audio/webm;codecs=opus', language: 'en', prompt: 'greetings' }
    expect(await provider.transcribe('hear', asked, never)).toEqual({
      text: 'hello',
      tokens: { input: 14, output: 2 },
      seconds: null,
    })
    for (const words of ['multipart/form-data', 'audio.webm', 'RIFF', 'hear', 'greetings', 'audio/webm;codecs=opus']) {
      expect(forms[0], words).toContain(words)
    }
    server.close()
  })

  it('are counted by time where the vendor does', async () => {
    const server = await serving({
      'POST /v1/audio/transcriptions': () => ({ text: '', usage: { type: 'duration', seconds: 3.5 } }),
    })
    const provider = openai({ baseURL: `${server.origin}/v1`, apiKey: secret })
    expect(await provider.transcribe('hear', { audio, mediaType: 'audio/wav' }, never)).toMatchObject({ seconds: 3.5 })
    server.close()
  })

  it('are refused for a type that the vendor does not know, and malformed without a text', async () => {
    const server = await serving({ 'POST /v1/audio/transcriptions': () => ({ words: [] }) })
    const provider = openai({ baseURL: `${server.origin}/v1`, apiKey: secret })
    const refused = provider.transcribe('hear', { audio, mediaType: 'audio/midi' }, never)
    await expect(refused).rejects.toMatchObject({
      failure: 'bad-request',
      message: expect.stringContaining('audio/midi'),
    })
    const answered = provider.transcribe('hear', { audio, mediaType: 'audio/wav' }, never)
    await expect(answered).rejects.toMatchObject({ failure: 'malformed' })
    server.close()
  })
})
