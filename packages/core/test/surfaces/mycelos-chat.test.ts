import { defineTool } from '@keelson/core'
import { callTool, fail, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { assistant, chat, dataOf, eventsOf, modelName, mycelosServer, namesOf, until, uuid } from './mycelos-server.ts'

const sendMail = (sent: string[]) =>
  defineTool({
    name: 'send_mail',
    description: 'Sends a mail',
    input: z.object({ to: z.string() }),
    risk: 'caution',
    approval: 'always',
    execute: ({ to }) => {
      sent.push(to)
      return { sent: true, widget: { type: 'status_card', title: 'Sent', facts: { to } } }
    },
  })

const messagesOf = async (server: Awaited<ReturnType<typeof mycelosServer>>, id: string) =>
  (await server.ask('GET', `/api/sessions/${encodeURIComponent(id)}/messages`)).json.messages

describe('a plain message', () => {
  test('is session, agent, deltas, the text and done, in order', async () => {
    await using server = await mycelosServer({ model: scriptedModel([say(['Hel', 'lo ', 'wörld.\n\nid: 1'])]) })
    const got = await server.ask('POST', '/api/chat', { body: { message: 'Hi' } })
    expect(got.headers).toMatchObject({ 'cache-control': 'no-cache', 'x-accel-buffering': 'no' })
    expect(eventsOf(got.text)).toEqual([
      { event: 'session', data: { session_id: uuid, resumed: false } },
      { event: 'agent', data: { agent: 'The assistant' } },
      { event: 'text-delta', data: { delta: 'Hel' } },
      { event: 'text-delta', data: { delta: 'lo ' } },
      { event: 'text-delta', data: { delta: 'wörld.\n\nid: 1' } },
      { event: 'text', data: { content: 'Hello wörld.\n\nid: 1' } },
      { event: 'done', data: { tokens: 15, model: modelName, cost: 0 } },
    ])
  })

  test('goes on in its session, which the model sees whole', async () => {
    const model = scriptedModel([say('One.'), say('Two.')])
    await using server = await mycelosServer({ model })
    const { session_id } = dataOf(await chat(server, 'First\nof all'), 'session')
    expect(dataOf(await chat(server, { message: 'Second', session_id }), 'session').session_id).toBe(session_id)
    expect(model.calls[1]?.request.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
    expect(await messagesOf(server, session_id)).toMatchObject([
      { role: 'user', content: 'First\nof all' },
      { role: 'assistant', content: 'One.', metadata: { tokens: 15, model: modelName } },
      { role: 'user', content: 'Second' },
      { role: 'assistant', content: 'Two.' },
    ])
    expect((await server.ask('GET', '/api/sessions')).json).toMatchObject([
      { session_id, title: 'First of all', message_count: 4 },
    ])
  })

  test.each(['local-1763760000000', 'with space', 'ünï/code'])(
    'to an unknown session makes it under that id: %s',
    async (id) => {
      await using server = await mycelosServer({ model: scriptedModel([say('Yes.'), say('Again.')]) })
      expect(dataOf(await chat(server, { message: 'Hi', session_id: id }), 'session').session_id).toBe(id)
      await chat(server, { message: 'More', session_id: id })
      expect((await server.ask('GET', '/api/sessions')).json).toMatchObject([
        { session_id: id, file: `${id}.jsonl`, message_count: 4 },
      ])
      expect(await messagesOf(server, id)).toHaveLength(4)
    },
  )

  test.each([[null], ['']])('without a session, as %j, begins one', async (session_id) => {
    await using server = await mycelosServer({ model: scriptedModel([say('Hi.')]) })
    expect(dataOf(await chat(server, { message: 'Hi', session_id }), 'session').session_id).toEqual(uuid)
  })

  test('that is empty is sent to the model, and names nothing', async () => {
    const model = scriptedModel([say('Say something.')])
    await using server = await mycelosServer({ model })
    expect(dataOf(await chat(server, ''), 'text').content).toBe('Say something.')
    expect(model.calls).toHaveLength(1)
    expect((await server.ask('GET', '/api/sessions')).json[0]).not.toHaveProperty('title')
  })

  test('names its session by at most 60 characters', async () => {
    await using server = await mycelosServer({ model: scriptedModel([say('Hi.')]) })
    await chat(server, `${'\u{1f600}'.repeat(59)}ab and more`)
    expect((await server.ask('GET', '/api/sessions')).json[0].title).toBe(`${'\u{1f600}'.repeat(59)}a…`)
  })

  test('that its client does not wait for is answered all the same', async () => {
    const open = Promise.withResolvers<void>()
    const model = scriptedModel([say('Later.')])
    const slow = {
      ...model,
      stream: (...call: Parameters<typeof model.stream>) => hold(open.promise, model.stream(...call)),
    }
    await using server = await mycelosServer({ model: slow })
    const leaving = new AbortController()
    const response = await fetch(`${server.origin}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Basic ${btoa('x:test-password-0123')}` },
      body: JSON.stringify({ message: 'Hi', session_id: 's' }),
      signal: leaving.signal,
    })
    await response.body?.getReader().read()
    leaving.abort()
    open.resolve()
    await until(async () => (await messagesOf(server, 's')).length === 2, 'the answer is stored')
  })
})

async function* hold<Part>(opened: Promise<void>, parts: AsyncIterable<Part>) {
  await opened
  yield* parts
}

describe('tools', () => {
  test('are steps before the text; what the model says between them is streamed', async () => {
    const model = scriptedModel([[say('Looking.'), callTool('weather', { city: 'Oslo' })], say('Clear.')])
    await using server = await mycelosServer({ model })
    const events = await chat(server, 'Weather?')
    expect(namesOf(events)).toEqual([
      'session',
      'agent',
      'text-delta',
      'step-progress',
      'step-progress',
      'text-delta',
      'text',
      'done',
    ])
    expect(events.filter(({ event }) => event === 'step-progress').map(({ data }) => data)).toEqual([
      { step_id: 'weather', status: 'running' },
      { step_id: 'weather', status: 'done' },
    ])
    expect(dataOf(events, 'text').content).toBe('Clear.')
    expect(dataOf(events, 'done').tokens).toBe(30)
    const { session_id } = dataOf(events, 'session')
    expect(await messagesOf(server, session_id)).toMatchObject([
      { role: 'user', content: 'Weather?' },
      { role: 'assistant', content: 'Clear.', metadata: { tokens: 30 } },
    ])
    expect((await server.ask('GET', '/api/sessions')).json[0].message_count).toBe(2)
  })

  test('may show a block and offer a link', async () => {
    const chart = defineTool({
      name: 'chart',
      description: 'Draws',
      input: z.object({}),
      risk: 'safe',
      execute: () => ({
        widget: { type: 'table', headers: ['a'], rows: [['1']] },
        link: { label: 'The source', url: 'https://example.com/x' },
      }),
    })
    const model = scriptedModel([callTool('chart'), say('See `/memory list` and `/nonsense`.\n/agent list\n')])
    await using server = await mycelosServer({ model, agents: [assistant({ tools: [chart] })] })
    const events = await chat(server, 'Draw')
    expect(dataOf(events, 'widget').widget).toEqual({ type: 'table', headers: ['a'], rows: [['1']] })
    expect(dataOf(events, 'suggested-actions').actions).toEqual([
      { label: 'The source', kind: 'link', url: 'https://example.com/x' },
      { label: '/memory list', command: '/memory list' },
      { label: '/agent list', command: '/agent list' },
    ])
    expect(namesOf(events).slice(-3)).toEqual(['text', 'suggested-actions', 'done'])
  })

  test('run in at most five rounds', async () => {
    const rounds = (count: number) => Array.from({ length: count }, () => callTool('weather', { city: 'Oslo' }))
    const model = scriptedModel([...rounds(5), say('Enough.'), ...rounds(6)])
    await using server = await mycelosServer({ model })
    expect(dataOf(await chat(server, 'Go'), 'text').content).toBe('Enough.')
    const events = await chat(server, 'Go on')
    expect(events.filter(({ event }) => event === 'step-progress')).toHaveLength(10)
    expect(dataOf(events, 'error').message).toContain('step limit')
    model.assertComplete()
  })
})

describe('a model that fails', () => {
  test('is an error that ends the stream without done, and leaves the question', async () => {
    await using server = await mycelosServer({ model: scriptedModel([fail('auth')], { otherwise: fail('auth') }) })
    const events = await chat(server, { message: 'Hi', session_id: 's' })
    expect(namesOf(events)).toEqual(['session', 'agent', 'error'])
    expect(dataOf(events, 'error').message).toMatch(/^LLM error: /)
    expect(await messagesOf(server, 's')).toMatchObject([{ role: 'user', content: 'Hi' }])
  })
})

describe('an approval', () => {
  const asking = async (after = say('Done.'), sent: string[] = []) => {
    const model = scriptedModel([[say(['I will.']), callTool('send_mail', { to: 'ada@example.com' })], after])
    const server = await mycelosServer({ model, agents: [assistant({ tools: [sendMail(sent)] })] })
    const events = await chat(server, { message: 'Mail Ada', session_id: 's' })
    return { server, events, sent, model }
  }

  test('is a question; nothing runs before its answer', async () => {
    const { server, events, sent } = await asking()
    await using _ = server
    expect(namesOf(events)).toEqual([
      'session',
      'agent',
      'text-delta',
      'step-progress',
      'step-progress',
      'text',
      'system-response',
      'widget',
      'done',
    ])
    expect(events.filter(({ event }) => event === 'step-progress').map(({ data }) => data)).toEqual([
      { step_id: 'send_mail', status: 'running' },
      { step_id: 'send_mail', status: 'permission_needed' },
    ])
    expect(dataOf(events, 'widget').widget).toMatchObject({
      type: 'permission_prompt',
      tool: 'send_mail',
      arguments: '{"to":"ada@example.com"}',
    })
    expect(sent).toEqual([])
  })

  test.each(['yes', 'Yes, please!', 'OK', 'ja', 'Ja, bitte.', 'genehmigt'])('%j lets it run', async (answer) => {
    const { server, sent, model } = await asking()
    await using _ = server
    const events = await chat(server, { message: answer, session_id: 's' })
    expect(namesOf(events)).toEqual(['session', 'agent', 'step-progress', 'widget', 'text-delta', 'text', 'done'])
    expect(dataOf(events, 'text').content).toBe('Done.')
    expect(dataOf(events, 'widget').widget).toMatchObject({ type: 'status_card' })
    expect(sent).toEqual(['ada@example.com'])
    model.assertComplete()
    const turns = await server.runtime.client.sessions.turns({ session: 's', limit: 9, offset: 0 })
    expect(turns).toMatchObject([{ status: 'completed' }])
  })

  test.each(['no', 'Nein!', 'no thanks', 'abbrechen'])('%j refuses it, and the model hears so', async (answer) => {
    const { server, sent, model } = await asking(say('As you like.'))
    await using _ = server
    const events = await chat(server, { message: answer, session_id: 's' })
    expect(dataOf(events, 'text').content).toBe('As you like.')
    expect(sent).toEqual([])
    model.assertComplete()
  })

  test.each(['What would it say?', 'yes but change the address to bob', 'no idea what you mean by that'])(
    '%j is no decision: the question is withdrawn for it',
    async (message) => {
      const { server, sent, model } = await asking(say('It would greet.'))
      await using _ = server
      const events = await chat(server, { message, session_id: 's' })
      expect(dataOf(events, 'text').content).toBe('It would greet.')
      expect(sent).toEqual([])
      expect(JSON.stringify(model.calls[1]?.request.messages.at(-1))).toContain(message)
      const turns = await server.runtime.client.sessions.turns({ session: 's', limit: 9, offset: 0 })
      expect(turns).toMatchObject([{ status: 'cancelled' }, { status: 'completed' }])
      expect(await server.runtime.client.approvals.list({ status: 'pending', limit: 9, offset: 0 })).toEqual([])
    },
  )

  test('of several is asked for and decided in the order in which the model called', async () => {
    const sent: string[] = []
    const to = ['d@x', 'a@x', 'c@x', 'b@x']
    await using server = await mycelosServer({
      model: scriptedModel([to.map((address) => callTool('send_mail', { to: address })), say('They are out.')]),
      agents: [assistant({ tools: [sendMail(sent)] })],
    })
    const asked: string[] = []
    for (const message of ['Mail all', 'yes', 'no', 'yes']) {
      const { widget } = dataOf(await chat(server, { message, session_id: 's' }), 'widget')
      asked.push(JSON.parse(String(widget['arguments'])).to)
      expect(sent).toEqual([])
    }
    expect(asked).toEqual(to)
    expect(dataOf(await chat(server, { message: 'yes', session_id: 's' }), 'text').content).toBe('They are out.')
    expect(sent.toSorted()).toEqual(['b@x', 'c@x', 'd@x'])
  })

  test('of another session is not answered', async () => {
    const { server, sent, model } = await asking()
    await using _ = server
    const events = await chat(server, { message: 'yes', session_id: 'other' })
    expect(dataOf(events, 'text').content).toBe('Done.')
    expect(sent).toEqual([])
    expect(model.calls[1]?.request.messages).toHaveLength(1)
  })
})

describe('handing over', () => {
  const agents = [assistant(), assistant({ id: 'poet', name: 'The poet' })]

  test('is announced, remembered, and told of by its own notice alone', async () => {
    await using server = await mycelosServer({ model: scriptedModel([say('A'), say('B'), say('C'), say('D')]), agents })
    const first = await chat(server, { message: 'Hi', session_id: 's' })
    expect(dataOf(first, 'agent').agent).toBe('The assistant')
    const second = await chat(server, { message: 'A verse', session_id: 's', target_agent_id: 'poet' })
    expect(namesOf(second)).toEqual(['session', 'system-response', 'text-delta', 'text', 'done'])
    expect(dataOf(second, 'system-response').content).toContain('The poet')
    const third = await chat(server, { message: 'More', session_id: 's' })
    expect(dataOf(third, 'agent').agent).toBe('The poet')
    const messages = await messagesOf(server, 's')
    expect(messages[3].metadata).toEqual({ agent: 'poet' })
    const back = await chat(server, { message: 'Back', session_id: 's', target_agent_id: 'mycelos' })
    expect(dataOf(back, 'system-response').content).toContain('The assistant')
  })

  test('to an unknown agent is refused without done, and asks no model', async () => {
    const model = scriptedModel([])
    await using server = await mycelosServer({ model, agents })
    const events = await chat(server, { message: 'Hi', target_agent_id: 'nobody' })
    expect(namesOf(events)).toEqual(['session', 'system-response'])
    expect((await server.ask('GET', '/api/sessions')).json).toEqual([])
    expect(model.calls).toEqual([])
  })
})

describe('without a model', () => {
  test('the answer says that a setup is needed, and nothing is stored', async () => {
    await using server = await mycelosServer({ model: scriptedModel([]), agents: [] })
    const events = await chat(server, { message: 'Hi', session_id: 's' })
    expect(namesOf(events)).toEqual(['session', 'system-response', 'done'])
    expect(dataOf(events, 'system-response').widget).toBe('setup_required')
    expect((await server.ask('GET', '/api/sessions')).json).toEqual([])
    expect(namesOf(await chat(server, '/help'))).toEqual(['session', 'system-response', 'done'])
  })
})

describe('what is wrong with a message is said in the framework’s own way', () => {
  test.each<[string, unknown, Record<string, string>?]>([
    ['no message', {}],
    ['a number', { message: 7 }],
    ['null', { message: null }],
    ['a session that is no text', { message: 'x', session_id: 7 }],
    ['a session with a NUL', { message: 'x', session_id: 'a\0b' }],
    ['a session that is too long', { message: 'x', session_id: 'x'.repeat(201) }],
    ['no JSON', '{'],
    ['a list', []],
    ['another type', 'message=x', { 'content-type': 'text/plain' }],
  ])('%s', async (_, body, headers) => {
    await using server = await mycelosServer({ model: scriptedModel([]) })
    const got = await server.ask('POST', '/api/chat', { body, ...(headers ? { headers } : {}) })
    expect(got.status).toBe(422)
    expect(got.json.detail[0]).toMatchObject({
      type: expect.any(String),
      loc: expect.any(Array),
      msg: expect.any(String),
    })
    expect((await server.ask('GET', '/api/sessions')).json).toEqual([])
  })

  test('too much of it is a 413', async () => {
    await using server = await mycelosServer({ model: scriptedModel([]) })
    const got = await server.ask('POST', '/api/chat', { body: { message: 'x'.repeat(1_100_000) } })
    expect([got.status, got.json]).toEqual([413, { error: expect.any(String) }])
  })
})
