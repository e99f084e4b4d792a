import { createRuntime, type Principal } from '@keelson/core'
import { fail, say, scriptedModel, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { apiKey, assistant, modelName, roboticusServer, serve, type TestServer } from './roboticus-server.ts'

const untouched = { state: 'closed', blocked: false, credit_tripped: false, operator_forced_open: false }
const statusOf = async ({ ask }: TestServer) => (await ask('GET', '/api/breaker/status')).json
const tell = (server: TestServer, content: string, user?: string) =>
  server.ask('POST', '/api/agent/message', { body: { content }, ...(user === undefined ? {} : { user }) })

const strict = { policy: 'strict' } as const

describe('the breaker of a provider', () => {
  test('opens after its failures, lets one try after the cool-down and closes when that answers', async () => {
    const clock = virtualClock()
    const model = scriptedModel(
      [fail('server'), say('1'), fail('server'), say('2'), fail('server'), say('3'), say('4')],
      {
        otherwise: say('openai again'),
      },
    )
    await using server = await roboticusServer({ model, clock, breakers: strict })
    for (const content of ['a', 'b', 'c']) {
      expect((await tell(server, content)).json).toMatchObject({ model: 'other/model', model_shift_from: modelName })
    }
    expect(await statusOf(server)).toEqual({
      providers: { openai: { ...untouched, state: 'open', blocked: true }, other: untouched },
      config: { threshold: 3, cooldown_seconds: 60, max_cooldown_seconds: 900, window_seconds: 60 },
    })
    // While it is open nobody asks it, and the next model is chosen from the start.
    expect((await tell(server, 'd')).json).toMatchObject({
      content: '4',
      selected_model: 'other/model',
      model_shift_from: null,
    })
    expect((await server.ask('GET', '/api/agent/status')).json).toMatchObject({
      active_model: 'other/model',
      primary_provider_state: 'open',
      diagnostics: { primary_provider_state: 'open', breaker_open_count: 1, breaker_half_open_count: 0 },
    })
    clock.shift(60_000)
    expect((await statusOf(server)).providers.openai).toEqual({ ...untouched, state: 'half_open' })
    expect((await server.ask('GET', '/api/agent/status')).json).toMatchObject({
      active_model: modelName,
      primary_provider_state: 'halfopen',
      diagnostics: { breaker_open_count: 0, breaker_half_open_count: 1 },
    })
    expect((await tell(server, 'e')).json).toMatchObject({ content: 'openai again', model: modelName })
    expect((await statusOf(server)).providers.openai).toEqual(untouched)
  })

  test('that ran out of credit stays open until it is reset', async () => {
    const clock = virtualClock()
    const model = scriptedModel([fail('billing')], { otherwise: say('fine') })
    await using server = await roboticusServer({ model, clock })
    expect((await tell(server, 'a')).json.model).toBe('other/model')
    clock.shift(30 * 86_400_000)
    const tripped = { state: 'open', blocked: true, credit_tripped: true, operator_forced_open: false }
    expect((await statusOf(server)).providers.openai).toEqual(tripped)
    expect((await tell(server, 'b')).json.model).toBe('other/model')
    const reset = await server.ask('POST', '/api/breaker/reset/openai')
    expect([reset.status, reset.json]).toEqual([200, { provider: 'openai', state: 'closed', reset: true }])
    expect((await statusOf(server)).providers.openai).toEqual(untouched)
    expect((await tell(server, 'c')).json.model).toBe(modelName)
  })

  test('that an operator has opened stays open until it is reset, however often either is asked for', async () => {
    const model = scriptedModel([], { otherwise: say('fine') })
    await using server = await roboticusServer({ model })
    for (let times = 0; times < 2; times += 1) {
      const opened = await server.ask('POST', '/api/breaker/open/openai')
      expect(opened.json).toEqual({ provider: 'openai', state: 'open', operator_forced_open: true })
    }
    const forced = { state: 'open', blocked: true, credit_tripped: false, operator_forced_open: true }
    expect((await statusOf(server)).providers).toEqual({ openai: forced, other: untouched })
    expect((await tell(server, 'a')).json.model).toBe('other/model')
    for (let times = 0; times < 2; times += 1) {
      expect((await server.ask('POST', '/api/breaker/reset/openai')).status).toBe(200)
    }
    expect((await tell(server, 'b')).json.model).toBe(modelName)
  })

  test('of a provider that runs hot shows as half-open until it answers or is reset', async () => {
    const model = scriptedModel([fail('bad-request'), fail('bad-request'), fail('bad-request'), say('x')], {
      id: 'openai',
    })
    const clock = virtualClock()
    const runtime = createRuntime({
      store: sqliteStore(':memory:'),
      providers: [{ ...model, capacity: { requestsPerMinute: 3 } }],
      agents: [assistant({ models: [modelName] })],
      clock,
    })
    await using server = await serve(runtime, { apiKey })
    const ask = (path: string) => server.ask('POST', path, { body: { content: path } })
    const state = async () => (await server.ask('GET', '/api/breaker/status')).json.providers.openai
    for (let count = 0; count < 3; count += 1) {
      expect(await state()).toEqual(untouched)
      await ask('/api/agent/message')
    }
    expect(await state()).toEqual({ ...untouched, state: 'half_open' })
    await ask('/api/breaker/reset/openai')
    expect(await state()).toEqual(untouched)
  })
})

describe('when every breaker is open', () => {
  test('a message gets the apology, and a stream a 502 that says when to come again', async () => {
    const clock = virtualClock()
    const model = scriptedModel([], { otherwise: fail('server') })
    await using server = await roboticusServer({ model, clock, breakers: strict })
    for (const content of ['a', 'b', 'c']) await tell(server, content)
    const asked = model.calls.length
    const got = await tell(server, 'd')
    expect(got.status).toBe(200)
    expect(got.json).toMatchObject({
      content: expect.stringContaining('sorry'),
      tokens_in: 0,
      tokens_out: 0,
      cost: 0,
      selected_model: modelName,
      react_turns: 0,
    })
    clock.shift(10_000)
    const streamed = await server.ask('POST', '/api/agent/message/stream', { body: { content: 'e' } })
    expect([streamed.status, streamed.json]).toEqual([502, { error: 'upstream provider error' }])
    expect(streamed.headers['retry-after']).toBe('50')
    expect(model.calls).toHaveLength(asked)
  })
})

describe('what is refused', () => {
  test.each(['nothing', '%3Cb%3E', 'OPENAI', 'openai%2Fgpt', `${'x'.repeat(300)}`])(
    'a provider that is not configured: %s',
    async (provider) => {
      await using server = await roboticusServer({ model: scriptedModel([]) })
      const before = await statusOf(server)
      for (const action of ['reset', 'open']) {
        const got = await server.ask('POST', `/api/breaker/${action}/${provider}`)
        expect([got.status, got.json]).toEqual([404, { error: 'no such provider' }])
      }
      expect(await statusOf(server)).toEqual(before)
    },
  )

  test('a change by somebody who is no operator; the state is for everybody', async () => {
    const person = (subject: string, roles: readonly string[]): Principal => ({
      tenant: 'north',
      subject,
      roles,
      via: 'host',
      ambient: false,
    })
    const users = { ann: person('ann', []), boss: person('boss', ['operator']) }
    await using server = await roboticusServer({ model: scriptedModel([]), users })
    for (const action of ['reset', 'open']) {
      const got = await server.ask('POST', `/api/breaker/${action}/openai`, { user: 'ann' })
      expect([got.status, got.json]).toEqual([403, { error: 'only an operator may do this' }])
    }
    expect((await server.ask('POST', '/api/breaker/open/openai', { user: 'boss' })).status).toBe(200)
    const got = await server.ask('GET', '/api/breaker/status', { user: 'ann' })
    expect(got.json.providers.openai.operator_forced_open).toBe(true)
  })
})
