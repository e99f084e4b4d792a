import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import type {
  LanguageModelV2,
  LanguageModelV2StreamPart,
  LanguageModelV3StreamPart,
  LanguageModelV4StreamPart,
} from '@ai-sdk/provider'
import { convertArrayToReadableStream, MockLanguageModelV3, MockLanguageModelV4 } from 'ai/test'
import { describe, expect, it } from 'vitest'
import { describeProvider } from '../../../conformance/src/provider.ts'
import type { ModelMessage, ModelPart, ModelRequest } from '../../src/capabilities/models/index.ts'
import type { Part } from '../../src/capabilities/sessions/index.ts'
import { type AiSdkOptions, aiSdk, boundedFetch } from '../../src/providers/ai-sdk.ts'
import { chatWire, secret } from './fake-openai.ts'
import { json, readAll, withServer } from './hand-made.ts'

const compatible = (baseURL: string) =>
  createOpenAICompatible({
    name: 'kit',
    baseURL,
    apiKey: secret,
    includeUsage: true,
    supportsStructuredOutputs: true,
    fetch: boundedFetch(undefined),
  })

describeProvider('ai-sdk', {
  model: 'gpt-kit',
  secret,
  provider: (origin) => aiSdk({ id: 'kit', model: compatible(`${origin}/v1`) }),
  wire: chatWire,
  usage: { input: 900, cacheRead: 100, cacheWrite: 0, output: 37, reasoning: 13 },
  reasoning: 'text',
  images: 'data',
  output: true,
  aimock: {},
})

const request: ModelRequest = {
  instructions: 'be brief',
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'hi' }] }],
  tools: [],
  maxOutputTokens: 50,
}

const usage = {
  inputTokens: { total: 60, noCache: 10, cacheRead: 20, cacheWrite: 30 },
  outputTokens: { total: 7, text: 3, reasoning: 4 },
}
const finish = (unified: 'stop' | 'tool-calls' | 'interrupted' | 'error' | 'other', raw?: string) =>
  ({ type: 'finish', usage, finishReason: { unified, raw } }) as const

const modelOf = (...parts: LanguageModelV4StreamPart[]) =>
  new MockLanguageModelV4({
    provider: 'vendor',
    doStream: async () => ({ stream: convertArrayToReadableStream(parts) }),
  })

const answered = (...parts: LanguageModelV4StreamPart[]) =>
  readAll(aiSdk({ id: 'x', model: modelOf(...parts) }), request)

/** An answer as the loop keeps it. */
function kept(parts: readonly ModelPart[]): ModelMessage {
  let [said, thought] = ['', '']
  const thoughts: Part[] = []
  const calls: Part[] = []
  for (const part of parts) {
    if (part.type === 'text') said += part.text
    else if (part.type === 'tool-call') calls.push(part)
    else if (part.type === 'reasoning') {
      thought += part.text
      if (part.state === undefined) continue
      thoughts.push({ type: 'reasoning', text: thought, state: part.state })
      thought = ''
    }
  }
  return {
    role: 'assistant',
    parts: [...thoughts, ...(said === '' ? [] : [{ type: 'text', text: said } as const]), ...calls],
  }
}

describe('what is asked of the model', () => {
  const messages: readonly ModelMessage[] = [
    { role: 'system', parts: [{ type: 'text', text: 'be kind' }] },
    {
      role: 'user',
      parts: [
        { type: 'text', text: 'look' },
        { type: 'image', mediaType: 'image/png', data: 'AAAA' },
      ],
    },
    {
      role: 'assistant',
      parts: [
        { type: 'reasoning', text: 'of somebody else' },
        { type: 'text', text: 'Looking.' },
        { type: 'tool-call', call: 'a', tool: 'one', arguments: '{"x":1}' },
        { type: 'tool-call', call: 'b', tool: 'one', arguments: '{broken' },
      ],
    },
    {
      role: 'tool',
      parts: [
        { type: 'tool-result', call: 'a', tool: 'one', output: { rows: [1] } },
        { type: 'tool-result', call: 'b', tool: 'one', output: 'bad arguments', isError: true },
      ],
    },
  ]
  const asked: ModelRequest = {
    ...request,
    messages,
    temperature: 0.5,
    tools: [{ name: 'one', description: 'does one', parameters: { type: 'object' } }],
    output: { name: 'city', schema: { type: 'object', properties: {} } },
  }

  it('is the whole request, in the words of the specification', async () => {
    const model = modelOf(finish('stop'))
    const provider = aiSdk({ id: 'x', model, headers: { 'x-a': 'b' }, providerOptions: { vendor: { tier: 'flex' } } })
    await readAll(provider, asked)
    expect(model.doStreamCalls).toHaveLength(1)
    const { abortSignal, ...options } = model.doStreamCalls[0] ?? {}
    expect(abortSignal).toBeInstanceOf(AbortSignal)
    expect(options).toEqual({
      prompt: [
        { role: 'system', content: 'be brief' },
        { role: 'system', content: 'be kind' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'look' },
            { type: 'file', mediaType: 'image/png', data: { type: 'data', data: 'AAAA' } },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'Looking.' },
            { type: 'tool-call', toolCallId: 'a', toolName: 'one', input: { x: 1 } },
            { type: 'tool-call', toolCallId: 'b', toolName: 'one', input: {} },
          ],
        },
        {
          role: 'tool',
          content: [
            { type: 'tool-result', toolCallId: 'a', toolName: 'one', output: { type: 'json', value: { rows: [1] } } },
            {
              type: 'tool-result',
              toolCallId: 'b',
              toolName: 'one',
              output: { type: 'error-text', value: 'bad arguments' },
            },
          ],
        },
      ],
      tools: [{ type: 'function', name: 'one', description: 'does one', inputSchema: { type: 'object' } }],
      responseFormat: { type: 'json', name: 'city', schema: { type: 'object', properties: {} } },
      maxOutputTokens: 50,
      temperature: 0.5,
      headers: { 'x-a': 'b' },
      providerOptions: { vendor: { tier: 'flex' } },
    })
  })

  it('has images as an older version of the specification wants them', async () => {
    const model = new MockLanguageModelV3({
      doStream: async () => ({
        stream: convertArrayToReadableStream<LanguageModelV3StreamPart>([finish('stop') as never]),
      }),
    })
    await readAll(aiSdk({ id: 'x', model }), asked)
    expect(model.doStreamCalls[0]?.prompt[2]).toMatchObject({ content: [{}, { type: 'file', data: 'AAAA' }] })
  })

  it('is made by the name of the model', async () => {
    const names: string[] = []
    const provider = aiSdk({
      id: 'x',
      model: (name) => {
        names.push(name)
        return modelOf(finish('stop'))
      },
    })
    await readAll(provider, request, 'org/small')
    expect(names).toEqual(['org/small'])
  })

  it('has the address of an image for a model that reads it itself, and for no other', async () => {
    const url = 'https://example.test/a.png'
    const withImage = { ...request, messages: [{ role: 'user', parts: [{ type: 'image', url }] }] } as const
    const able = new MockLanguageModelV4({
      supportedUrls: { 'image/*': [/^https:/] },
      doStream: async () => ({ stream: convertArrayToReadableStream([finish('stop') as LanguageModelV4StreamPart]) }),
    })
    await readAll(aiSdk({ id: 'x', model: able }), withImage)
    expect(able.doStreamCalls[0]?.prompt[1]).toMatchObject({
      content: [{ type: 'file', mediaType: 'image/*', data: { type: 'url', url: new URL(url) } }],
    })
    const unable = modelOf(finish('stop'))
    await expect(readAll(aiSdk({ id: 'x', model: unable }), withImage)).rejects.toMatchObject({
      failure: 'bad-request',
    })
    expect(unable.doStreamCalls).toEqual([])
  })
})

describe('what the model answers', () => {
  it('has thoughts, text, calls and counts', async () => {
    const parts = await answered(
      { type: 'stream-start', warnings: [] },
      { type: 'reasoning-start', id: 'r' },
      { type: 'reasoning-delta', id: 'r', delta: 'let me see' },
      { type: 'reasoning-end', id: 'r' },
      { type: 'text-start', id: 't' },
      { type: 'text-delta', id: 't', delta: 'One.' },
      { type: 'text-end', id: 't' },
      { type: 'tool-input-start', id: 'c', toolName: 'look' },
      { type: 'tool-input-delta', id: 'c', delta: '{"x":1}' },
      { type: 'tool-call', toolCallId: 'c', toolName: 'look', input: '{"x":1}' },
      { type: 'tool-call', toolCallId: 'd', toolName: 'look', input: '' },
      { type: 'tool-call', toolCallId: 'e', toolName: 'web', input: '{}', providerExecuted: true },
      finish('tool-calls'),
    )
    expect(parts).toEqual([
      { type: 'reasoning', text: 'let me see' },
      { type: 'reasoning', text: '', state: { 'ai-sdk': { by: 'x', from: 'vendor', text: 0, calls: 0 } } },
      { type: 'text', text: 'One.' },
      { type: 'tool-call', call: 'c', tool: 'look', arguments: '{"x":1}' },
      { type: 'tool-call', call: 'd', tool: 'look', arguments: '{}' },
      {
        type: 'finish',
        reason: 'tool-calls',
        usage: { input: 10, cacheRead: 20, cacheWrite: 30, output: 3, reasoning: 4 },
      },
    ])
  })

  it('goes back to the same vendor with all that it attached, each thing in its place', async () => {
    const sig = (value: string) => ({ vendor: { sig: value } })
    const model = modelOf(
      { type: 'reasoning-start', id: 'r1' },
      { type: 'reasoning-start', id: 'r2', providerMetadata: sig('start-2') },
      { type: 'reasoning-delta', id: 'r1', delta: 'one ' },
      { type: 'reasoning-delta', id: 'r2', delta: 'two ' },
      { type: 'reasoning-delta', id: 'r1', delta: 'more' },
      { type: 'reasoning-end', id: 'r1', providerMetadata: sig('s1') },
      { type: 'reasoning-end', id: 'r2' },
      { type: 'text-start', id: 't' },
      { type: 'text-delta', id: 't', delta: 'Said.' },
      { type: 'text-end', id: 't', providerMetadata: sig('text') },
      { type: 'tool-call', toolCallId: 'c', toolName: 'look', input: '{}', providerMetadata: sig('call') },
      { type: 'reasoning-start', id: 'r3' },
      { type: 'reasoning-end', id: 'r3', providerMetadata: sig('s3') },
      { type: 'tool-call', toolCallId: 'd', toolName: 'look', input: '{}' },
      finish('tool-calls'),
    )
    const provider = aiSdk({ id: 'x', model })
    const message = kept(await readAll(provider, request))
    await readAll(provider, { ...request, messages: [...request.messages, message] })
    expect(model.doStreamCalls[1]?.prompt[2]).toEqual({
      role: 'assistant',
      content: [
        { type: 'reasoning', text: 'one more', providerOptions: sig('s1') },
        { type: 'reasoning', text: 'two ', providerOptions: sig('start-2') },
        { type: 'text', text: 'Said.', providerOptions: sig('text') },
        { type: 'tool-call', toolCallId: 'c', toolName: 'look', input: {}, providerOptions: sig('call') },
        { type: 'reasoning', text: '', providerOptions: sig('s3') },
        { type: 'tool-call', toolCallId: 'd', toolName: 'look', input: {} },
      ],
    })

    const elsewhere = new MockLanguageModelV4({
      provider: 'another',
      doStream: async () => ({ stream: convertArrayToReadableStream([finish('stop') as LanguageModelV4StreamPart]) }),
    })
    await readAll(aiSdk({ id: 'x', model: elsewhere }), { ...request, messages: [...request.messages, message] })
    expect(elsewhere.doStreamCalls[0]?.prompt[2]).toEqual({
      role: 'assistant',
      content: [
        { type: 'text', text: 'Said.' },
        { type: 'tool-call', toolCallId: 'c', toolName: 'look', input: {} },
        { type: 'tool-call', toolCallId: 'd', toolName: 'look', input: {} },
      ],
    })
  })

  it('is understood in the oldest version of the specification, too', async () => {
    const parts: LanguageModelV2StreamPart[] = [
      { type: 'text-delta', id: 't', delta: 'x' },
      {
        type: 'finish',
        finishReason: 'length',
        usage: { inputTokens: 30, outputTokens: 9, totalTokens: 39, cachedInputTokens: 10, reasoningTokens: 4 },
      },
    ]
    const model: LanguageModelV2 = {
      specificationVersion: 'v2',
      provider: 'old',
      modelId: 'm',
      supportedUrls: {},
      doGenerate: () => Promise.reject(new Error('not asked')),
      doStream: async () => ({ stream: convertArrayToReadableStream(parts) }),
    }
    expect(await readAll(aiSdk({ id: 'x', model }), request)).toEqual([
      { type: 'text', text: 'x' },
      { type: 'finish', reason: 'length', usage: { input: 20, cacheRead: 10, cacheWrite: 0, output: 5, reasoning: 4 } },
    ])
  })

  it.each([
    ['says that it was interrupted', 'network', finish('interrupted')],
    ['never said why it stopped', 'network', finish('other')],
    ['failed', 'server', finish('error', 'error')],
  ])('fails when it %s', async (_, failure, end) => {
    await expect(answered({ type: 'text-delta', id: 't', delta: 'x' }, end)).rejects.toMatchObject({ failure })
  })

  it('fails when it ends without an end', async () => {
    await expect(answered({ type: 'text-delta', id: 't', delta: 'x' })).rejects.toMatchObject({ failure: 'network' })
    await expect(answered()).rejects.toMatchObject({ failure: 'malformed' })
  })
})

describe('a failure', () => {
  it('names the tool that was refused, and hides what looks like a key', () =>
    withServer(
      (response) =>
        json(response, 400, { error: { message: `tools[1].parameters is no schema (Bearer abc, ${secret})` } }),
      async ({ url }) => {
        const tools = ['one', 'two'].map((name) => ({ name, description: '', parameters: { type: 'object' } }))
        const provider = aiSdk({ id: 'x', model: compatible(`${url}/v1`) })
        const error: unknown = await readAll(provider, { ...request, tools }).catch((caught: unknown) => caught)
        expect(error).toMatchObject({ failure: 'bad-request', status: 400 })
        const { message } = error as Error
        expect(message).toContain('the tool "two" was refused')
        expect(message).toContain('[hidden]')
        expect(message).not.toContain(secret)
        expect(message).not.toContain('abc')
      },
    ))

  it('hides what it was told to hide', () =>
    withServer(
      (response) => json(response, 401, { error: { message: 'password1234 is wrong' } }),
      async ({ url }) => {
        const provider = aiSdk({ id: 'x', model: compatible(`${url}/v1`), secrets: ['password1234'] })
        await expect(readAll(provider, request)).rejects.toMatchObject({
          failure: 'auth',
          message: expect.not.stringContaining('password1234'),
        })
      },
    ))

  it('of a model that cannot be made is one of the request', async () => {
    const model = (): never => {
      throw Object.assign(new Error('no such model: m'), { name: 'AI_NoSuchModelError' })
    }
    await expect(readAll(aiSdk({ id: 'x', model }), request)).rejects.toMatchObject({
      failure: 'bad-request',
      message: 'no such model: m',
    })
    const strange = aiSdk({ id: 'x', model: (() => ({ specificationVersion: 'v9' })) as never })
    await expect(readAll(strange, request)).rejects.toMatchObject({ failure: 'bad-request' })
  })

  it('of a key that is not there is one of credentials', async () => {
    const model = (): never => {
      throw Object.assign(new Error('API key is missing'), { name: 'AI_LoadAPIKeyError' })
    }
    await expect(readAll(aiSdk({ id: 'x', model }), request)).rejects.toMatchObject({ failure: 'auth' })
  })

  it('comes at once on abort even if the model ignores the signal', async () => {
    for (const doStream of [
      () => new Promise<never>(() => undefined),
      async () => ({ stream: new ReadableStream<LanguageModelV4StreamPart>() }),
    ]) {
      const controller = new AbortController()
      const model = new MockLanguageModelV4({ doStream })
      const running = readAll(aiSdk({ id: 'x', model }), request, 'm', controller.signal)
      await expect.poll(() => model.doStreamCalls.length).toBe(1)
      controller.abort(new Error('enough'))
      await expect(running).rejects.toThrow('enough')
    }
  })
})

it.each<[unknown]>([
  [{ id: '', model: modelOf() }],
  [{ id: 'a/b', model: modelOf() }],
  [{ id: 'x', model: 'openai/gpt-5' }],
  [{ id: 'x', model: { specificationVersion: 'v1', doStream: () => undefined } }],
  [{ id: 'x' }],
])('the options %j are refused', (options) => {
  expect(() => aiSdk(options as AiSdkOptions)).toThrow(expect.objectContaining({ code: 'PROVIDER_OPTIONS_INVALID' }))
})
