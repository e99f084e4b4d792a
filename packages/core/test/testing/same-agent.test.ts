import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { LLMock } from '@copilotkit/aimock'
import { defineAgent, defineTool, type Provider } from '@keelson/core'
import { aiSdk } from '@keelson/core/providers/ai-sdk'
import { anthropic } from '@keelson/core/providers/anthropic'
import { openai } from '@keelson/core/providers/openai'
import { openaiCompatible } from '@keelson/core/providers/openai-compatible'
import { callTool, conversation, createTestRuntime, recordModel, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'

const question = 'What is the attic?'
const answer = '80 euros a night.'

/** A server that speaks the protocols of all vendors. */
async function server(): Promise<string> {
  const mock = new LLMock({ port: 0 })
  const slices = { chunkSize: 5 }
  mock.on({ hasToolResult: false }, { toolCalls: [{ name: 'price', arguments: '{"room":"attic"}' }] }, slices)
  mock.on({ toolResultContains: '"euros":80', hasToolResult: true }, { content: answer }, slices)
  await mock.start()
  onTestFinished(() => mock.stop())
  return mock.url
}

const compatible = async () => openaiCompatible({ baseURL: `${await server()}/v1`, apiKey: 'test-key' })
const cassette = new URL('same-agent.cassette.json', import.meta.url)

/** One line for each way to have a model. `KEELSON_RECORD=1` makes the cassette anew. */
const models: readonly [string, () => Provider | Promise<Provider>][] = [
  ['the scripted model', () => scriptedModel([callTool('price', { room: 'attic' }), say(answer)])],
  ['a cassette', async () => recordModel(await compatible(), { cassette })],
  ['openai-compatible', compatible],
  ['openai, by Responses', async () => openai({ baseURL: `${await server()}/v1`, apiKey: 'test-key' })],
  ['openai, by Chat', async () => openai({ baseURL: `${await server()}/v1`, apiKey: 'test-key', api: 'chat' })],
  ['anthropic', async () => anthropic({ baseURL: await server(), apiKey: 'test-key' })],
  [
    'the AI SDK',
    async () => {
      const mock = createOpenAICompatible({ name: 'mock', baseURL: `${await server()}/v1`, apiKey: 'test-key' })
      return aiSdk({ id: 'mock', model: (name) => mock(name) })
    },
  ],
  ['ollama', async () => openaiCompatible({ server: 'ollama', baseURL: `${await server()}/v1` })],
]

describe.each(models)('the same agent, on %s', (_, modelOf) => {
  test('looks the price up before it answers', async () => {
    const price = defineTool({
      name: 'price',
      description: 'Price of a room for one night in euros',
      input: z.object({ room: z.string() }),
      risk: 'safe',
      execute: ({ room }) => ({ room, euros: 80 }),
    })
    const concierge = defineAgent({
      id: 'concierge',
      instructions: 'You answer guests of a small hotel.',
      models: ['any/small-model'],
      tools: [price],
      maxOutputTokens: 1_000,
    })
    await using runtime = await createTestRuntime({ agents: [concierge], model: await modelOf() })
    const guest = conversation(runtime, concierge)

    const { reply, status, events } = await guest.says(question)

    expect([status, reply]).toEqual(['completed', answer])
    expect(guest.calls()).toMatchObject([
      { tool: 'price', arguments: { room: 'attic' }, status: 'succeeded', output: { euros: 80 } },
    ])
    expect(events.filter(({ type }) => type === 'text.delta').length).toBeGreaterThan(1)
    expect(guest.transcript.split('\n').at(-1)).toBe(`assistant: ${answer}`)
    expect(runtime.reported).toEqual([])
  })
})
