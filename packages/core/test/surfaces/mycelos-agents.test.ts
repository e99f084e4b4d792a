import { say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { assistant, chat, dataOf, modelName, mycelosServer, type TestServer } from './mycelos-server.ts'

const open = (users?: Parameters<typeof mycelosServer>[0]['users']) =>
  mycelosServer({
    model: scriptedModel([], { otherwise: say('Hi.') }),
    agents: [assistant(), assistant({ id: 'poet', name: 'The poet' })],
    ...(users && { users }),
  })

const patch = (server: TestServer, id: string, body: unknown) => server.ask('PATCH', `/api/agents/${id}`, { body })
const agent = async (server: TestServer, id: string) => (await server.ask('GET', `/api/agents/${id}`)).json
const generations = async (server: TestServer) => (await server.ask('GET', '/api/config/generations')).json

describe('an agent', () => {
  test('is renamed for people; the name of the code stays', async () => {
    await using server = await open()
    const got = await patch(server, 'poet', { display_name: '  Sappho ' })
    expect([got.status, got.json]).toEqual([200, { ok: true, id: 'poet', display_name: 'Sappho' }])
    expect(await agent(server, 'poet')).toMatchObject({ name: 'The poet', display_name: 'Sappho' })
    const events = await chat(server, { message: 'Hi', target_agent_id: 'poet' })
    expect(dataOf(events, 'system-response').content).toContain('Sappho')
  })

  test('gets another prompt, model and tools, of which the next turn makes use', async () => {
    await using server = await open()
    const body = { system_prompt: 'You rhyme.', model: 'other/model', allowed_tools: [] }
    expect((await patch(server, 'poet', body)).json).toEqual({
      ok: true,
      id: 'poet',
      changed: ['system_prompt', 'model', 'allowed_tools'],
    })
    expect(await agent(server, 'poet')).toMatchObject({
      system_prompt: 'You rhyme.',
      model: 'other/model',
      allowed_tools: '[]',
      created_by: 'system',
    })
    const { json } = await server.ask('GET', '/api/config')
    expect(json.llm.assignments['poet:execution']).toEqual(['other/model', modelName])
    expect((await patch(server, 'poet', { model: '' })).json).toEqual({ ok: true, id: 'poet', changed: ['model'] })
    expect((await agent(server, 'poet')).model).toBe(modelName)
  })

  test('is changed by a generation, and is what it was after a rollback', async () => {
    await using server = await open()
    await patch(server, 'poet', { display_name: 'Sappho' })
    await patch(server, 'poet', { system_prompt: 'You rhyme.' })
    expect((await generations(server)).generations).toMatchObject([
      { id: 3, trigger: 'agent_update', description: 'agent poet changed', is_active: true },
      { id: 2, trigger: 'agent_update', is_active: false },
      { id: 1, trigger: 'init', is_active: false },
    ])
    await server.ask('POST', '/api/config/rollback', { body: { generation: 2 } })
    expect(await agent(server, 'poet')).toMatchObject({ display_name: 'Sappho', system_prompt: 'You help.' })
    await server.ask('POST', '/api/config/rollback', { body: { generation: 1 } })
    expect(await agent(server, 'poet')).toMatchObject({ display_name: 'The poet', system_prompt: 'You help.' })
  })

  test('keeps one change of two that are made at once, and the other too', async () => {
    await using server = await open()
    const changes = [{ display_name: 'Sappho' }, { system_prompt: 'You rhyme.' }, { model: 'other/model' }]
    const answers = await Promise.all(changes.map((body) => patch(server, 'poet', body)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(await agent(server, 'poet')).toMatchObject({
      display_name: 'Sappho',
      system_prompt: 'You rhyme.',
      model: 'other/model',
    })
  })

  test('is not changed by what it is already', async () => {
    await using server = await open()
    const { allowed_tools, display_name, model, system_prompt } = await agent(server, 'poet')
    const same = { display_name, model, system_prompt, allowed_tools: JSON.parse(allowed_tools) }
    expect((await patch(server, 'poet', same)).json).toEqual({ ok: true, id: 'poet', display_name, changed: [] })
    expect((await patch(server, 'poet', {})).json).toEqual({ ok: true, id: 'poet' })
    // As the system's page sends the JSON text that it was given for a list.
    expect((await patch(server, 'poet', { allowed_tools: allowed_tools.split(',') })).json.changed).toEqual([])
    expect((await generations(server)).generations).toHaveLength(1)
  })

  test.each<[string, unknown, number]>([
    ['poet', { display_name: '' }, 422],
    ['poet', { display_name: '   ' }, 422],
    ['poet', { display_name: 7 }, 422],
    ['poet', { display_name: 'x'.repeat(201) }, 422],
    ['poet', { system_prompt: null }, 422],
    ['poet', { allowed_tools: 'weather' }, 422],
    ['poet', { allowed_tools: [1] }, 422],
    ['poet', [], 422],
    ['poet', '{', 422],
    ['poet', { allowed_tools: ['nothing_like_it'] }, 400],
    ['poet', { model: 'not a model' }, 400],
    ['nobody', { display_name: 'A' }, 404],
    ['__proto__', { display_name: 'A' }, 404],
    ['constructor', { display_name: 'A' }, 404],
  ])('%s is not changed by %j', async (id, body, status) => {
    await using server = await open()
    const before = (await server.ask('GET', '/api/agents')).json
    const got = await patch(server, id, body)
    expect(got.status).toBe(status)
    expect(got.json).toEqual(status === 422 ? { detail: expect.any(Array) } : { error: expect.any(String) })
    expect((await server.ask('GET', '/api/agents')).json).toEqual(before)
    expect((await generations(server)).generations).toHaveLength(1)
  })

  test('that others can be talked to are listed for whoever chooses one', async () => {
    await using server = await open()
    const all = (await server.ask('GET', '/api/agents')).json
    expect((await server.ask('GET', '/api/agents/conversational')).json).toEqual([all[1]])
  })
})
