import { defineAgent, defineTool } from '@keelson/core'
import { callTool, createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'

const look = defineTool({
  name: 'look',
  description: 'Looks',
  input: z.object({}),
  risk: 'safe',
  execute: async () => 'seen',
})

const clerk = defineAgent({
  id: 'clerk',
  instructions: 'You help.',
  models: ['test/one'],
  tools: [look],
  output: z.object({ total: z.int() }),
})

const scene = async () => {
  const model = scriptedModel([callTool('look', {}), say('Seven!'), say('{"total":7}'), say('{"total":8}')])
  const runtime = await createTestRuntime({ model, agents: [clerk] })
  const { session } = await runtime.client.run(clerk, { message: 'How many?' }).result
  await runtime.client.run(clerk, { session, message: 'And now?' }).result
  await runtime.client.sessions.append({ session, role: 'assistant', parts: [{ type: 'text', text: 'By hand.' }] })
  const read = async (range: { after?: number; limit: number }) => {
    const { messages, next } = await runtime.client.sessions.spoken({ session, ...range })
    const texts = messages.map(({ message: { parts } }) => parts.map((part) => (part.type === 'text' ? part.text : '')))
    return { texts: texts.map((each) => each.join('')), next, messages }
  }
  return { runtime, session, read, [Symbol.asyncDispose]: () => runtime.stop() }
}

test('what was said leaves out tool calls and what the model was told in the place of the user', async () => {
  await using at = await scene()
  const { messages, next, texts } = await at.read({ limit: 100 })
  expect(texts).toEqual(['How many?', 'Seven!', '{"total":7}', 'And now?', '{"total":8}', 'By hand.'])
  expect(next).toBeNull()
  const stored = await at.runtime.client.sessions.messages({ session: at.session, limit: 100 })
  expect(stored).toHaveLength(9)
  const turns = await at.runtime.client.sessions.turns({ session: at.session, limit: 9, offset: 0 })
  for (const { message, turn } of messages) {
    const { agent, model, status, usage, userMessage } = turns.find(({ id }) => id === message.turn) ?? {}
    expect(turn).toEqual(message.turn === null ? null : { agent, model, status, usage, userMessage })
  }
})

test('what was said comes in pieces of so many messages, some of which say nothing', async () => {
  await using at = await scene()
  expect(await at.read({ limit: 1 })).toMatchObject({ texts: ['How many?'], next: 1 })
  expect(await at.read({ after: 1, limit: 2 })).toMatchObject({ texts: [], next: 3 })
  expect(await at.read({ after: 3, limit: 6 })).toMatchObject({
    texts: ['Seven!', '{"total":7}', 'And now?', '{"total":8}', 'By hand.'],
    next: null,
  })
  expect(await at.read({ after: 9, limit: 6 })).toMatchObject({ texts: [], next: null })
  expect(await at.read({ limit: 0 })).toMatchObject({ texts: [], next: null })
})

test('what was said is shown to nobody else', async () => {
  await using at = await scene()
  const { session } = at
  for (const client of [at.runtime.caller('eve'), at.runtime.client]) {
    expect(await client.sessions.spoken({ session: 'unknown', limit: 9 })).toEqual({ messages: [], next: null })
  }
  expect(await at.runtime.caller('eve').sessions.spoken({ session, limit: 9 })).toEqual({ messages: [], next: null })
})
