import { say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { assistant, chat, dataOf, mycelosServer, rowTime, type TestServer } from './mycelos-server.ts'

const open = () =>
  mycelosServer({
    model: scriptedModel([], { otherwise: say('Hi.') }),
    agents: [assistant(), assistant({ id: 'poet', name: 'The poet' })],
  })

/** Returns the id that the system gives the generation. */
async function rename(server: TestServer, name: string): Promise<number> {
  const { generation } = await server.runtime.client.config.change({
    patch: { agents: { poet: { name } } },
    trigger: 'agent_register',
    description: `called ${name}`,
    numbering: 'reuse',
  })
  return generation.number + 1
}

const generations = async (server: TestServer) => (await server.ask('GET', '/api/config/generations')).json
const nameOfPoet = async (server: TestServer) => (await server.ask('GET', '/api/agents/poet')).json.display_name

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
    expect(json.agents.poet).toMatchObject({ name: 'The poet', created_by: 'system', capabilities: ['weather'] })
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
    expect([one, two]).toEqual([2, 3])
    expect(listed.generations).toEqual([
      { id: two, description: 'called Basho', trigger: 'agent_register', created_at: rowTime, is_active: true },
      { id: one, description: 'called Sappho', trigger: 'agent_register', created_at: rowTime, is_active: false },
      { id: 1, description: 'initial config', trigger: 'init', created_at: rowTime, is_active: false },
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

  test('begin with what there was before the first change, which can be gone back to', async () => {
    await using server = await open()
    const first = { id: 1, description: 'initial config', trigger: 'init', created_at: rowTime, is_active: true }
    expect(await generations(server)).toEqual({ active_id: 1, generations: [first] })
    expect((await server.ask('GET', '/api/health')).json.generation_id).toBe(1)
    const rollback = () => server.ask('POST', '/api/config/rollback', { body: { generation: 1 } })
    expect((await rollback()).json).toEqual({ status: 'rolled_back', active_generation: 1 })
    const before = (await server.ask('GET', '/api/config')).json
    const two = await rename(server, 'Sappho')
    expect((await rollback()).json).toEqual({ status: 'rolled_back', active_generation: 1 })
    expect(await nameOfPoet(server)).toBe('The poet')
    expect((await server.ask('GET', '/api/config')).json).toEqual(before)
    expect(await generations(server)).toMatchObject({
      active_id: 1,
      generations: [{ id: two, is_active: false }, first],
    })
    expect(await rename(server, 'Sappho')).toBe(two)
    expect(await rename(server, 'Basho')).toBe(two + 1)
  })

  test('are at most the newest fifty, the first among them while there is room', async () => {
    await using server = await open()
    for (let made = 1; made < 50; made += 1) await rename(server, `Poet ${made}`)
    const fifty = await generations(server)
    expect(fifty.generations.map(({ id }: { id: number }) => id)).toEqual(
      Array.from({ length: 50 }, (_, at) => 50 - at),
    )
    await rename(server, 'One more')
    const newest = await generations(server)
    expect([newest.generations.length, newest.generations.at(-1).id]).toEqual([50, 2])
    expect((await server.ask('POST', '/api/config/rollback', { body: { generation: 1 } })).status).toBe(200)
    expect((await generations(server)).active_id).toBe(1)
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
