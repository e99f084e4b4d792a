import { describe, expect, it, vi } from 'vitest'
import { describeProvider } from '../../../conformance/src/provider.ts'
import type { ModelPart, ModelRequest, Provider } from '../../src/capabilities/models/index.ts'
import { loadSdk } from '../../src/providers/openai-compatible/client.ts'
import { type OpenAICompatibleOptions, openaiCompatible } from '../../src/providers/openai-compatible.ts'
import { chatUsage, chatWire, chunk, done, type HandMade, handMade, secret, stream } from './fake-openai.ts'

describeProvider('openai-compatible', {
  model: 'gpt-kit',
  secret,
  provider: (origin) => openaiCompatible({ baseURL: `${origin}/v1`, apiKey: secret }),
  wire: chatWire,
  reasoning: 'text',
  images: 'data',
  output: true,
  aimock: {},
})

describeProvider('openai-compatible, as OpenRouter', {
  model: 'kit/model',
  secret,
  provider: (origin) => openaiCompatible({ server: 'openrouter', baseURL: `${origin}/api/v1`, apiKey: secret }),
  wire: chatWire,
  reasoning: 'text',
  images: 'data-and-url',
  output: true,
  aimock: { usage: chatUsage },
})

const request: ModelRequest = {
  instructions: 'be brief',
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'hi' }] }],
  tools: [],
  maxOutputTokens: 50,
}

const never = new AbortController().signal

async function ask(provider: Provider, asked = request, signal = never): Promise<ModelPart[]> {
  const parts: ModelPart[] = []
  for await (const part of provider.stream('m', asked, signal)) parts.push(part)
  return parts
}

async function against(
  answer: Parameters<typeof handMade>[0],
  run: (server: HandMade) => Promise<void>,
): Promise<void> {
  const server = await handMade(answer)
  try {
    await run(server)
  } finally {
    await server.close()
  }
}

const saying =
  (...pieces: readonly string[]): Parameters<typeof handMade>[0] =>
  (response) => {
    stream(response)
    for (const piece of pieces) response.write(piece)
    response.end()
  }

describe('what is sent', () => {
  const sent = async (options: OpenAICompatibleOptions, asked = request) => {
    let got: HandMade['requests'] = []
    await against(saying(chunk({ content: 'x' }), done('stop')), async (server) => {
      await ask(openaiCompatible({ baseURL: server.url, apiKey: secret, ...options }), asked)
      got = server.requests
    })
    const [first] = got
    if (!first) throw new Error('nothing was sent')
    return first
  }

  it('is a streamed chat completion with usage and no empty list of tools', async () => {
    expect((await sent({})).body).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'hi' },
      ],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 50,
    })
  })

  it('follows the quirks of the server', async () => {
    const quirks = {
      maxTokensField: 'max_completion_tokens',
      systemRole: 'developer',
      usage: 'none',
      extraBody: { route: 'fast' },
    } as const
    expect((await sent({ quirks }, { ...request, temperature: 0 })).body).toEqual({
      model: 'm',
      messages: [
        { role: 'developer', content: 'be brief' },
        { role: 'user', content: 'hi' },
      ],
      stream: true,
      max_completion_tokens: 50,
      temperature: 0,
      route: 'fast',
    })
  })

  it('names the limit as OpenAI itself wants it there', async () => {
    const bodies: unknown[] = []
    const fetch = async (_url: unknown, init?: RequestInit) => {
      bodies.push(JSON.parse(String(init?.body)))
      return new Response(chunk({}) + done('stop'), { headers: { 'content-type': 'text/event-stream' } })
    }
    await ask(openaiCompatible({ apiKey: secret, fetch }))
    expect(bodies[0]).toMatchObject({ max_completion_tokens: 50 })
    expect(bodies[0]).not.toHaveProperty('max_tokens')
  })

  it('holds the key, and the headers of the host', async () => {
    const { headers } = await sent({ headers: { 'x-title': 'my app' } })
    expect(headers).toMatchObject({ authorization: `Bearer ${secret}`, 'x-title': 'my app' })
  })

  it('holds the key that a function fetches', async () => {
    expect((await sent({ apiKey: async () => 'fetched-key' })).headers.authorization).toBe('Bearer fetched-key')
  })

  it('takes nothing from the environment', async () => {
    vi.stubEnv('OPENAI_API_KEY', 'sk-from-environment')
    vi.stubEnv('OPENAI_ADMIN_KEY', 'sk-from-environment')
    vi.stubEnv('OPENAI_ORG_ID', 'org-from-environment')
    vi.stubEnv('OPENAI_PROJECT_ID', 'project-from-environment')
    vi.stubEnv('OPENAI_BASE_URL', 'http://127.0.0.1:9/v1')
    await against(saying(chunk({}), done('stop')), async (server) => {
      await ask(openaiCompatible({ baseURL: server.url, local: true }))
      expect(server.requests).toHaveLength(1)
      expect(server.requests[0]?.headers).not.toHaveProperty('authorization')
      expect(JSON.stringify(server.requests)).not.toContain('from-environment')
    })
  })
})

describe('what comes back', () => {
  it('keeps reasoning apart from text, under either name', () =>
    against(
      saying(
        chunk({ role: 'assistant', content: '' }),
        chunk({ reasoning_content: 'hm' }),
        chunk({ reasoning: ' so' }),
        chunk({ reasoning: ' both', reasoning_content: ' both' }),
        chunk({ content: 'yes' }),
        done('stop'),
      ),
      async ({ url }) => {
        expect(await ask(openaiCompatible({ baseURL: url }))).toEqual([
          { type: 'reasoning', text: 'hm' },
          { type: 'reasoning', text: ' so' },
          { type: 'reasoning', text: ' both' },
          { type: 'text', text: 'yes' },
          { type: 'finish', reason: 'stop', usage: { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 } },
        ])
      },
    ))

  it('is read whole though characters and lines are torn apart on the way', () =>
    against(
      async (response) => {
        stream(response)
        for (const byte of Buffer.from(chunk({ content: 'Grüße 🎌' }) + done('stop'))) {
          response.write(Buffer.of(byte))
        }
        response.end()
      },
      async ({ url }) => {
        expect((await ask(openaiCompatible({ baseURL: url })))[0]).toEqual({ type: 'text', text: 'Grüße 🎌' })
      },
    ))

  it('ends as cut when it stops without a finish', () =>
    against(saying(chunk({ content: 'so far' })), async ({ url }) => {
      await expect(ask(openaiCompatible({ baseURL: url }))).rejects.toMatchObject({ failure: 'network' })
    }))

  it.each([
    ['nothing at all', ''],
    ['only a comment', ': hello\n\n'],
    ['a number', 'data: 7\n\n'],
    ['null', 'data: null\n\n'],
    ['choices that are none', 'data: {"choices":[null]}\n\n'],
    ['content that is no text', chunk({ content: { a: 1 } })],
    ['tool calls that are none', chunk({ tool_calls: ['x'] })],
    ['a tool call without a name', chunk({ tool_calls: [{ index: 0, function: { arguments: '{}' } }] }) + done('stop')],
  ])('is malformed when it holds %s', (_, text) =>
    against(saying(text), async ({ url }) => {
      await expect(ask(openaiCompatible({ baseURL: url }))).rejects.toMatchObject({ failure: 'malformed' })
    }),
  )

  it('is malformed when it is a whole JSON answer', () =>
    against(
      (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"choices":[]}'),
      async ({ url }) => {
        await expect(ask(openaiCompatible({ baseURL: url }))).rejects.toMatchObject({ failure: 'malformed' })
      },
    ))

  it('prints nothing, whatever comes', () =>
    against(saying('data: {"secret prompt\n\n'), async ({ url }) => {
      const printed = (['error', 'warn', 'log', 'info', 'debug'] as const).map((level) =>
        vi.spyOn(console, level).mockImplementation(() => undefined),
      )
      await expect(ask(openaiCompatible({ baseURL: url }))).rejects.toMatchObject({
        failure: 'malformed',
        message: expect.not.stringContaining('secret prompt'),
      })
      for (const spy of printed) expect(spy).not.toHaveBeenCalled()
    }))

  it('fails by the error that comes inside the stream', () =>
    against(
      saying(chunk({ content: 'a' }), 'data: {"error":{"code":502,"message":"upstream is gone"}}\n\n'),
      async ({ url }) => {
        await expect(ask(openaiCompatible({ baseURL: url }))).rejects.toMatchObject({ failure: 'server', status: 502 })
      },
    ))
})

describe('a failure', () => {
  it('never quotes the key or the headers, wherever the server puts them', () =>
    against(
      (response) => {
        response.writeHead(401, { 'content-type': 'application/json' })
        response.end(
          JSON.stringify({ error: { message: `Bearer ${secret} and my-other-secret are wrong`, code: secret } }),
        )
      },
      async ({ url }) => {
        const provider = openaiCompatible({ baseURL: url, apiKey: secret, headers: { 'x-key': 'my-other-secret' } })
        const error: unknown = await ask(provider).catch((caught: unknown) => caught)
        expect(error).toMatchObject({ failure: 'auth', status: 401 })
        const { message, stack, cause } = error as Error
        expect(message).toContain('[hidden]')
        for (const text of [message, String(stack), String(cause), JSON.stringify(error)]) {
          expect(text).not.toContain(secret)
          expect(text).not.toContain('my-other-secret')
        }
      },
    ))

  it('quotes a page of the server in part only', () =>
    against(
      (response) => void response.writeHead(502, { 'content-type': 'text/html' }).end(`<html>${'x'.repeat(100_000)}`),
      async ({ url }) => {
        const error: unknown = await ask(openaiCompatible({ baseURL: url })).catch((caught: unknown) => caught)
        expect(error).toMatchObject({ failure: 'server', status: 502 })
        expect((error as Error).message.length).toBeLessThan(500)
      },
    ))

  it('of the function that fetches the key is one of credentials', async () => {
    const apiKey = async (): Promise<string> => {
      throw new Error('vault is locked')
    }
    const provider = openaiCompatible({ baseURL: 'http://127.0.0.1:9/v1', apiKey })
    await expect(ask(provider)).rejects.toMatchObject({ failure: 'auth' })
    const broken = openaiCompatible({ baseURL: 'http://127.0.0.1:9/v1', apiKey: async () => `${secret}\n` })
    await expect(ask(broken)).rejects.toMatchObject({ failure: 'auth', message: expect.not.stringContaining(secret) })
  })

  it('says how to install the package when it is missing', async () => {
    const missing = Object.assign(new Error("Cannot find package 'openai' imported from /app/x.js"), {
      code: 'ERR_MODULE_NOT_FOUND',
    })
    await expect(loadSdk(() => Promise.reject(missing))).rejects.toMatchObject({
      code: 'PROVIDER_PACKAGE_MISSING',
      message: expect.stringContaining('npm install openai'),
    })
    const inside = Object.assign(new Error("Cannot find package 'other'"), { code: 'ERR_MODULE_NOT_FOUND' })
    await expect(loadSdk(() => Promise.reject(inside))).rejects.toBe(inside)
  })

  it('comes at once on abort even if a custom fetch ignores the signal', async () => {
    const controller = new AbortController()
    const called = Promise.withResolvers<void>()
    const fetch = () => {
      called.resolve()
      return new Promise<Response>(() => undefined)
    }
    const running = ask(openaiCompatible({ baseURL: 'http://127.0.0.1:9/v1', fetch }), request, controller.signal)
    await called.promise
    controller.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })
})

describe('the options', () => {
  it.each<[OpenAICompatibleOptions]>([
    [{ id: '' }],
    [{ id: 'a/b' }],
    [{ baseURL: 'not a url' }],
    [{ baseURL: 'ftp://example.test' }],
    [{ baseURL: `https://user:${secret}@example.test/v1` }],
    [{ apiKey: '' }],
    [{ apiKey: `${secret}\n` }],
    [{ apiKey: `${secret}’` }],
  ])('%j are refused, without quoting a secret', (options) => {
    expect(() => openaiCompatible(options)).toThrow(
      expect.objectContaining({ code: 'PROVIDER_OPTIONS_INVALID', message: expect.not.stringContaining(secret) }),
    )
  })

  it('are what the provider says of itself', () => {
    const models = [{ name: 'small', contextTokens: 1000 }]
    expect(openaiCompatible({ id: 'ollama', local: true, models })).toMatchObject({ id: 'ollama', local: true, models })
    expect(openaiCompatible().id).toBe('openai')
  })
})
