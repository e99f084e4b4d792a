import { callTool, fail, finish, hang, respond, say, scriptedModel, think } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { type StreamFrame, streamFrame } from '../../src/surfaces/roboticus/message-stream.ts'
import {
  apiKey,
  assistant,
  modelName,
  roboticusServer,
  type TestServer,
  until,
  uuid,
  weather,
} from './roboticus-server.ts'

const path = '/api/agent/message/stream'

interface SentFrame {
  readonly id: number
  readonly frame: StreamFrame
}

/** Every frame of an event stream, checked: an id, one line of JSON, nothing else but comments. */
function framesOf(text: string): SentFrame[] {
  return text
    .split('\n\n')
    .filter((block) => block !== '' && !block.startsWith(':'))
    .map((block) => {
      const [, id, data] = /^id: (\d+)\ndata: ([^\r\n]*)$/.exec(block) ?? []
      expect(data, `${JSON.stringify(block)} is an id and a data line`).toBeDefined()
      return { id: Number(id), frame: streamFrame.parse(JSON.parse(data ?? '')) }
    })
}

async function streamed(server: TestServer, body: object = { content: 'Hi' }) {
  const got = await server.ask('POST', path, { body })
  expect([got.status, got.json]).toEqual([200, undefined])
  return framesOf(got.text)
}

const typesOf = (frames: readonly SentFrame[]) => frames.map(({ frame }) => frame.type)

const textOf = (frames: readonly SentFrame[]) =>
  frames.map(({ frame }) => (frame.type === 'chunk' ? frame.delta : '')).join('')

const chunk = (delta: string, more: object = {}) => ({
  type: 'chunk',
  delta,
  model: modelName,
  finish_reason: null,
  ...more,
})

const end = (more: object) => ({
  type: 'stream_end',
  session_id: uuid,
  turn_id: uuid,
  model: modelName,
  tokens_in: 10,
  tokens_out: 5,
  content_blocked: false,
  ...more,
})

/** A model call that waits until the test lets it go. */
function gate() {
  const { promise: opened, resolve: open } = Promise.withResolvers<void>()
  return { opened, open }
}

describe('a streamed answer', () => {
  test('is a start, its chunks and an end, in order', async () => {
    await using server = await roboticusServer({ model: scriptedModel([say(['Hel', 'lo ', 'wörld.'])]) })
    const frames = await streamed(server)
    expect(frames.map(({ frame }) => frame)).toEqual([
      { type: 'stream_start', session_id: uuid, turn_id: uuid, model: modelName },
      chunk('Hel'),
      chunk('lo '),
      chunk('wörld.'),
      chunk('', { finish_reason: 'stop' }),
      end({ content_length: 13 }),
    ])
    const ids = frames.map(({ id }) => id)
    expect(ids).toEqual(ids.toSorted((a, b) => a - b))
    expect(ids.at(-1)).toBeGreaterThan(ids[0] ?? 0)
  })

  test('is stored like any other, without a nickname', async () => {
    await using server = await roboticusServer({ model: scriptedModel([say('Hello.')]) })
    const [start] = await streamed(server, { content: 'Hi there' })
    const id = start?.frame.type === 'stream_start' ? start.frame.session_id : ''
    expect((await server.ask('GET', `/api/sessions/${id}`)).json.nickname).toBeNull()
    const { messages } = (await server.ask('GET', `/api/sessions/${id}/messages`)).json
    expect(messages).toMatchObject([{ content: 'Hi there' }, { content: 'Hello.' }])
    const turns = await server.runtime.client.sessions.turns({ session: id, limit: 10, offset: 0 })
    expect(turns).toMatchObject([{ status: 'completed', usage: { input: 10, output: 5 } }])
    expect(start?.frame).toMatchObject({ turn_id: turns[0]?.id })
  })

  test('line breaks and odd characters come through', async () => {
    const text = 'a\nb\r\nc\u2028d \u{1f600} "quoted" \\ \0 data: x\n\nid: 1\n\n'
    await using server = await roboticusServer({ model: scriptedModel([say([text])]) })
    expect(textOf(await streamed(server))).toBe(text)
  })

  test('keeps thinking to itself, but begins with it', async () => {
    const model = scriptedModel([[think('Hmm, hmm.'), say('Hello.')]])
    await using server = await roboticusServer({ model })
    const frames = await streamed(server)
    expect(textOf(frames)).toBe('Hello.')
    expect(JSON.stringify(frames)).not.toContain('Hmm')
  })

  test('tells why it ended', async () => {
    const model = scriptedModel([[say('Hel'), finish({ reason: 'length' })]])
    await using server = await roboticusServer({ model })
    expect((await streamed(server)).map(({ frame }) => frame)).toContainEqual(chunk('', { finish_reason: 'length' }))
  })

  test('runs tools on the way, and keeps the texts of the steps apart', async () => {
    const model = scriptedModel([
      [say('Let me look.'), callTool('weather', { city: 'Oslo' })],
      say(['Clear ', 'there.']),
    ])
    await using server = await roboticusServer({ model })
    const frames = await streamed(server)
    expect(textOf(frames)).toBe('Let me look.\n\nClear there.')
    expect(frames.at(-1)?.frame).toEqual(end({ tokens_in: 20, tokens_out: 10, content_length: 12 }))
    expect(typesOf(frames).filter((type) => type !== 'chunk')).toEqual(['stream_start', 'stream_end'])
    expect(model.calls[1]?.request.messages.at(-1)?.parts).toMatchObject([{ type: 'tool-result', tool: 'weather' }])
  })

  test('asks for approval and goes on', async () => {
    const model = scriptedModel([callTool('weather', { city: 'Oslo' }), say('I asked.')])
    await using server = await roboticusServer({
      model,
      agents: [assistant({ tools: [{ ...weather, approval: 'always' }] })],
    })
    expect(textOf(await streamed(server))).toBe('I asked.')
    expect((await server.ask('GET', '/api/approvals')).json.total).toBe(1)
  })

  test('arrives piece by piece', async () => {
    const { open, opened } = gate()
    const rest = respond(async () => {
      await opened
      return say('second')
    })
    await using server = await roboticusServer({ model: scriptedModel([[say('first '), rest]]) })
    const response = await fetch(`${server.origin}${path}`, {
      method: 'POST',
      headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
      body: JSON.stringify({ content: 'Hi' }),
    })
    expect(response.headers.get('cache-control')).toBe('no-store')
    const decoder = new TextDecoder()
    let text = ''
    for await (const piece of response.body ?? []) {
      text += decoder.decode(piece, { stream: true })
      if (text.includes('first ')) open()
    }
    expect(textOf(framesOf(text))).toBe('first second')
  })
})

describe('a provider that fails', () => {
  test('before any text is a 502 in plain JSON', async () => {
    const model = scriptedModel([], { otherwise: fail('server', { message: 'secret detail' }) })
    await using server = await roboticusServer({ model })
    const got = await server.ask('POST', path, { body: { content: 'Hi' } })
    expect(got.status).toBe(502)
    expect(got.headers['content-type']).toBe('application/json')
    expect(got.json).toEqual({ error: 'upstream provider error' })
    const [session] = (await server.ask('GET', '/api/sessions')).json.sessions
    const { messages } = (await server.ask('GET', `/api/sessions/${session.id}/messages`)).json
    expect(messages).toMatchObject([{ role: 'user' }])
  })

  test('before any text is not noticed when another answers', async () => {
    await using server = await roboticusServer({ model: scriptedModel([fail('auth'), say('Hello.')]) })
    const frames = await streamed(server)
    expect(frames[0]?.frame).toMatchObject({ type: 'stream_start', model: 'other/model' })
    expect(frames.at(-1)?.frame).toMatchObject({ type: 'stream_end', model: 'other/model', content_length: 6 })
  })

  test('after the first chunk is an error frame, and the end still follows', async () => {
    const model = scriptedModel([], { otherwise: fail('server', { afterText: 'Half an', message: 'secret detail' }) })
    await using server = await roboticusServer({ model, agents: [assistant({ models: [modelName] })] })
    const frames = await streamed(server)
    expect(frames.slice(-2).map(({ frame }) => frame)).toEqual([
      { type: 'error', error: 'upstream provider error' },
      end({ tokens_in: 0, tokens_out: 0, content_length: 7 }),
    ])
    expect(textOf(frames)).toBe('Half an')
    expect(JSON.stringify(frames)).not.toContain('secret')
  })

  test('after the first chunk is mended by another attempt, which repeats nothing', async () => {
    const model = scriptedModel([fail('server', { afterText: 'The sky' }), say(['The ', 'sky ', 'is clear.'])])
    await using server = await roboticusServer({ model, limits: { attempts: 2 } })
    const frames = await streamed(server)
    expect(textOf(frames)).toBe('The sky is clear.')
    expect(typesOf(frames)).not.toContain('error')
    expect(frames.at(-1)?.frame).toMatchObject({ type: 'stream_end', content_length: 17 })
  })

  test('after the first chunk is mended by another model, whose own words begin a paragraph', async () => {
    const model = scriptedModel([fail('auth', { afterText: 'The sky' }), say(['The ', 'weather ', 'is fine.'])])
    await using server = await roboticusServer({ model })
    const frames = await streamed(server)
    expect(textOf(frames)).toBe('The sky\n\nThe weather is fine.')
    expect(frames.at(-1)?.frame).toMatchObject({ model: 'other/model', content_length: 20 })
  })

  test('after a tool has run is an error frame too', async () => {
    const model = scriptedModel([callTool('weather', { city: 'Oslo' })], { otherwise: fail('auth') })
    await using server = await roboticusServer({ model })
    const frames = await streamed(server)
    expect(typesOf(frames)).toEqual(['stream_start', 'error', 'stream_end'])
    expect(frames.at(-1)?.frame).toEqual(end({ model: 'other/model', content_length: 0 }))
  })
})

describe('a turn that ends otherwise', () => {
  test('at the step limit: an error frame that says so', async () => {
    const model = scriptedModel([], { otherwise: callTool('weather', { city: 'Oslo' }) })
    await using server = await roboticusServer({ model, agents: [assistant({ maxSteps: 1 })] })
    expect((await streamed(server)).at(-2)?.frame).toEqual({
      type: 'error',
      error: 'the model kept calling tools past the step limit',
    })
  })

  const running = async ({ runtime: { client } }: TestServer) => {
    const [session] = await client.sessions.list({ limit: 1, offset: 0 })
    return session ? (await client.sessions.turns({ session: session.id, limit: 1, offset: 0 }))[0] : undefined
  }

  test('cancelled before any text: a 500', async () => {
    await using server = await roboticusServer({ model: scriptedModel([hang()]) })
    const pending = server.ask('POST', path, { body: { content: 'Hi' } })
    await until(async () => (await running(server))?.status === 'running', 'it runs')
    await server.runtime.client.turns.cancel({ id: (await running(server))?.id ?? '' })
    const got = await pending
    expect([got.status, got.json]).toEqual([500, { error: 'the turn was cancelled' }])
  })

  test('cancelled after some text: an error frame and the end', async () => {
    const model = scriptedModel([[say('Half'), hang()]])
    await using server = await roboticusServer({ model })
    const pending = streamed(server)
    await until(async () => (await running(server))?.status === 'running', 'it runs')
    await server.runtime.client.turns.cancel({ id: (await running(server))?.id ?? '' })
    const frames = await pending
    expect(frames.at(-2)?.frame).toEqual({ type: 'error', error: 'the turn was cancelled' })
    expect(typesOf(frames).at(-1)).toBe('stream_end')
  })

  test('the server stops: an error frame and the end, and the turn is left to be resumed', async () => {
    const { open, opened } = gate()
    const stuck = respond(() => {
      open()
      return hang()
    })
    const model = scriptedModel([[say('Half'), stuck]])
    await using server = await roboticusServer({ model })
    const pending = streamed(server)
    await opened
    await server.runtime.stop()
    const frames = await pending
    expect(textOf(frames)).toBe('Half')
    expect(frames.at(-2)?.frame).toEqual({ type: 'error', error: 'the stream was interrupted' })
    expect(typesOf(frames).at(-1)).toBe('stream_end')
  })
})

test('a client that leaves in mid-stream does not stop the turn', async () => {
  const { open, opened } = gate()
  const rest = respond(async () => {
    await opened
    return say('and the rest.')
  })
  const model = scriptedModel([[say('First '), rest]])
  await using server = await roboticusServer({ model })
  const leaving = new AbortController()
  const response = await fetch(`${server.origin}${path}`, {
    method: 'POST',
    headers: { 'x-api-key': apiKey, 'content-type': 'application/json' },
    body: JSON.stringify({ content: 'Hi' }),
    signal: leaving.signal,
  })
  const reader = response.body?.getReader()
  await reader?.read()
  leaving.abort()
  await reader?.closed.catch(() => {})
  open()
  const { client } = server.runtime
  const messages = async () => {
    const [session] = await client.sessions.list({ limit: 1, offset: 0 })
    return await client.sessions.messages({ session: session?.id ?? '', limit: 10 })
  }
  await until(async () => (await messages()).length === 2, 'the answer is stored')
  expect((await messages())[1]?.parts).toEqual([{ type: 'text', text: 'First and the rest.' }])
  expect(server.runtime.reported).toEqual([])
})
