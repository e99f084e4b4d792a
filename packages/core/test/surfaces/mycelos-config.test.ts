import { say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { assistant, chat, dataOf, mycelosServer, rowTime, type TestServer } from './mycelos-server.ts'

const open = () =>
  mycelosServer({
    model: scriptedModel([], { otherwise: say('Hi.') }),
    agents: [assistant(), assistant({ id: 'poet', name: 'The poet' })],
  })

const rename = async (server: TestServer, name: string) =>
  (
    await server.runtime.client.config.change({
      patch: { agents: { poet: { name } } },
      trigger: 'agent_register',
      description: `called ${name}`,
      numbering: 'reuse',
    })
  ).generation.number

const generations = async (server: TestServer) => (await server.ask('GET', '/api/config/generations')).json
const nameOfPoet = async (server: TestServer) => (await server.ask('GET', '/api/agents/poet')).json.name

describe('the configuration', () => {
  test('is the live state, all its sections there and no secret among them', async () => {
    await using server = await open()
    await rename(server, 'Sappho')
    const { json } = await server.ask('GET', '/api/config')
    expect(Object.keys(json)).toEqual([
      'schema_version',
      'connectors',
      'agents',
      'policies',
      'llm',
      'credentials',
      'workflows',
      'mounts',
      'channels',
      'scheduled_tasks',
    ])
    expect(json.agents.poet).toMatchObject({ name: 'Sappho', created_by: 'user', capabilities: ['weather'] })
    expect(json.agents.assistant).toMatchObject({ name: 'The assistant', created_by: 'system' })
    expect(json.llm.assignments['poet:execution']).toEqual(['openai/gpt-5-mini', 'other/model'])
    expect(json.credentials).toEqual({})
  })
})

describe('generations', () => {
  test('are listed newest first, and a rollback moves the pointer alone, in both directions', async () => {
    await using server = await open()
    const one = await rename(server, 'Sappho')
    const two = await rename(server, 'Basho')
    const listed = await generations(server)
    expect(listed.active_id).toBe(two)
    expect(listed.generations.slice(0, 2)).toEqual([
      { id: two, description: 'called Basho', trigger: 'agent_register', created_at: rowTime, is_active: true },
      { id: one, description: 'called Sappho', trigger: 'agent_register', created_at: rowTime, is_active: false },
    ])
    const rollback = async (body: object) => (await server.ask('POST', '/api/config/rollback', { body })).json
    expect(await rollback({ generation: one })).toEqual({ status: 'rolled_back', active_generation: one })
    expect(await nameOfPoet(server)).toBe('Sappho')
    expect((await server.ask('GET', '/api/health')).json.generation_id).toBe(one)
    expect((await generations(server)).generations).toHaveLength(listed.generations.length)
    expect(await rollback({ generation_id: String(two) })).toEqual({ status: 'rolled_back', active_generation: two })
    expect(await rollback({ generation_id: two })).toMatchObject({ active_generation: two })
    expect(await nameOfPoet(server)).toBe('Basho')
    await rollback({ generation: one })
    expect(await rename(server, 'Basho')).toBe(two)
    expect(await rename(server, 'Homer')).toBe(two + 1)
  })

  test('are listed and gone back to by a command', async () => {
    await using server = await open()
    const one = await rename(server, 'Sappho')
    await rename(server, 'Basho')
    const said = async (message: string) => dataOf(await chat(server, message), 'system-response').content
    expect(await said('/config')).toContain('called Sappho')
    expect(await said(`/config rollback ${one}`)).toContain(String(one))
    expect(await nameOfPoet(server)).toBe('Sappho')
    expect(await said('/config rollback 99')).toContain('does not exist')
    expect(await said('/config rollback')).toContain('Usage')
  })

  test.each<[unknown, number]>([
    [{}, 422],
    [{ generation: null }, 422],
    [{ generation: 'x' }, 422],
    [{ generation: 1.5 }, 422],
    [{ generation: true }, 422],
    [{ generation: [1] }, 422],
    [[], 422],
    ['{', 422],
    [{ generation: 0 }, 400],
    [{ generation: -1 }, 400],
    [{ generation: 1e9 }, 400],
    [{ generation: '3000' }, 400],
    [{ generation_id: '99999999999999999999' }, 400],
    [{ generation: Number.MAX_SAFE_INTEGER }, 400],
  ])('are not gone back to by %j', async (body, status) => {
    await using server = await open()
    await rename(server, 'Sappho')
    const before = await generations(server)
    const got = await server.ask('POST', '/api/config/rollback', { body })
    expect(got.status).toBe(status)
    expect(got.json).toEqual(
      status === 400
        ? { error: expect.stringMatching(/^Generation -?[\de+.]+ does not exist$/) }
        : { detail: expect.any(Array) },
    )
    expect(await generations(server)).toEqual(before)
  })
})
