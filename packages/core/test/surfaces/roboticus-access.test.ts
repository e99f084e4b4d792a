import type { Principal } from '@keelson/core'
import { type RoboticusOptions, roboticus } from '@keelson/core/surfaces/roboticus'
import { callTool, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { apiKey, assistant, roboticusServer, uuid, weather } from './roboticus-server.ts'

const unauthorized = { error: 'unauthorized', message: 'Valid API key required' }

describe('the key', () => {
  test.each<[string, Record<string, string>, number]>([
    ['nothing', {}, 401],
    ['x-api-key', { 'x-api-key': apiKey }, 200],
    ['a bearer token', { authorization: `Bearer ${apiKey}` }, 200],
    ['a bearer token in another case', { authorization: `bearer ${apiKey}` }, 200],
    ['a wrong x-api-key', { 'x-api-key': 'wrong' }, 401],
    ['a wrong bearer token', { authorization: 'Bearer wrong' }, 401],
    ['a key that goes on', { 'x-api-key': `${apiKey}0` }, 401],
    ['the beginning of the key', { 'x-api-key': apiKey.slice(0, -1) }, 401],
    ['the key in capitals', { 'x-api-key': apiKey.toUpperCase() }, 401],
    ['an empty x-api-key', { 'x-api-key': '' }, 401],
    ['an empty bearer token', { authorization: 'Bearer ' }, 401],
    ['basic credentials', { authorization: `Basic ${Buffer.from(`x:${apiKey}`).toString('base64')}` }, 401],
    ['the key without a scheme', { authorization: apiKey }, 401],
    ['a wrong x-api-key beside the right token', { 'x-api-key': 'wrong', authorization: `Bearer ${apiKey}` }, 401],
    ['the right x-api-key beside a wrong token', { 'x-api-key': apiKey, authorization: 'Bearer wrong' }, 200],
    ['a very long key', { 'x-api-key': 'k'.repeat(8_000) }, 401],
  ])('%s', async (_, headers, status) => {
    await using server = await roboticusServer({ model: scriptedModel([]) })
    const got = await server.ask('GET', '/api/sessions', { key: null, headers })
    expect(got.status).toBe(status)
    if (status === 401) expect(got.json).toEqual(unauthorized)
  })

  test('in the query is worth nothing', async () => {
    await using server = await roboticusServer({ model: scriptedModel([]) })
    for (const name of ['token', 'api_key', 'x-api-key', 'key']) {
      expect((await server.ask('GET', `/api/sessions?${name}=${apiKey}`, { key: null })).status).toBe(401)
    }
  })

  test('is needed on loopback too once there is one', async () => {
    await using server = await roboticusServer({ model: scriptedModel([]), surface: { apiKey, trustLoopback: true } })
    expect((await server.ask('GET', '/api/sessions', { key: null })).status).toBe(401)
    expect((await server.ask('GET', '/api/sessions')).status).toBe(200)
  })

  test.each([[''], [' '], ['two words'], ['line\nbreak'], ['ключ']])('%j is refused as an option', (key) => {
    expect(() => roboticus({ apiKey: key })).toThrowError(
      expect.objectContaining({ code: 'SURFACE_OPTIONS_INVALID', message: expect.not.stringContaining('ключ') }),
    )
  })
})

test.each<[string, object, string]>([
  ['misspelt', { apikey: 'secret' }, 'there is no option "apikey"; there are: agent, apiKey'],
  ['an authority that is none', { authority: 'admin' }, 'authority must be one of creator'],
  ['a scope mode that is none', { scopeMode: 'user' }, 'scopeMode'],
  ['a rule for nicknames that is none', { nicknames: 'none' }, 'nicknames'],
])('an option that is %s is refused by its name', (_, options, message) => {
  expect(() => roboticus(options as RoboticusOptions)).toThrow(message)
})

describe('without a key', () => {
  test.each<[string, RoboticusOptions]>([
    ['by default', {}],
    ['when loopback is not trusted', { trustLoopback: false }],
    ['when the key is undefined', { apiKey: undefined }],
  ])('nobody gets in %s', async (_, surface) => {
    await using server = await roboticusServer({ model: scriptedModel([]), surface })
    for (const key of [null, '', 'undefined', 'null']) {
      const got = await server.ask('GET', '/api/sessions', { key })
      expect(got.status).toBe(401)
      expect(got.json).toEqual(unauthorized)
    }
    expect((await server.ask('GET', '/api/health', { key: null })).status).toBe(200)
  })

  test('a trusted loopback peer gets in', async () => {
    await using server = await roboticusServer({ model: scriptedModel([]), surface: { trustLoopback: true } })
    expect((await server.ask('GET', '/api/sessions', { key: null })).status).toBe(200)
    expect((await server.ask('POST', '/api/sessions', { key: null, body: { agent_id: 'a' } })).status).toBe(200)
  })

  test.each([
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['10.0.0.1', false],
    ['::ffff:10.0.0.1', false],
    ['fe80::1', false],
    ['127.0.0.1.example.org', false],
    ['1127.0.0.1', false],
    [undefined, false],
  ])('the peer %s is loopback: %s', async (remoteAddress, trusted) => {
    const surface = roboticus({ trustLoopback: true })
    const request = { header: () => undefined, remoteAddress } as unknown as Parameters<typeof surface.authenticate>[0]
    expect((await surface.authenticate(request)) !== null).toBe(trusted)
  })

  test('what a header says of the peer is not believed', async () => {
    const surface = roboticus({ trustLoopback: true })
    const request = {
      header: (name: string) => (name === 'x-forwarded-for' ? '127.0.0.1' : undefined),
      remoteAddress: '10.0.0.1',
    } as unknown as Parameters<typeof surface.authenticate>[0]
    expect(await surface.authenticate(request)).toBeNull()
  })
})

describe('a page of another origin', () => {
  const origins: [string, (port: number) => string | undefined, number][] = [
    ['none', () => undefined, 200],
    ['its own', (port) => `http://127.0.0.1:${port}`, 200],
    ['another', () => 'http://evil.example', 403],
    ['another port', (port) => `http://127.0.0.1:${port + 1}`, 403],
    ['null', () => 'null', 403],
  ]
  test.each(origins)('cannot write through a trusted loopback: origin %s', async (_, originOf, status) => {
    const model = scriptedModel([], { otherwise: say('Hi.') })
    await using server = await roboticusServer({ model, surface: { trustLoopback: true } })
    const origin = originOf(server.port)
    const headers = origin === undefined ? {} : { origin }
    const writes = [
      server.ask('POST', '/api/sessions', { key: null, headers, body: { agent_id: 'a' } }),
      server.ask('POST', '/api/agent/message', { key: null, headers, body: { content: 'Hello there' } }),
      server.ask('POST', '/api/agent/message/stream', { key: null, headers, body: { content: 'Hello stream' } }),
      server.ask('POST', '/api/sessions/backfill-nicknames', { key: null, headers }),
    ]
    for (const got of await Promise.all(writes)) expect(got.status).toBe(status)
    if (status === 403) expect(model.calls).toEqual([])
  })

  test('may write with the key, which no browser sends by itself', async () => {
    await using server = await roboticusServer({ model: scriptedModel([]) })
    const headers = { origin: 'http://elsewhere.example' }
    expect((await server.ask('POST', '/api/sessions', { headers, body: { agent_id: 'a' } })).status).toBe(200)
  })
})

const person = (tenant: string, subject: string, roles: readonly string[] = []): Principal => ({
  tenant,
  subject,
  roles,
  via: 'host',
  ambient: false,
})

const users = {
  ann: person('north', 'ann'),
  amy: person('north', 'amy'),
  boss: person('north', 'boss', ['operator']),
  bob: person('south', 'bob'),
  rex: person('south', 'rex', ['operator']),
}

describe('callers that the host knows', () => {
  const start = () =>
    roboticusServer({
      users,
      agents: [assistant({ tools: [{ ...weather, risk: 'caution' }] })],
      model: scriptedModel([callTool('weather', { city: 'Oslo' }), say('I asked.')], { otherwise: say('Hi.') }),
    })

  test('whoever the host does not let in, no key lets in', async () => {
    await using server = await start()
    const got = await server.ask('GET', '/api/sessions', { user: 'nobody' })
    expect(got.status).toBe(401)
    expect(got.json).toEqual(unauthorized)
  })

  test('never see, change or answer what belongs to another', async () => {
    await using server = await start()
    const { ask } = server
    const sent = await ask('POST', '/api/agent/message', { user: 'ann', body: { content: 'Weather in Oslo?' } })
    expect(sent.json).toMatchObject({ content: 'I asked.', authority: 'External', reduced_authority: false })
    const id: string = sent.json.session_id
    const approval: string = (await ask('GET', '/api/approvals', { user: 'ann' })).json.pending[0].id

    for (const user of ['amy', 'bob', 'rex']) {
      expect((await ask('GET', '/api/sessions', { user })).json).toEqual({ sessions: [] })
      expect((await ask('GET', `/api/sessions/${id}`, { user })).status).toBe(404)
      expect((await ask('GET', `/api/sessions/${id}/messages`, { user })).json).toEqual({ messages: [] })
      const written = { role: 'user', content: 'Mine' }
      expect((await ask('POST', `/api/sessions/${id}/messages`, { user, body: written })).status).toBe(404)
      const body = { content: `Hello from ${user}`, session_id: id }
      expect((await ask('POST', '/api/agent/message', { user, body })).status).toBe(404)
      expect((await ask('POST', '/api/agent/message/stream', { user, body })).status).toBe(404)
      expect((await ask('GET', '/api/approvals', { user })).json).toEqual({ pending: [], total: 0 })
      expect((await ask('POST', `/api/approvals/${approval}/approve`, { user })).status).toBe(404)
      expect((await ask('POST', `/api/approvals/${approval}/deny`, { user })).status).toBe(404)
      expect((await ask('GET', '/api/agent/status', { user })).json.diagnostics.pending_approvals).toBe(0)
      expect((await ask('POST', '/api/sessions/backfill-nicknames', { user })).json).toEqual({ backfilled: 0 })
    }

    const { messages } = (await ask('GET', `/api/sessions/${id}/messages`, { user: 'ann' })).json
    expect(messages.map(({ role }: { role: string }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant'])
  })

  test('have their own session each, and archive nobody else’s', async () => {
    await using server = await start()
    const create = async (user: string) =>
      (await server.ask('POST', '/api/sessions', { user, body: { agent_id: 'assistant' } })).json.id as string
    const mine = await create('ann')
    const theirs = [await create('amy'), await create('bob'), await create('boss')]
    expect(new Set([mine, ...theirs]).size).toBe(4)
    expect((await server.ask('GET', `/api/sessions/${mine}`, { user: 'ann' })).json.status).toBe('active')
    const sent = await server.ask('POST', '/api/agent/message', { user: 'ann', body: { content: 'Hi again' } })
    expect(sent.json.session_id).toBe(mine)
  })

  test('an operator sees the whole tenant and decides for it, but no other', async () => {
    await using server = await start()
    const { ask } = server
    const sent = await ask('POST', '/api/agent/message', { user: 'ann', body: { content: 'Weather in Oslo?' } })
    expect((await ask('GET', '/api/sessions', { user: 'boss' })).json.sessions).toMatchObject([
      { id: sent.json.session_id },
    ])
    const { pending } = (await ask('GET', '/api/approvals', { user: 'boss' })).json
    expect(pending).toMatchObject([{ id: uuid, requested_authority: 'External' }])
    const id = pending[0].id
    const own = await ask('POST', `/api/approvals/${id}/approve`, { user: 'ann' })
    expect(own.status).toBe(403)
    expect(own.json).toEqual({ error: 'you may not decide this approval' })
    expect((await ask('POST', `/api/approvals/${id}/approve`, { user: 'boss' })).status).toBe(200)
  })

  test('the same text of two callers is no duplicate', async () => {
    await using server = await start()
    const body = { content: 'Hello you' }
    const both = await Promise.all(
      ['amy', 'bob'].map((user) => server.ask('POST', '/api/agent/message', { user, body })),
    )
    expect(both.map(({ status }) => status)).toEqual([200, 200])
  })
})
