import { callTool, respond, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { type StreamFrame, streamFrame } from '../../src/surfaces/roboticus/message-stream.ts'
import { roboticusServer, type TestServer } from './roboticus-server.ts'

const message = '/api/agent/message'
const stream = '/api/agent/message/stream'
const body = { content: 'Hi' }
const keyed = (key: string, more: Record<string, string> = {}) => ({ 'idempotency-key': key, ...more })

const frames = (text: string): { id: string; frame: StreamFrame }[] =>
  [...text.matchAll(/id: (\d+)\ndata: (.*)\n/g)].map(([, id = '', data = '']) => ({
    id,
    frame: streamFrame.parse(JSON.parse(data)),
  }))

const said = (text: string) =>
  frames(text)
    .map(({ frame }) => (frame.type === 'chunk' ? frame.delta : ''))
    .join('')

const turnsOf = async (server: TestServer): Promise<number> =>
  (await server.ask('GET', '/api/sessions')).json.sessions.reduce(
    (sum: number, { turn_count }: { turn_count: number }) => sum + turn_count,
    0,
  )

describe('a request repeated under its idempotency key', () => {
  test('is answered with the same turn, which runs once', async () => {
    const model = scriptedModel([say('one')])
    await using server = await roboticusServer({ model })
    const first = await server.ask('POST', message, { body, headers: keyed('a') })
    const second = await server.ask('POST', message, { body, headers: keyed('a') })
    expect(first.json.content).toBe('one')
    expect(second.json).toEqual(first.json)
    expect(await turnsOf(server)).toBe(1)
    model.assertComplete()
  })

  test('joins the running turn when both come at once', async () => {
    const { promise: gone, resolve: go } = Promise.withResolvers<void>()
    const model = scriptedModel([respond(() => gone.then(() => say('one')))])
    await using server = await roboticusServer({ model })
    const asks = [1, 2, 3].map(() => server.ask('POST', message, { body, headers: keyed('a') }))
    setTimeout(go, 50)
    const answers = await Promise.all(asks)
    expect(new Set(answers.map(({ json }) => json.assistant_message_id)).size).toBe(1)
    expect(await turnsOf(server)).toBe(1)
  })

  test('is answered with the same turn although the sessions were rotated since', async () => {
    const model = scriptedModel([say('one')])
    await using server = await roboticusServer({ model })
    const first = await server.ask('POST', message, { body, headers: keyed('a') })
    await server.ask('POST', '/api/sessions', { body: { agent_id: 'assistant' } })
    expect((await server.ask('POST', message, { body, headers: keyed('a') })).json).toEqual(first.json)
  })

  test('is refused with another body', async () => {
    const model = scriptedModel([say('one')])
    await using server = await roboticusServer({ model })
    await server.ask('POST', message, { body, headers: keyed('a') })
    const other = await server.ask('POST', message, { body: { content: 'Bye' }, headers: keyed('a') })
    expect([other.status, other.json]).toEqual([422, { error: 'this idempotency key was used with another request' }])
  })

  test.each(['', 'x'.repeat(256), 'schlüssel'])('is refused under the key %j', async (key) => {
    await using server = await roboticusServer({ model: scriptedModel([]) })
    const headers = { 'idempotency-key': Buffer.from(key, 'utf8').toString('latin1') }
    expect((await server.ask('POST', message, { body, headers })).status).toBe(400)
  })
})

describe('a stream that is taken up again', () => {
  const script = () => [callTool('weather', { city: 'Oslo' }), say(['Clear ', 'in ', 'Oslo.'])]

  test('gives exactly the rest after the last event the client saw', async () => {
    const model = scriptedModel(script())
    await using server = await roboticusServer({ model })
    const whole = (await server.ask('POST', stream, { body, headers: keyed('a') })).text
    expect(said(whole)).toBe('Clear in Oslo.')
    const after = frames(whole).find(({ frame }) => frame.type === 'chunk')?.id ?? ''
    const rest = await server.ask('POST', stream, { body, headers: keyed('a', { 'last-event-id': after }) })
    expect(said(rest.text)).toBe('in Oslo.')
    expect(frames(rest.text).at(-1)).toEqual(frames(whole).at(-1))
    model.assertComplete()
  })

  test('is a start and an end when everything was seen', async () => {
    await using server = await roboticusServer({ model: scriptedModel(script()) })
    const whole = (await server.ask('POST', stream, { body, headers: keyed('a') })).text
    const last = frames(whole).at(-1)?.id ?? ''
    const rest = await server.ask('POST', stream, { body, headers: keyed('a', { 'last-event-id': last }) })
    expect(frames(rest.text).map(({ frame }) => frame.type)).toEqual(['stream_start', 'stream_end'])
    expect(frames(rest.text).at(-1)).toEqual(frames(whole).at(-1))
  })

  test('is whole when the message is new, whatever id the client sends along', async () => {
    await using server = await roboticusServer({ model: scriptedModel(script()) })
    const got = await server.ask('POST', stream, { body, headers: { 'last-event-id': '999999' } })
    expect(said(got.text)).toBe('Clear in Oslo.')
  })

  test.each(['-1', 'x', '1e3', '9'.repeat(30)])('begins anew after the last event id %s', async (id) => {
    await using server = await roboticusServer({ model: scriptedModel(script()) })
    await server.ask('POST', stream, { body, headers: keyed('a') })
    const again = await server.ask('POST', stream, { body, headers: keyed('a', { 'last-event-id': id }) })
    expect(said(again.text)).toBe('Clear in Oslo.')
  })
})
