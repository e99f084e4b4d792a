import { scriptedModel, virtualClock } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { apiKey } from '../surfaces/roboticus-server.ts'
import { pushServer } from './push-server.ts'

const model = () => scriptedModel([])
const refused = { status: 401, type: 'text/plain; charset=utf-8', text: 'Valid API key or ticket required' }
const unknown = `wst_${'0'.repeat(64)}`

const ticketOf = async (server: Awaited<ReturnType<typeof pushServer>>): Promise<string> =>
  (await server.ask('POST', '/api/ws-ticket')).json.ticket

describe('with a configured key', () => {
  test.each([
    ['x-api-key', { key: apiKey }],
    ['a bearer token', { key: null, headers: { authorization: `Bearer ${apiKey}` } }],
  ])('%s opens the socket', async (_name, how) => {
    await using server = await pushServer({ model: model() })
    const { frames } = await server.connect(how)
    expect(frames.map(({ type }) => type)).toEqual(['connected'])
  })

  test.each([
    ['nothing', { key: null }],
    ['a wrong key', { key: 'wrong' }],
    ['a wrong bearer token', { key: null, headers: { authorization: 'Bearer wrong' } }],
    ['a ticket that was never issued', { ticket: unknown }],
    ['an empty ticket', { ticket: '' }],
    ['the key as a ticket', { ticket: apiKey }],
    ['a ticket without its prefix', { ticket: '0'.repeat(64) }],
  ])('%s does not, and is told so in plain text before the upgrade', async (_name, how) => {
    await using server = await pushServer({ model: model() })
    expect(await server.refusal(how)).toEqual(refused)
    expect(server.sockets.size).toBe(0)
  })

  test('a key in the query is not looked at', async () => {
    await using server = await pushServer({ model: model() })
    const answer = await server.ask('GET', `/ws?token=${apiKey}`, { key: null })
    expect([answer.status, answer.text]).toEqual([401, refused.text])
  })
})

describe('a ticket', () => {
  test('opens the socket once', async () => {
    await using server = await pushServer({ model: model() })
    const { status, json } = await server.ask('POST', '/api/ws-ticket')
    expect([status, json]).toEqual([200, { ticket: expect.stringMatching(/^wst_[0-9a-f]{64}$/), expires_in: 30 }])
    const push = await server.connect({ ticket: json.ticket })
    expect(push.frames).toHaveLength(1)
    expect(await server.refusal({ ticket: json.ticket })).toEqual(refused)
  })

  test('of two connections at once lets one in', async () => {
    await using server = await pushServer({ model: model() })
    const ticket = await ticketOf(server)
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => server.connect({ ticket })))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('is good for 30 seconds and not longer', async () => {
    const clock = virtualClock()
    await using server = await pushServer({ model: model(), clock })
    const [first, second] = [await ticketOf(server), await ticketOf(server)]
    await clock.advance(29_999)
    await server.connect({ ticket: first })
    await clock.advance(1)
    expect(await server.refusal({ ticket: second })).toEqual(refused)
  })

  test('needs credentials', async () => {
    await using server = await pushServer({ model: model() })
    const { status, json } = await server.ask('POST', '/api/ws-ticket', { key: null })
    expect([status, json]).toEqual([401, { error: 'unauthorized', message: 'Valid API key required' }])
  })

  test('stands for who asked for it, where the host knows people by a header', async () => {
    const ann = { tenant: 'default', subject: 'ann', roles: [], via: 'host', ambient: false }
    const bob = { ...ann, subject: 'bob' }
    await using server = await pushServer({ model: model(), users: { ann, bob } })
    const { json } = await server.ask('POST', '/api/ws-ticket', { key: null, user: 'ann' })
    const push = await server.connect({ ticket: json.ticket })
    const handle = server.runtime.caller('bob').run('assistant', { message: 'Hi' })
    await handle.outcome
    await server.runtime.caller('ann').run('assistant', { message: 'Hi' }).outcome
    const { session_id } = await push.first('model_selection')
    expect(session_id).not.toBe((await handle.accepted).session)
    expect(push.frames.filter(({ type }) => type === 'model_selection')).toHaveLength(1)
  })

  test('cannot be hoarded', async () => {
    const clock = virtualClock()
    await using server = await pushServer({ model: model(), clock })
    for (let count = 0; count < 100; count += 1) await ticketOf(server)
    const refusal = await server.ask('POST', '/api/ws-ticket')
    expect([refusal.status, refusal.headers['retry-after']]).toEqual([429, '30'])
    await clock.advance(30_000)
    expect((await server.ask('POST', '/api/ws-ticket')).status).toBe(200)
  })
})

describe('without a configured key', () => {
  test('a peer on this machine is let in where that is trusted', async () => {
    await using server = await pushServer({ model: model(), surface: { trustLoopback: true } })
    expect((await server.connect({ key: null })).frames).toHaveLength(1)
  })

  test('nobody is where it is not', async () => {
    await using server = await pushServer({ model: model(), surface: {} })
    expect(await server.refusal({ key: null })).toEqual(refused)
    expect(await server.refusal({ key: 'any' })).toEqual(refused)
  })

  test('a page of another origin cannot use what its browser would be trusted with', async () => {
    await using server = await pushServer({ model: model(), surface: { trustLoopback: true } })
    const foreign = { origin: 'https://elsewhere.example' }
    expect((await server.refusal({ key: null, headers: foreign })).status).toBe(403)
    expect((await server.ask('POST', '/api/ws-ticket', { key: null, headers: foreign })).status).toBe(403)
    const own = { origin: `http://127.0.0.1:${server.port}` }
    expect((await server.connect({ key: null, headers: own })).frames).toHaveLength(1)
  })

  test('a page of another origin that holds the key may', async () => {
    await using server = await pushServer({ model: model() })
    const push = await server.connect({ headers: { origin: 'https://elsewhere.example' } })
    expect(push.frames).toHaveLength(1)
  })
})

test('who asks over plain HTTP is told that the address speaks WebSocket', async () => {
  await using server = await pushServer({ model: model() })
  const { headers, status } = await server.ask('GET', '/ws')
  expect([status, headers['upgrade']]).toEqual([426, 'websocket'])
})
