import { createRuntime, type Provider, type RuntimeOptions, singleOwner } from '@keelson/core'
import { finish, respond, say, scriptedModel, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { agentOf, codeOf, noteTool } from '../durability/scene.ts'

const answering = (id: string, more: Partial<Provider> = {}): Provider => {
  const model = scriptedModel([], { otherwise: respond(() => [say(id), finish({ usage: { input: 60, output: 40 } })]) })
  return { id, stream: (...call) => model.stream(...call), ...more }
}

function scene(providers: Provider[], options: Partial<RuntimeOptions> = {}) {
  const clock = virtualClock()
  const agents = [agentOf([], { models: ['one/model', 'two/model'] })]
  const runtime = createRuntime({ store: sqliteStore(':memory:'), providers, agents, clock, stopMs: 0, ...options })
  onTestFinished(() => runtime.stop())
  const client = runtime.as(singleOwner('code'))
  let last = ''
  const start = (message = 'hi') => client.run('clerk', { message })
  return {
    clock,
    client,
    start,
    text: async (message?: string) => {
      const { text, turn } = await start(message).outcome
      last = turn
      return text
    },
    /** Of the last turn. */
    chosen: async () => (await client.sessions.turn({ id: last })).selection,
  }
}

describe('a model that has reached its requests per minute', () => {
  const limited = () => [answering('one', { capacity: { requestsPerMinute: 3 } }), answering('two')]

  test('is passed over for the next one, and chosen again when the minute is over', async () => {
    const { chosen, clock, text } = scene(limited())
    expect([await text(), await text(), await text(), await text()]).toEqual(['one', 'one', 'one', 'two'])
    expect(await chosen()).toMatchObject({
      chosen: 'two/model',
      strategy: 'fallback_1',
      candidates: [
        { model: 'one/model', usable: false, score: 0, note: 'its capacity of this minute is used up' },
        { model: 'two/model', usable: true, score: 1 },
      ],
    })
    clock.shift(60_000)
    expect(await text()).toBe('one')
  })

  test('shows how much is used, and nothing of those without limits but their use', async () => {
    const { client, text } = scene(limited())
    await text()
    await text()
    const [one, two] = await client.models.capacity()
    const headroom = expect.closeTo(1 / 3, 10)
    expect(one).toEqual({
      name: 'one',
      requests: 2,
      tokens: 200,
      requestsPerMinute: 3,
      tokensPerMinute: null,
      headroom,
      hot: false,
    })
    expect(two).toMatchObject({ name: 'two', requests: 0, tokens: 0, headroom: 1, requestsPerMinute: null })
  })

  test('is waited for when there is no other and the wait is short', async () => {
    const { clock, start, text } = scene([answering('one', { capacity: { requestsPerMinute: 1 } })], {
      limits: { longestWaitMs: 60_000 },
    })
    expect(await text()).toBe('one')
    await clock.advance(20_000)
    const turn = start()
    const { id } = await turn.accepted
    let ended = false
    turn.outcome.then(() => {
      ended = true
    })
    await clock.advance(38_000)
    expect([ended, id]).toEqual([false, expect.any(String)])
    await clock.advance(2_000)
    expect((await turn.outcome).text).toBe('one')
  })

  test('ends the turn with a hint when there is no other and the wait is long', async () => {
    const { start, text } = scene([answering('one', { capacity: { requestsPerMinute: 1 } })])
    await text()
    expect((await start().outcome).error).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      message: expect.stringContaining('over-capacity'),
      retryAfterMs: expect.any(Number),
    })
  })
})

describe('tokens per minute', () => {
  test('count for a model and for all of its provider together', async () => {
    const models = [{ name: 'model', capacity: { tokensPerMinute: 250 } }]
    const { client, text } = scene([
      answering('one', { models, capacity: { tokensPerMinute: 1_000 } }),
      answering('two'),
    ])
    expect([await text(), await text(), await text(), await text()]).toEqual(['one', 'one', 'one', 'two'])
    expect((await client.models.capacity())[0]).toMatchObject({ tokens: 300, tokensPerMinute: 1_000 })
  })

  test('that are nearly used up speak against a model, but do not rule it out', async () => {
    const { chosen, text } = scene([answering('one', { capacity: { tokensPerMinute: 105 } }), answering('two')])
    expect([await text(), await text()]).toEqual(['one', 'two'])
    expect(await chosen()).toMatchObject({ candidates: [{ score: 0.5, usable: true }, { score: 1 }] })
  })
})

describe('a model', () => {
  test('that cannot call tools comes after one that can, if the agent has any', async () => {
    const models = [{ name: 'model', tools: false }]
    const providers = () => [answering('one', { models }), answering('two')]
    const echo = noteTool('echo', ({ note }) => note)
    const withTools = scene(providers(), { agents: [agentOf([echo], { models: ['one/model', 'two/model'] })] })
    expect(await withTools.text()).toBe('two')
    expect(await withTools.chosen()).toMatchObject({ candidates: [{ score: 0.5, note: 'it cannot call tools' }, {}] })
    expect(await scene(providers()).text()).toBe('one')
  })

  test('whose window is too small for the message is passed over', async () => {
    const models = [{ name: 'model', contextTokens: 1_000, maxOutputTokens: 100 }]
    const { chosen, text } = scene([answering('one', { models }), answering('two')])
    expect(await text()).toBe('one')
    expect(await text('x'.repeat(4_000))).toBe('two')
    expect(await chosen()).toMatchObject({
      candidates: [{ usable: false, note: 'the message does not fit into its 1000 tokens' }, { usable: true }],
    })
  })

  test('without a provider is told as such, and the next one is chosen', async () => {
    const { chosen, client, text } = scene([answering('two')])
    expect(await text()).toBe('two')
    expect(await chosen()).toMatchObject({
      strategy: 'fallback_1',
      candidates: [{ registered: false, usable: false, score: 0 }, { registered: true }],
    })
    expect(await codeOf(client.models.get({ id: 'one/model' }))).toBe('MODEL_UNKNOWN')
    expect(await client.models.get({ id: 'two/any' })).toMatchObject({ provider: 'two', contextTokens: 128_000 })
  })
})

test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('a limit of %s is refused', (limit) => {
  const refused = expect.objectContaining({ code: 'PROVIDER_INVALID', message: expect.stringContaining('one') })
  expect(() => scene([answering('one', { capacity: { requestsPerMinute: limit } })])).toThrowError(refused)
  const models = [{ name: 'model', capacity: { tokensPerMinute: limit } }]
  expect(() => scene([answering('one', { models })])).toThrowError(refused)
})
