import { LLMock } from '@copilotkit/aimock'
import { createRuntime, defineAgent, defineTool, type Principal, type Provider } from '@keelson/core'
import { anthropic } from '@keelson/core/providers/anthropic'
import { openaiCompatible } from '@keelson/core/providers/openai-compatible'
import { sqliteStore } from '@keelson/store-sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'

const owner: Principal = { tenant: 'default', subject: 'owner', roles: ['operator'], via: 'code', ambient: false }

const look = defineTool({
  name: 'look',
  description: 'Looks something up',
  input: z.object({ key: z.string() }),
  risk: 'safe',
  execute: async ({ key }) => `value of ${key}`,
})

let claude: LLMock
let gpt: LLMock

beforeEach(async () => {
  sent = []
  claude = new LLMock({ port: 0 })
  gpt = new LLMock({ port: 0 })
  await Promise.all([claude.start(), gpt.start()])
})

afterEach(() => Promise.all([claude.stop(), gpt.stop()]))

/** What was sent, as it was: the mock servers remember it in a form of their own. */
let sent: { readonly url: string; readonly body: string }[] = []

const recording: typeof globalThis.fetch = (input, init) => {
  sent.push({ url: String(input), body: String(init?.body) })
  return fetch(input, init)
}

const bodies = (mock: LLMock): string[] => sent.flatMap(({ url, body }) => (url.startsWith(mock.url) ? [body] : []))

function runtimeOf(providers: readonly Provider[] = []) {
  const clerk = defineAgent({
    id: 'clerk',
    instructions: 'You look things up.',
    models: ['anthropic/claude-opus-4-6', 'openai/gpt-kit'],
    tools: [look],
  })
  return createRuntime({
    store: sqliteStore(':memory:'),
    agents: [clerk],
    limits: { attempts: 1 },
    onError: () => {},
    providers: [
      anthropic({
        apiKey: 'sk-ant-kit',
        fetch: recording,
        baseURL: claude.url,
        thinking: { budgetTokens: 2_000 },
        models: [{ name: 'claude-opus-4-6', maxOutputTokens: 8_000 }],
      }),
      openaiCompatible({
        apiKey: 'sk-kit',
        fetch: recording,
        baseURL: `${gpt.url}/v1`,
        quirks: { returnReasoning: 'reasoning_content' },
      }),
      ...providers,
    ],
  })
}

describe('a session that goes from one vendor to another and back', () => {
  test('shows each vendor its own thoughts alone, and loses none of them', async () => {
    const runtime = runtimeOf()
    await runtime.start()
    try {
      const client = runtime.as(owner)
      const ask = async (message: string, session?: string) =>
        client.run('clerk', { message, ...(session ? { session } : {}) }).result

      claude.on({ toolCallId: 'toolu_1' }, { content: 'It is the value of a.' })
      claude.on(
        { userMessage: 'first' },
        {
          reasoning: 'secret thought',
          reasoningSignature: 'signature-1',
          redactedThinking: ['opaque-1'],
          toolCalls: [{ id: 'toolu_1', name: 'look', arguments: '{"key":"a"}' }],
        },
      )
      const first = await ask('first')
      expect(first).toMatchObject({ status: 'completed', model: 'anthropic/claude-opus-4-6', steps: 2 })

      claude.clearFixtures()
      claude.on({}, { error: { message: 'Overloaded', type: 'overloaded_error' }, status: 529 })
      gpt.on({}, { content: 'From elsewhere.', reasoning: 'another thought' })
      expect(await ask('second', first.session)).toMatchObject({ status: 'completed', model: 'openai/gpt-kit' })

      claude.clearFixtures()
      claude.on({}, { content: 'Back again.' })
      expect(await ask('third', first.session)).toMatchObject({ model: 'anthropic/claude-opus-4-6' })

      const [, toolLoop] = bodies(claude)
      expect(toolLoop).toContain('"signature":"signature-1"')
      expect(toolLoop).toContain('"thinking":"secret thought"')
      expect(toolLoop).toContain('"data":"opaque-1"')

      for (const body of bodies(gpt)) {
        expect(body).toContain('value of a')
        expect(body).not.toMatch(/signature-1|opaque-1|anthropic/)
      }

      const back = bodies(claude).at(-1) ?? ''
      expect(back).toContain('From elsewhere.')
      expect(back).not.toContain('another thought')
      expect(back).toContain('signature-1')
      expect(back).toContain('opaque-1')
    } finally {
      await runtime.stop()
    }
  })

  test('goes on in the middle of a turn, with calls that the other vendor made', async () => {
    const runtime = runtimeOf()
    await runtime.start()
    try {
      claude.on({ toolCallId: 'call_b' }, { content: 'Done.' })
      claude.on({ userMessage: 'go' }, { error: { message: 'Overloaded', type: 'overloaded_error' }, status: 529 })
      gpt.on({}, { toolCalls: [{ id: 'call_b', name: 'look', arguments: '{"key":"b"}' }] })
      const result = await runtime.as(owner).run('clerk', { message: 'go' }).result
      // The mock server refuses what the vendor refuses: thinking while the calls were made without a thought.
      expect(result).toMatchObject({ status: 'completed', text: 'Done.', model: 'anthropic/claude-opus-4-6' })
      const [begun, goneOn] = bodies(claude)
      expect(begun).toContain('"thinking":{"type":"enabled"')
      expect(goneOn).not.toContain('"thinking"')
      expect(goneOn).toContain('value of b')
    } finally {
      await runtime.stop()
    }
  })
})

test('a thought whose state is longer than an answer may be is not taken', async () => {
  const provider: Provider = {
    id: 'vast',
    async *stream() {
      yield { type: 'reasoning', text: 'hm', state: { blob: 'x'.repeat(2_000) } }
      yield { type: 'text', text: 'never heard' }
    },
  }
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    agents: [defineAgent({ id: 'a', instructions: 'x', models: ['vast/m'] })],
    providers: [provider],
    limits: { attempts: 1, answerLength: 1_000 },
    onError: () => {},
  })
  await runtime.start()
  try {
    await expect(runtime.as(owner).run('a', { message: 'hi' }).result).rejects.toMatchObject({
      message: 'the model provider failed: malformed',
    })
  } finally {
    await runtime.stop()
  }
})

test.each([
  ['null', null],
  ['a list', [1]],
  ['a text', 'x'],
  ['nothing that JSON can say', { self: 1n }],
])('a thought whose state is %s is nonsense', async (_, state) => {
  const provider: Provider = {
    id: 'odd',
    async *stream() {
      yield { type: 'reasoning', text: 'hm', state } as never
    },
  }
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    agents: [defineAgent({ id: 'a', instructions: 'x', models: ['odd/m'] })],
    providers: [provider],
    limits: { attempts: 1 },
    onError: () => {},
  })
  await runtime.start()
  try {
    await expect(runtime.as(owner).run('a', { message: 'hi' }).result).rejects.toMatchObject({
      message: 'the model provider failed: malformed',
    })
  } finally {
    await runtime.stop()
  }
})
