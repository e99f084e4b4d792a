import { defineAgent, defineTool, isKeelsonError, type TurnEvent } from '@keelson/core'
import { callTool, createTestRuntime, cut, fail, hang, respond, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'

const weather = defineTool({
  name: 'weather',
  description: 'Current weather of a city',
  input: z.object({ city: z.string() }),
  risk: 'safe',
  execute: async ({ city }) => ({ city, sky: 'clear' }),
})

const concierge = defineAgent({
  id: 'concierge',
  instructions: 'You help.',
  models: ['openai/gpt-5-mini'],
  tools: [weather],
})

const collect = async (events: AsyncIterable<TurnEvent>) => {
  const all: TurnEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

describe('a turn', () => {
  test('answers, and keeps session, messages and turn', async () => {
    const model = scriptedModel([say(['Hel', 'lo.'])])
    await using runtime = await createTestRuntime({ agents: [concierge], model })
    const turn = runtime.client.run('concierge', { message: 'Hi' })
    const result = await turn.result
    expect(result).toMatchObject({ status: 'completed', text: 'Hello.', model: 'openai/gpt-5-mini', steps: 1 })
    const messages = await runtime.client.sessions.messages({ session: result.session, limit: 10 })
    expect(messages.map(({ role, sequence, parts }) => [sequence, role, parts])).toEqual([
      [1, 'user', [{ type: 'text', text: 'Hi' }]],
      [2, 'assistant', [{ type: 'text', text: 'Hello.' }]],
    ])
    expect(await runtime.client.sessions.turn({ id: result.turn })).toMatchObject({
      status: 'completed',
      steps: 1,
      usage: { input: 10, output: 5 },
      selection: { chosen: 'openai/gpt-5-mini', strategy: 'primary' },
    })
    model.assertComplete()
  })

  test('calls a tool and gives the model its result', async () => {
    const model = scriptedModel([callTool('weather', { city: 'Oslo' }), say('Clear in Oslo.')])
    await using runtime = await createTestRuntime({ agents: [concierge], model })
    const turn = runtime.client.run('concierge', { message: 'Weather in Oslo?' })
    const events = await collect(turn)
    expect(events.map(({ type }) => type)).toEqual([
      'turn.started',
      'step.started',
      'step.finished',
      'tool.started',
      'tool.finished',
      'step.started',
      ...events.flatMap(({ type }) => (type === 'text.delta' ? [type] : [])),
      'step.finished',
      'turn.completed',
    ])
    const { session, turn: id } = await turn.result
    expect(model.calls[1]?.request.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool'])
    expect(await runtime.client.sessions.toolCalls({ turn: id })).toMatchObject([
      { tool: 'weather', status: 'succeeded', output: { city: 'Oslo', sky: 'clear' }, policy: { decision: 'allow' } },
    ])
    expect((await runtime.client.sessions.messages({ session, limit: 10 })).length).toBe(4)
    const replayed = await collect(await runtime.client.turns.follow({ id }))
    const merged = (list: TurnEvent[]) => list.flatMap((e) => (e.type === 'text.delta' ? [e.text] : [])).join('')
    expect(merged(replayed)).toBe(merged(events))
    expect(replayed.at(-1)).toEqual(events.at(-1))
    const middle = events.find(({ type }) => type === 'text.delta')?.sequence ?? 0
    const rest = await collect(await runtime.client.turns.follow({ id, after: middle }))
    expect(merged(rest)).toBe(' in Oslo.')
  })

  test('goes on with the history of its session', async () => {
    const model = scriptedModel([say('one'), say('two')])
    await using runtime = await createTestRuntime({ agents: [concierge], model })
    const { session } = await runtime.client.run('concierge', { message: 'a' }).result
    await runtime.client.run('concierge', { session, message: 'b' }).result
    expect(model.calls[1]?.request.messages.map(({ parts }) => parts[0])).toEqual([
      { type: 'text', text: 'a' },
      { type: 'text', text: 'one' },
      { type: 'text', text: 'b' },
    ])
  })

  test('keeps two messages of one session in order', async () => {
    const model = scriptedModel([say('one'), say('two')])
    await using runtime = await createTestRuntime({ agents: [concierge], model })
    const { id: session } = await runtime.client.sessions.create({ agent: 'concierge' })
    const [first, second] = [
      runtime.client.run('concierge', { session, message: 'a' }),
      runtime.client.run('concierge', { session, message: 'b' }),
    ]
    expect([(await first.result).text, (await second.result).text]).toEqual(['one', 'two'])
    const messages = await runtime.client.sessions.messages({ session, limit: 10 })
    expect(messages.map(({ parts }) => (parts[0]?.type === 'text' ? parts[0].text : ''))).toEqual([
      'a',
      'one',
      'b',
      'two',
    ])
  })

  test('retries a provider that fails, and takes back what it had said', async () => {
    const model = scriptedModel([fail('server', { afterText: 'Hal' }), cut(), say('Hello.')])
    await using runtime = await createTestRuntime({ agents: [concierge], model, limits: { backoffMs: 1 } })
    const turn = runtime.client.run('concierge', { message: 'Hi' })
    expect((await turn.result).text).toBe('Hello.')
    expect((await collect(turn)).filter(({ type }) => type === 'step.restarted').length).toBe(2)
  })

  test('fails with the class of the failure when no attempt succeeds', async () => {
    const model = scriptedModel([fail('auth')])
    await using runtime = await createTestRuntime({ agents: [concierge], model })
    const turn = runtime.client.run('concierge', { message: 'Hi' })
    await expect(turn.result).rejects.toMatchObject({ code: 'TURN_FAILED', details: { reason: 'MODEL_FAILED' } })
    expect(await turn.outcome).toMatchObject({ status: 'failed', error: { message: expect.stringContaining('auth') } })
  })

  test('is cancelled while the model is silent', async () => {
    const model = scriptedModel([hang()])
    await using runtime = await createTestRuntime({ agents: [concierge], model })
    const turn = runtime.client.run('concierge', { message: 'Hi' })
    const { id } = await turn.accepted
    await runtime.client.turns.cancel({ id })
    expect(await turn.outcome).toMatchObject({ status: 'cancelled' })
    expect(await runtime.client.sessions.turn({ id })).toMatchObject({ status: 'cancelled' })
  })

  test('stops at the step limit of its agent', async () => {
    const model = scriptedModel([
      respond(() => callTool('weather', { city: 'Oslo' })),
      callTool('weather', { city: 'Rome' }),
    ])
    await using runtime = await createTestRuntime({ agents: [{ ...concierge, maxSteps: 2 }], model })
    await expect(runtime.client.run('concierge', { message: 'Hi' }).result).rejects.toSatisfy(
      (error) => isKeelsonError(error) && error.details?.reason === 'STEP_LIMIT',
    )
  })
})
