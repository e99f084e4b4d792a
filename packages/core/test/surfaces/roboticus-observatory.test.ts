import { createRuntime, defineTool } from '@keelson/core'
import { callTool, fail, finish, say, scriptedModel, think } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  apiKey,
  assistant,
  modelName,
  people,
  roboticusServer,
  type ServerOptions,
  serve,
  sqliteTime,
  type TestServer,
  weather,
} from './roboticus-server.ts'

const unknown = '00000000-0000-4000-8000-000000000000'

const send = async ({ ask }: TestServer, content: string, user?: string) =>
  (await ask('POST', '/api/agent/message', { body: { content }, ...(user === undefined ? {} : { user }) })).json

const turnsOf = async ({ ask }: TestServer, session: string, user?: string) =>
  (await ask('GET', `/api/sessions/${session}/turns`, user === undefined ? {} : { user })).json.turns

const broken = defineTool({
  name: 'broken',
  description: 'Fails',
  input: z.object({}),
  risk: 'safe',
  execute: () => {
    throw new Error('out of order')
  },
})

const priced = { name: 'gpt-5-mini', price: { input: 2_000_000, output: 8_000_000 } }

const start = (options: Partial<ServerOptions> & Pick<ServerOptions, 'model'>) =>
  roboticusServer({ agents: [assistant({ tools: [weather, broken] })], ...options })

describe('a turn read back', () => {
  test('has its numbers, its thoughts, its tools and its context', async () => {
    const model = scriptedModel([
      [think('Let me look.'), callTool('weather', { city: 'Oslo' }), callTool('broken')],
      [think('Now I know.'), say('Clear.'), finish({ usage: { input: 7, cacheRead: 3, output: 2, reasoning: 4 } })],
    ])
    await using server = await start({ model })
    const { session_id } = await send(server, 'Weather in Oslo?')
    const turns = await turnsOf(server, session_id)
    const turn = {
      id: turns[0].id,
      session_id,
      thinking: null,
      tokens_in: 20,
      tokens_out: 11,
      cost: null,
      model: modelName,
      created_at: sqliteTime,
    }
    expect(turns).toEqual([turn])
    expect((await server.ask('GET', `/api/turns/${turn.id}`)).json).toEqual({
      ...turn,
      thinking: 'Let me look.\n\nNow I know.',
    })
    const { tool_calls } = (await server.ask('GET', `/api/turns/${turn.id}/tools`)).json
    const call = { skill_id: null, skill_name: null, skill_hash: null, created_at: sqliteTime }
    expect(tool_calls).toEqual([
      { ...call, id: expect.any(String), tool_name: 'weather', status: 'success', duration_ms: expect.any(Number) },
      { ...call, id: expect.any(String), tool_name: 'broken', status: 'error', duration_ms: expect.any(Number) },
    ])
    const context = (await server.ask('GET', `/api/turns/${turn.id}/context`)).json
    expect(context).toMatchObject({
      turn_id: turn.id,
      model: modelName,
      token_budget: 123_904,
      memory_tokens: 0,
      history_depth: 3,
      complexity_level: 'L0',
      tool_call_count: 2,
      tool_failure_count: 1,
    })
    expect(context.system_prompt_tokens).toBeGreaterThan(20)
    expect(context.history_tokens).toBeGreaterThan(5)
  })

  test('is more complex the longer the message, the more the tools and the more was said before', async () => {
    const model = scriptedModel([], { otherwise: say('fine') })
    await using server = await start({ model })
    const levels: string[] = []
    for (let index = 0; index < 6; index += 1) {
      const { session_id } = await send(server, `${index} ${'x'.repeat(1_000)}`)
      const turn = (await turnsOf(server, session_id)).at(-1)
      levels.push((await server.ask('GET', `/api/turns/${turn.id}/context`)).json.complexity_level)
    }
    // 1, 3, 5, 7, 9 and 11 messages.
    expect(levels).toEqual(['L1', 'L1', 'L1', 'L1', 'L2', 'L2'])
  })

  test('costs what its tokens cost, in dollars', async () => {
    const model = scriptedModel([say('fine')], { id: 'openai', models: [priced] })
    const runtime = createRuntime({ store: sqliteStore(':memory:'), providers: [model], agents: [assistant()] })
    await using server = await serve(runtime, { apiKey })
    const { session_id } = (await server.ask('POST', '/api/agent/message', { body: { content: 'Hi' } })).json
    const { turns } = (await server.ask('GET', `/api/sessions/${session_id}/turns`)).json
    expect(turns[0].cost).toBeCloseTo((10 * 2 + 5 * 8) / 1e6, 12)
  })

  test('that nothing has answered has no numbers, but its selection', async () => {
    const model = scriptedModel([], { otherwise: fail('server') })
    await using server = await start({ model })
    const { session_id } = await send(server, 'Hi')
    const [turn] = await turnsOf(server, session_id)
    const none = { tokens_in: null, tokens_out: null, cost: null, model: null }
    expect(turn).toMatchObject({ ...none, thinking: null })
    expect((await server.ask('GET', `/api/turns/${turn.id}/context`)).json).toMatchObject({
      ...none,
      history_depth: 1,
      tool_call_count: 0,
    })
    expect((await server.ask('GET', `/api/turns/${turn.id}/tools`)).json).toEqual({ tool_calls: [] })
    const { json } = await server.ask('GET', `/api/turns/${turn.id}/model-selection`)
    expect(json).toMatchObject({ turn_id: turn.id, selected_model: modelName })
  })

  test('comes in the order of acceptance, however many there are', async () => {
    const model = scriptedModel([], { otherwise: say('fine') })
    await using server = await start({ model })
    const { client } = server.runtime
    const { id: session } = await client.sessions.create({ agent: 'assistant' })
    const ids: string[] = []
    for (let index = 0; index < 205; index += 1) {
      const handle = client.run('assistant', { session, message: `${index}` })
      ids.push((await handle.result).turn)
    }
    expect((await turnsOf(server, session)).map(({ id }: { id: string }) => id)).toEqual(ids)
  })
})

describe('what is not there', () => {
  test.each([unknown, 'nothing', '%3Cb%3E', `${'x'.repeat(500)}`])(
    'turn %s is a 404, and has no tool calls',
    async (id) => {
      await using server = await start({ model: scriptedModel([]) })
      for (const path of ['', '/context', '/model-selection']) {
        const got = await server.ask('GET', `/api/turns/${id}${path}`)
        expect([got.status, got.json], path).toEqual([404, { error: 'no such turn' }])
      }
      expect((await server.ask('GET', `/api/turns/${id}/tools`)).json).toEqual({ tool_calls: [] })
      expect((await server.ask('GET', `/api/sessions/${id}/turns`)).json).toEqual({ turns: [] })
    },
  )

  test('what belongs to another is as good as not there; an operator sees the tenant’s', async () => {
    const model = scriptedModel([callTool('weather', { city: 'Oslo' }), say('Clear.')])
    await using server = await start({ model, users: people })
    const { session_id } = await send(server, 'Weather in Oslo?', 'ann')
    const [{ id }] = await turnsOf(server, session_id, 'ann')
    for (const user of ['amy', 'rex']) {
      expect(await turnsOf(server, session_id, user)).toEqual([])
      for (const path of ['', '/context', '/model-selection']) {
        expect((await server.ask('GET', `/api/turns/${id}${path}`, { user })).status).toBe(404)
      }
      expect((await server.ask('GET', `/api/turns/${id}/tools`, { user })).json).toEqual({ tool_calls: [] })
    }
    for (const user of ['ann', 'boss']) {
      expect(await turnsOf(server, session_id, user)).toHaveLength(1)
      for (const path of ['', '/context', '/model-selection']) {
        expect((await server.ask('GET', `/api/turns/${id}${path}`, { user })).status).toBe(200)
      }
      const { tool_calls } = (await server.ask('GET', `/api/turns/${id}/tools`, { user })).json
      expect(tool_calls).toHaveLength(1)
    }
  })
})
