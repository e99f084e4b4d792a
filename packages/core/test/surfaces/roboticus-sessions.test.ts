import { callTool, fail, respond, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { apiKey, roboticusServer, sqliteTime, type TestServer, uuid } from './roboticus-server.ts'

const start = (nicknames: 'model' | 'rules' = 'rules') =>
  roboticusServer({ model: scriptedModel([], { otherwise: say('Hi.') }), surface: { apiKey, nicknames } })

const create = async ({ ask }: TestServer, agent = 'assistant'): Promise<string> =>
  (await ask('POST', '/api/sessions', { body: { agent_id: agent } })).json.id

const append = (server: TestServer, id: string, content: string, role = 'user') =>
  server.ask('POST', `/api/sessions/${id}/messages`, { body: { role, content } })

const idsOf = (json: { sessions: { id: string }[] }) => json.sessions.map(({ id }) => id)

describe('creating a session', () => {
  test('archives the active one of the same agent, and no other', async () => {
    await using server = await start()
    const first = await create(server)
    const other = await create(server, 'someone-else')
    const second = await create(server)
    const statusOf = async (id: string) => (await server.ask('GET', `/api/sessions/${id}`)).json.status
    expect(await statusOf(first)).toBe('archived')
    expect(await statusOf(second)).toBe('active')
    expect(await statusOf(other)).toBe('active')
  })

  test('at once from many sides leaves one active session', async () => {
    await using server = await start()
    await Promise.all(Array.from({ length: 12 }, () => create(server)))
    const { sessions } = (await server.ask('GET', '/api/sessions')).json
    expect(sessions).toHaveLength(12)
    expect(sessions.filter(({ status }: { status: string }) => status === 'active')).toHaveLength(1)
  })

  test('escapes the agent’s id', async () => {
    await using server = await start()
    const { json } = await server.ask('POST', '/api/sessions', { body: { agent_id: `<b a="1">&'</b>` } })
    expect(json.agent_id).toBe('&lt;b a=&quot;1&quot;&gt;&amp;&#x27;&lt;/b&gt;')
  })

  test.each([
    ['', 'agent_id must not be empty'],
    [' \t\n', 'agent_id must not be empty'],
    ['a\0b', 'agent_id must not contain NUL'],
    ['é'.repeat(129), 'agent_id must have at most 256 bytes'],
  ])('refuses the agent id %j', async (agent, error) => {
    await using server = await start()
    const got = await server.ask('POST', '/api/sessions', { body: { agent_id: agent } })
    expect([got.status, got.json]).toEqual([400, { error }])
  })

  test('takes an agent id of 256 bytes', async () => {
    await using server = await start()
    expect((await server.ask('POST', '/api/sessions', { body: { agent_id: 'é'.repeat(128) } })).status).toBe(200)
  })
})

describe('listing sessions', () => {
  test('gives the newest first, all statuses, with the number of turns', async () => {
    await using server = await start()
    const first = await create(server)
    const second = await create(server)
    await server.ask('POST', '/api/agent/message', { body: { content: 'One' } })
    await server.ask('POST', '/api/agent/message', { body: { content: 'Two' } })
    const { sessions } = (await server.ask('GET', '/api/sessions')).json
    expect(sessions).toMatchObject([
      { id: second, status: 'active', turn_count: 2, nickname: 'One' },
      { id: first, status: 'archived', turn_count: 0, nickname: null },
    ])
  })

  test.each([
    ['limit=2', 2],
    ['limit=2&offset=4', 1],
    ['offset=4', 1],
    ['offset=5', 0],
    ['offset=99999999999999999999', 0],
    ['limit=0', 1],
    ['limit=-7', 1],
    ['limit=99999999999999999999999', 5],
    ['offset=-3', 5],
    ['limit=2&limit=4', 2],
    ['unknown=1', 5],
    ['', 5],
  ])('with ?%s has %i', async (query, count) => {
    await using server = await start()
    for (let index = 0; index < 5; index += 1) await create(server)
    const { json } = await server.ask('GET', `/api/sessions?${query}`)
    expect(json.sessions).toHaveLength(count)
  })

  test('pages neither repeat nor leave out', async () => {
    await using server = await start()
    for (let index = 0; index < 7; index += 1) await create(server)
    const all = idsOf((await server.ask('GET', '/api/sessions')).json)
    const paged: string[] = []
    for (const offset of [0, 3, 6]) {
      paged.push(...idsOf((await server.ask('GET', `/api/sessions?limit=3&offset=${offset}`)).json))
    }
    expect(paged).toEqual(all)
  })

  test('gives 200 when not asked for a number, and never more than 500', async () => {
    await using server = await start()
    const { client } = server.runtime
    for (let index = 0; index < 501; index += 1) await client.sessions.create({ agent: 'assistant' })
    expect((await server.ask('GET', '/api/sessions')).json.sessions).toHaveLength(200)
    expect((await server.ask('GET', '/api/sessions?limit=1000')).json.sessions).toHaveLength(500)
  })

  test.each(['limit=', 'limit=x', 'limit=1.5', 'limit=1e3', 'offset=0x10', 'offset=NaN', 'limit=%00'])(
    'refuses ?%s',
    async (query) => {
      await using server = await start()
      for (const path of ['/api/sessions', '/api/sessions/x/messages']) {
        const got = await server.ask('GET', `${path}?${query}`)
        expect(got.status).toBe(400)
        expect(got.json).toEqual({ error: `invalid query: ${query.split('=')[0]}: must be a whole number` })
      }
    },
  )
})

describe('one session', () => {
  test.each(['00000000-0000-4000-8000-000000000000', 'nothing', '%20', "'%20OR%201=1--", '%3Cscript%3E'])(
    '%s is not found',
    async (id) => {
      await using server = await start()
      const got = await server.ask('GET', `/api/sessions/${id}`)
      expect([got.status, got.json]).toEqual([404, { error: 'no such session' }])
    },
  )

  test.each(['%ff', '%00', '%'])('%s is no id at all', async (id) => {
    await using server = await start()
    expect((await server.ask('GET', `/api/sessions/${id}`)).status).toBe(400)
  })

  test('has the metadata that code gave it as JSON text', async () => {
    await using server = await start()
    const { id } = await server.runtime.client.sessions.create({ agent: 'assistant', metadata: { colour: 'blue' } })
    const { json } = await server.ask('GET', `/api/sessions/${id}`)
    expect(json).toMatchObject({ metadata: '{"colour":"blue"}', scope_key: 'agent' })
  })
})

describe('the messages of a session', () => {
  test('come oldest first, tool results as JSON text, each answer under its question', async () => {
    const model = scriptedModel([[say('Let me look.'), callTool('weather', { city: 'Oslo' })], say('Clear.')])
    await using server = await roboticusServer({ model })
    const sent = (await server.ask('POST', '/api/agent/message', { body: { content: 'Weather?' } })).json
    const { messages } = (await server.ask('GET', `/api/sessions/${sent.session_id}/messages`)).json
    const base = { id: uuid, session_id: sent.session_id, created_at: sqliteTime }
    const usage = { tokens_in: 10, tokens_out: 5, cache_read_tokens: 0, cache_write_tokens: 0, reasoning_tokens: 0 }
    const [question, , result] = messages
    expect(messages).toEqual([
      { ...base, parent_id: null, role: 'user', content: 'Weather?', usage_json: null },
      {
        ...base,
        parent_id: sent.user_message_id,
        role: 'assistant',
        content: 'Let me look.',
        usage_json: JSON.stringify(usage),
      },
      { ...base, parent_id: sent.user_message_id, role: 'tool', content: expect.any(String), usage_json: null },
      {
        ...base,
        id: sent.assistant_message_id,
        parent_id: sent.user_message_id,
        role: 'assistant',
        content: 'Clear.',
        usage_json: JSON.stringify(usage),
      },
    ])
    expect(question.id).toBe(sent.user_message_id)
    expect(JSON.parse(result.content)).toEqual([
      { call_id: expect.any(String), tool_name: 'weather', output: { city: 'Oslo', sky: 'clear' }, is_error: false },
    ])
  })

  test('are cut at the end, not at the beginning, and the offset is ignored', async () => {
    await using server = await start()
    const id = await create(server)
    for (const content of ['one', 'two', 'three']) await append(server, id, content)
    const contents = async (query: string) =>
      (await server.ask('GET', `/api/sessions/${id}/messages?${query}`)).json.messages.map(
        ({ content }: { content: string }) => content,
      )
    expect(await contents('limit=2')).toEqual(['one', 'two'])
    expect(await contents('limit=2&offset=1')).toEqual(['one', 'two'])
    expect(await contents('limit=0')).toEqual(['one'])
    expect(await contents('offset=2')).toEqual(['one', 'two', 'three'])
  })

  test('of an unknown session are none', async () => {
    await using server = await start()
    const got = await server.ask('GET', '/api/sessions/unknown/messages')
    expect([got.status, got.json]).toEqual([200, { messages: [] }])
  })
})

describe('appending a message', () => {
  test('stores it and asks no model; the next answer has it in its history', async () => {
    const model = scriptedModel([say('Yes.')])
    await using server = await roboticusServer({ model })
    const id = await create(server)
    const first = await append(server, id, 'I like blue.')
    const second = await append(server, id, 'Noted.', 'assistant')
    expect(model.calls).toEqual([])
    const { messages } = (await server.ask('GET', `/api/sessions/${id}/messages`)).json
    expect(messages).toMatchObject([
      { id: first.json.message_id, role: 'user', content: 'I like blue.', parent_id: null },
      { id: second.json.message_id, role: 'assistant', content: 'Noted.', parent_id: first.json.message_id },
    ])
    expect((await server.ask('GET', '/api/sessions')).json.sessions).toMatchObject([{ turn_count: 0 }])
    await server.ask('POST', '/api/agent/message', { body: { content: 'Do I like blue?', session_id: id } })
    expect(model.calls[0]?.request.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
  })

  test.each([
    [{ role: 'system', content: 'x' }, 'role must be user or assistant'],
    [{ role: 'tool', content: 'x' }, 'role must be user or assistant'],
    [{ role: 'User', content: 'x' }, 'role must be user or assistant'],
    [{ role: '', content: 'x' }, 'role must be user or assistant'],
    [{ role: 'user', content: '' }, 'content must not be empty'],
    [{ role: 'user', content: ' \n ' }, 'content must not be empty'],
    [{ role: 'user', content: 'a\0' }, 'content must not contain NUL'],
    [{ role: 'user', content: 'x'.repeat(4097) }, 'content must have at most 4096 bytes'],
    [{ role: 'user', content: 'é'.repeat(2049) }, 'content must have at most 4096 bytes'],
  ])('refuses %j', async (body, error) => {
    await using server = await start()
    const id = await create(server)
    const got = await server.ask('POST', `/api/sessions/${id}/messages`, { body })
    expect([got.status, got.json]).toEqual([400, { error }])
    expect((await server.ask('GET', `/api/sessions/${id}/messages`)).json.messages).toEqual([])
  })

  test('takes 4096 bytes', async () => {
    await using server = await start()
    expect((await append(server, await create(server), 'é'.repeat(2048))).status).toBe(200)
  })

  test('to an unknown session is a 404', async () => {
    await using server = await start()
    const got = await append(server, '00000000-0000-4000-8000-000000000000', 'Hi')
    expect([got.status, got.json]).toEqual([404, { error: 'no such session' }])
  })
})

describe('backfilling nicknames', () => {
  const nicknames = async ({ ask }: TestServer) =>
    (await ask('GET', '/api/sessions')).json.sessions.map(({ nickname }: { nickname: string }) => nickname)

  test('by rules names every session without one, in any status, once', async () => {
    await using server = await start()
    await append(server, await create(server), 'Hi, can you find my keys? They are gone.')
    await append(server, await create(server), 'No user has said anything', 'assistant')
    await create(server)
    expect((await server.ask('POST', '/api/sessions/backfill-nicknames')).json).toEqual({ backfilled: 3 })
    expect(await nicknames(server)).toEqual(['Untitled', 'Untitled', 'Can you find my keys'])
    expect((await server.ask('POST', '/api/sessions/backfill-nicknames')).json).toEqual({ backfilled: 0 })
  })

  test('takes any body, or none', async () => {
    await using server = await start()
    for (const asked of [
      {},
      { body: '{broken' },
      { body: [] },
      { body: 'x', headers: { 'content-type': 'text/plain' } },
    ]) {
      expect((await server.ask('POST', '/api/sessions/backfill-nicknames', asked)).status).toBe(200)
    }
  })

  test('by model takes its title, and the rule’s when it fails or answers something else', async () => {
    const answers = [
      say('"A Trip to the North."'),
      say('Trip'),
      fail('server'),
      fail('auth'),
      say('One two three four five six seven'),
      say('Line one two\nand more'),
    ]
    const model = scriptedModel(answers)
    await using server = await roboticusServer({ model })
    for (let index = 1; index <= 5; index += 1) await append(server, await create(server), `please plan trip ${index}`)
    await create(server)
    expect((await server.ask('POST', '/api/sessions/backfill-nicknames')).json).toEqual({ backfilled: 6 })
    expect((await nicknames(server)).toReversed()).toEqual([
      'A Trip to the North',
      'Plan trip 2',
      'Plan trip 3',
      'Plan trip 4',
      'Plan trip 5',
      'Untitled',
    ])
    model.assertComplete()
    expect(model.calls[0]?.request).toMatchObject({ maxOutputTokens: 30, tools: [] })
  })

  test('stops asking a model that keeps failing', async () => {
    const model = scriptedModel([], { otherwise: fail('network') })
    await using server = await roboticusServer({ model })
    for (let index = 1; index <= 8; index += 1) await append(server, await create(server), `plan trip ${index}`)
    expect((await server.ask('POST', '/api/sessions/backfill-nicknames')).json).toEqual({ backfilled: 8 })
    // Three titles, each tried with both of the agent's models.
    expect(model.calls).toHaveLength(6)
    expect(await nicknames(server)).toEqual([8, 7, 6, 5, 4, 3, 2, 1].map((index) => `Plan trip ${index}`))
  })

  test('leaves a name alone that came meanwhile', async () => {
    const model = scriptedModel([
      respond(async () => {
        const [session] = await server.runtime.client.sessions.list({ limit: 1, offset: 0 })
        await server.runtime.client.sessions.update({ id: session?.id ?? '', title: 'Mine' })
        return say('A title from the model')
      }),
    ])
    await using server = await roboticusServer({ model })
    await append(server, await create(server), 'plan a trip')
    expect((await server.ask('POST', '/api/sessions/backfill-nicknames')).json).toEqual({ backfilled: 0 })
    expect(await nicknames(server)).toEqual(['Mine'])
  })
})
