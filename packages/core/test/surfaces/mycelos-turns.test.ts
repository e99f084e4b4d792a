import { defineTool } from '@keelson/core'
import { callTool, fail, respond, say, scriptedModel, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ChatEvent } from '../../src/surfaces/mycelos/chat-events.ts'
import { assistant, chat, dataOf, modelName, mycelosServer, namesOf, type TestServer, until } from './mycelos-server.ts'

const tool = (name: string, execute: () => unknown, approval: 'always' | 'never' = 'never') =>
  defineTool({ name, description: name, input: z.object({}), risk: 'caution', approval, execute })

const messagesOf = async (server: Pick<TestServer, 'ask'>, id = 's') =>
  (await server.ask('GET', `/api/sessions/${encodeURIComponent(id)}/messages`)).json.messages

const deltasOf = (events: readonly ChatEvent[]): string =>
  events.map((event) => (event.event === 'text-delta' ? event.data.delta : '')).join('')

const send = (server: TestServer, message: string, session_id = 's') => chat(server, { message, session_id })

describe('the pieces of an answer', () => {
  test.each([
    ['an answer', ['Hello ', 'there.']],
    ['an empty one', []],
    ['line ends of all sorts', ['a\r\nb\rc\n\nd\u2028e', '\n\ndata: x\n\n']],
    ['pairs that are parted', ['\ud83d', '\ude00']],
    ['a megabyte', Array.from({ length: 64 }, () => 'x'.repeat(15_000))],
  ])('are together its text: %s', async (_, chunks) => {
    await using server = await mycelosServer({ model: scriptedModel([say(chunks)]) })
    const events = await send(server, 'Hi')
    const { content } = dataOf(events, 'text')
    if (!chunks.some((chunk) => !chunk.isWellFormed())) expect(deltasOf(events)).toBe(content)
    expect(content).toBe(chunks.join(''))
    expect((await messagesOf(server)).at(-1).content).toBe(content)
  })

  test.each([
    ['terminal', []],
    ['web', ['Hi ', 'there.']],
    ['telegram', ['Hi ', 'there.']],
    ['anything', ['Hi ', 'there.']],
    [null, ['Hi ', 'there.']],
  ])('are not for a client that prints the whole as well: %s', async (channel, pieces) => {
    await using server = await mycelosServer({ model: scriptedModel([say(['Hi ', 'there.'])]) })
    const events = await chat(server, { message: 'Hi', channel })
    expect(namesOf(events)).toEqual(['session', 'agent', ...pieces.map(() => 'text-delta'), 'text', 'done'])
    expect([deltasOf(events), dataOf(events, 'text').content]).toEqual([pieces.join(''), 'Hi there.'])
  })

  test('are not said again by a model that takes over and agrees, and stand apart where it does not', async () => {
    const halves = [fail('server', { afterText: 'Half an ' }), say(['Half', ' an answer.'])]
    const others = [fail('server', { afterText: 'It is' }), say(['No, it is not.'])]
    await using server = await mycelosServer({ model: scriptedModel([...halves, ...others]) })
    const agreed = await send(server, 'Hi')
    expect([deltasOf(agreed), dataOf(agreed, 'text').content]).toEqual(['Half an answer.', 'Half an answer.'])
    expect(dataOf(agreed, 'done').model).toBe('other/model')
    const disagreed = await send(server, 'Is it?')
    // The text takes the place of all that came before it.
    expect([deltasOf(disagreed), dataOf(disagreed, 'text').content]).toEqual([
      'It is\n\nNo, it is not.',
      'No, it is not.',
    ])
    expect((await messagesOf(server)).map(({ content }: { content: string }) => content)).toEqual([
      'Hi',
      'Half an answer.',
      'Is it?',
      'No, it is not.',
    ])
  })
})

describe('commands that an answer mentions', () => {
  test('are offered once each, at most five, under labels of at most 37 characters', async () => {
    const long = `/config set ${'x'.repeat(40)}`
    const text = [
      '/agent a',
      '/agent a',
      '/model b',
      '/cost',
      'see `/mount c` and `/reload`',
      long,
      '/restart',
      '/memory d',
    ]
    await using server = await mycelosServer({
      model: scriptedModel([say([text.join('\n')]), say(['Just / and /agents.'])]),
    })
    expect(dataOf(await send(server, 'Which?'), 'suggested-actions').actions).toEqual([
      { label: '/agent a', command: '/agent a' },
      { label: '/model b', command: '/model b' },
      { label: '/mount c', command: '/mount c' },
      { label: '/reload', command: '/reload' },
      { label: `${long.slice(0, 37)}...`, command: long },
    ])
    expect(namesOf(await send(server, 'And now?'))).not.toContain('suggested-actions')
  })
})

describe('what fails', () => {
  test('in the middle of an answer ends the stream with the error, without text and done', async () => {
    const model = scriptedModel([], { otherwise: fail('server', { afterText: 'Half' }) })
    await using server = await mycelosServer({ model })
    const events = await send(server, 'Hi')
    expect(namesOf(events)).toEqual(['session', 'agent', 'text-delta', 'error'])
    expect(dataOf(events, 'error').message).toMatch(/^LLM error: /)
    expect(await messagesOf(server)).toMatchObject([{ role: 'user' }])
  })

  test('is told without what the vendor said of keys', async () => {
    const message = 'Incorrect API key provided: sk-live-123 (org at https://vendor.example)'
    const model = scriptedModel([], { otherwise: fail('auth', { message }) })
    await using server = await mycelosServer({ model })
    expect(dataOf(await send(server, 'Hi'), 'error').message).not.toMatch(/sk-live/)
  })

  test('after a tool was used does so, too', async () => {
    const model = scriptedModel([callTool('look')], { otherwise: fail('overload') })
    await using server = await mycelosServer({ model, agents: [assistant({ tools: [tool('look', () => 'seen')] })] })
    expect(namesOf(await send(server, 'Hi'))).toEqual(['session', 'agent', 'step-progress', 'step-progress', 'error'])
  })

  test('within the server while its end is told is an error and done, and told to the host alone', async () => {
    const store = sqliteStore(':memory:')
    let broken = false
    const get: typeof store.sessions.get = (...given) =>
      broken ? Promise.reject(new Error('disk on fire')) : store.sessions.get(...given)
    const look = tool('look', () => {
      broken = true
      return 'seen'
    })
    await using server = await mycelosServer({
      model: scriptedModel([callTool('look'), say('Done.')]),
      agents: [assistant({ tools: [look] })],
      store: { ...store, sessions: { ...store.sessions, get } },
    })
    const events = await send(server, 'Hi')
    expect(namesOf(events).slice(-2)).toEqual(['error', 'done'])
    expect(JSON.stringify(events)).not.toContain('fire')
    expect(server.runtime.reported.map(({ error }) => String(error))).toEqual(['Error: disk on fire'])
    broken = false
    expect((await messagesOf(server)).at(-1).content).toBe('Done.')
  })

  test('a turn that somebody cancels is an error and done', async () => {
    const model = scriptedModel([
      respond(async () => {
        const [turn] = await server.runtime.client.sessions.turns({ session: 's', limit: 1, offset: 0 })
        await server.runtime.client.turns.cancel({ id: turn?.id ?? '' })
        return say('Too late.')
      }),
    ])
    await using server: TestServer = await mycelosServer({ model })
    const events = await send(server, 'Hi')
    expect(namesOf(events)).toEqual(['session', 'agent', 'error', 'done'])
  })
})

describe('tools', () => {
  test('that fail are done all the same, and the model is told why', async () => {
    const broken = tool('broken', () => Promise.reject(new Error('the yard is closed\n    at yard (/srv/app.ts:1:1)')))
    const model = scriptedModel([[callTool('broken'), callTool('nothing'), callTool('broken', '{')], say('It failed.')])
    await using server = await mycelosServer({ model, agents: [assistant({ tools: [broken] })] })
    const events = await send(server, 'Try')
    const steps = events.flatMap((event) => (event.event === 'step-progress' ? [event.data] : []))
    for (const status of ['running', 'done'] as const) {
      const ids = steps.filter((step) => step.status === status).map(({ step_id }) => step_id)
      expect(ids.toSorted()).toEqual(['broken', 'broken', 'nothing'])
    }
    expect(dataOf(events, 'text').content).toBe('It failed.')
    const told = JSON.stringify(model.calls[1]?.request.messages.at(-1))
    expect(told).toContain('the tool failed: the yard is closed')
    expect(told).not.toContain('/srv/app.ts')
  })

  test.each<[string, unknown, RegExp]>([
    ['a text', 'x'.repeat(5_000), /^x{4000}\n\[cut: first 4000 of 5000 characters\]$/],
    ['a text in other letters', 'ü'.repeat(4_001), /^ü{4000}\n\[cut: first 4000 of 4001 characters\]$/],
    ['an object', { rows: 'y'.repeat(4_000) }, /^\{"rows":"y{3991}\n\[cut: first 4000 of 4011 characters\]$/],
    ['a pair at the limit', `${'x'.repeat(3_999)}\u{1f600}`, /^x{3999}\ufffd\n\[cut: first 4000 of 4001 characters\]$/],
    ['a text that just fits', 'z'.repeat(4_000), /^z{4000}$/],
  ])('with a long result show the model 4,000 characters of it: %s', async (_, output, seen) => {
    const model = scriptedModel([callTool('long'), say('Read.'), say('Still there.')])
    await using server = await mycelosServer({ model, agents: [assistant({ tools: [tool('long', () => output)] })] })
    await send(server, 'Read')
    await send(server, 'And now?')
    for (const { request } of model.calls.slice(1)) {
      const parts = request.messages.flatMap(({ role, parts: all }) => (role === 'tool' ? all : []))
      expect(parts.map((part) => part.type === 'tool-result' && part.output)).toEqual([expect.stringMatching(seen)])
    }
  })

  test('with a long block show it whole', async () => {
    const rows = Array.from({ length: 200 }, (_, index) => [`row ${index}`, 'x'.repeat(20)])
    const draw = tool('draw', () => ({ widget: { type: 'table', headers: ['a', 'b'], rows } }))
    const model = scriptedModel([callTool('draw'), say('Drawn.')])
    await using server = await mycelosServer({ model, agents: [assistant({ tools: [draw] })] })
    expect(dataOf(await send(server, 'Draw'), 'widget').widget['rows']).toHaveLength(200)
  })

  test.each<[string, unknown]>([
    ['a question of permission', { widget: { type: 'permission_prompt', tool: 'harmless', options: [] } }],
    ['a question of confirmation', { widget: { type: 'action_confirm', command: 'rm -rf /' } }],
    ['a block without a type', { widget: { title: 'x' } }],
    ['a block that is none', { widget: ['table'] }],
    ['a block of a number', { widget: { type: 7 } }],
    ['a link that runs code', { link: { label: 'Open', url: 'javascript:alert(1)' } }],
    ['a link to a file', { link: { label: 'Open', url: 'file:///etc/passwd' } }],
    ['a link without a label', { link: { url: 'https://example.com' } }],
    ['a text that looks like one', '{"widget":{"type":"table"}}'],
    ['what its prototype has', JSON.parse('{"__proto__":{"widget":{"type":"table"}}}')],
  ])('show no %s', async (_, output) => {
    const model = scriptedModel([callTool('show'), say('Shown.')])
    await using server = await mycelosServer({ model, agents: [assistant({ tools: [tool('show', () => output)] })] })
    expect(namesOf(await send(server, 'Show')).slice(3)).toEqual(['step-progress', 'text-delta', 'text', 'done'])
  })

  test('may call ten rounds after a hand-over, five otherwise', async () => {
    const look = tool('look', () => 'seen')
    const agents = [assistant({ tools: [look] }), assistant({ id: 'poet', name: 'The poet', tools: [look] })]
    await using server = await mycelosServer({ model: scriptedModel([], { otherwise: callTool('look') }), agents })
    const rounds = async (target_agent_id: string) => {
      const events = await chat(server, { message: 'Go', session_id: target_agent_id, target_agent_id })
      expect(dataOf(events, 'error').message).toContain('step limit')
      return events.filter(({ event, data }) => event === 'step-progress' && 'status' in data && data.status === 'done')
        .length
    }
    expect([await rounds('mycelos'), await rounds('poet')]).toEqual([5, 10])
  })

  test('that rename the session are told of, before the text', async () => {
    const rename = tool('rename', async () => {
      await server.runtime.client.sessions.update({ id: 's', title: 'Ships', metadataEntries: { topic: 'yards' } })
      return 'renamed'
    })
    const model = scriptedModel([callTool('rename'), say('Renamed.'), callTool('rename'), say('The same.')])
    await using server: TestServer = await mycelosServer({ model, agents: [assistant({ tools: [rename] })] })
    const events = await send(server, 'Rename it')
    expect(namesOf(events).slice(-3)).toEqual(['session-meta', 'text', 'done'])
    expect(dataOf(events, 'session-meta')).toEqual({ session_id: 's', title: 'Ships', topic: 'yards' })
    expect(namesOf(await send(server, 'Again'))).not.toContain('session-meta')
  })
})

describe('a question', () => {
  const ran: string[] = []
  const risky = tool('risky', () => void ran.push('ran'), 'always')
  const asking = async (options: Partial<Parameters<typeof mycelosServer>[0]> = {}) => {
    ran.length = 0
    const model = scriptedModel([callTool('risky')], { otherwise: say('So be it.') })
    const server = await mycelosServer({ model, agents: [assistant({ tools: [risky] })], ...options })
    expect(namesOf(await send(server, 'Do it'))).toContain('widget')
    return { server, model }
  }
  const statuses = async ({ runtime }: TestServer) =>
    (await runtime.client.sessions.turns({ session: 's', limit: 9, offset: 0 })).map(({ status }) => status)

  test('shows signs that would turn writing round or hide it', async () => {
    const mail = defineTool({
      name: 'mail',
      description: 'Sends',
      input: z.object({ to: z.string() }),
      risk: 'caution',
      approval: 'always',
      execute: () => 'sent',
    })
    const to = 'bob\u202emoc.live\u2066@\u200bfriend.example'
    await using server = await mycelosServer({
      model: scriptedModel([callTool('mail', { to })]),
      agents: [assistant({ tools: [mail] })],
    })
    const events = await send(server, 'Mail Bob')
    const { content } = dataOf(events, 'system-response')
    expect(content).toContain('bob\\u{202e}moc.live\\u{2066}@\\u{200b}friend.example')
    expect(content).not.toMatch(/\p{Cf}/u)
    expect(dataOf(events, 'widget').widget['arguments']).toBe(JSON.stringify({ to }))
  })

  test('is left open by a slash command', async () => {
    const { server } = await asking()
    await using _ = server
    expect(namesOf(await send(server, '/sessions'))).toEqual(['session', 'system-response', 'done'])
    expect(await statuses(server)).toEqual(['waiting'])
    expect(dataOf(await send(server, 'yes'), 'text').content).toBe('So be it.')
    expect(ran).toEqual(['ran'])
  })

  test('whose time is over is answered by nobody: what comes then is a message like any other', async () => {
    const clock = virtualClock()
    const { server, model } = await asking({ clock })
    await using _ = server
    await clock.advance(300_000)
    const events = await send(server, 'yes')
    expect(dataOf(events, 'text').content).toBe('So be it.')
    expect(ran).toEqual([])
    const { client } = server.runtime
    const [approval] = await client.approvals.list({ limit: 9, offset: 0 })
    expect(approval?.status).toBe('expired')
    await expect(client.approvals.decide({ id: approval?.id ?? '', decision: 'approve' })).rejects.toThrow()
    expect(JSON.stringify(model.calls.at(-1)?.request.messages)).toContain('yes')
  })

  test('is decided once, however many say yes at the same time', async () => {
    const { server } = await asking()
    await using _ = server
    const answers = await Promise.all(['yes', 'yes', 'yes'].map((word) => send(server, word)))
    for (const events of answers) expect(namesOf(events).at(-1)).toBe('done')
    expect(ran).toEqual(['ran'])
    await until(async () => (await statuses(server)).every((status) => status === 'completed'), 'all are answered')
  })

  test('of another user’s session is not theirs to answer', async () => {
    const { server } = await asking()
    await using _ = server
    const other = server.runtime.caller('eve')
    const [approval] = await server.runtime.client.approvals.list({ limit: 1, offset: 0 })
    await expect(other.approvals.decide({ id: approval?.id ?? '', decision: 'approve' })).rejects.toThrow()
    expect(ran).toEqual([])
    expect(await statuses(server)).toEqual(['waiting'])
  })
})

describe('two messages at once', () => {
  test('in one session are answered one after the other, each to its own caller', async () => {
    const model = scriptedModel([], {
      otherwise: respond(({ messages }) => {
        const last = messages.at(-1)?.parts[0]
        return say(['Re: ', last?.type === 'text' ? last.text : ''])
      }),
    })
    await using server = await mycelosServer({ model })
    const words = ['one', 'two', 'three', 'four']
    const answers = await Promise.all(words.map((word) => send(server, word, 'new')))
    for (const [index, events] of answers.entries()) {
      expect(namesOf(events)).toEqual(['session', 'agent', 'text-delta', 'text-delta', 'text', 'done'])
      expect(dataOf(events, 'text').content).toBe(`Re: ${words[index]}`)
    }
    const messages = await messagesOf(server, 'new')
    expect(messages.map(({ role }: { role: string }) => role)).toEqual(words.flatMap(() => ['user', 'assistant']))
    for (let at = 0; at < messages.length; at += 2) {
      expect(messages[at + 1].content).toBe(`Re: ${messages[at].content}`)
    }
    expect((await server.ask('GET', '/api/sessions')).json).toHaveLength(1)
  })

  test('are refused when too many wait, and none of the refused is kept', async () => {
    const opened = Promise.withResolvers<void>()
    const model = scriptedModel([respond(() => opened.promise.then(() => say('One.')))], { otherwise: say('Two.') })
    await using server = await mycelosServer({ model, limits: { queuedTurns: 1 } })
    const first = send(server, 'first')
    await until(() => model.calls.length === 1, 'the first is asked')
    const second = send(server, 'second')
    const waiting = async () =>
      (await server.runtime.client.sessions.turns({ session: 's', limit: 9, offset: 0 })).length
    await until(async () => (await waiting()) === 2, 'the second waits')
    const third = await server.ask('POST', '/api/chat', { body: { message: 'third', session_id: 's' } })
    expect(third.status).toBeGreaterThanOrEqual(400)
    expect(third.status).toBeLessThan(500)
    expect(third.json).toEqual({ error: expect.any(String) })
    opened.resolve()
    expect([dataOf(await first, 'text').content, dataOf(await second, 'text').content]).toEqual(['One.', 'Two.'])
    expect(JSON.stringify(await messagesOf(server))).not.toContain('third')
  })

  test('and commands in a session that is to begin are kept in it, all of them', async () => {
    await using server = await mycelosServer({ model: scriptedModel([], { otherwise: say('Hi.') }) })
    const messages = ['/help', 'Hello', '/agent', '/cost', 'Hello again']
    const answers = await Promise.all(messages.map((message) => send(server, message, 'new')))
    for (const events of answers) expect(namesOf(events).at(-1)).toBe('done')
    expect(await messagesOf(server, 'new')).toHaveLength(10)
    expect((await server.ask('GET', '/api/sessions')).json).toMatchObject([{ session_id: 'new', message_count: 10 }])
  })
})

describe('a session that its client has named', () => {
  test.each([
    'local-1763760000000',
    'a'.repeat(200),
    '..',
    '%2e%2e%2f',
    'a/b/../c',
    '__proto__',
    'constructor',
    "x' OR 1=1 --",
    '"quoted" \\ back',
    '日本語 \u{1f600}',
    ' padded ',
    'a?b=c&d#e',
  ])('is kept under that name: %j', async (id) => {
    await using server = await mycelosServer({ model: scriptedModel([say('Yes.')]) })
    expect(dataOf(await send(server, 'Hi', id), 'session').session_id).toBe(id)
    expect((await server.ask('GET', '/api/sessions')).json).toMatchObject([{ session_id: id, message_count: 2 }])
    // A dot segment is no name that an address can have.
    if (id !== '..') expect(await messagesOf(server, id)).toHaveLength(2)
  })

  test.each([' ', '\t', 'a\nb', 'a\u0085b', '\ud800', 'x'.repeat(201)])('has no such name: %j', async (session_id) => {
    await using server = await mycelosServer({ model: scriptedModel([]) })
    for (const message of ['Hi', '/help']) {
      const got = await server.ask('POST', '/api/chat', { body: { message, session_id } })
      expect([400, 422]).toContain(got.status)
    }
    expect((await server.ask('GET', '/api/sessions')).json).toEqual([])
  })
})

describe('a message', () => {
  test('of almost a megabyte is answered, kept whole and named by its beginning', async () => {
    const message = `${'word '.repeat(209_000)}end`
    const model = scriptedModel([say('Long.')], {
      models: [{ name: modelName, contextTokens: 2_000_000, maxOutputTokens: 1_000 }],
    })
    await using server = await mycelosServer({ model })
    expect(dataOf(await send(server, message), 'text').content).toBe('Long.')
    const [kept] = await messagesOf(server)
    expect(kept.content === message).toBe(true)
    expect((await server.ask('GET', '/api/sessions')).json[0].title).toHaveLength(60)
  })

  test.each([
    ['white space', ' \n\t ', undefined],
    ['control characters', 'a\u0007b\u0000c', 'a b c'],
    ['half a pair', 'a\ud800b', 'a\ufffdb'],
    ['a single long word', 'x'.repeat(100), `${'x'.repeat(60)}…`],
    ['markup', '<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
  ])('of %s is answered, and names its session accordingly', async (_, message, title) => {
    await using server = await mycelosServer({ model: scriptedModel([say('Yes.')]) })
    expect(dataOf(await send(server, message), 'text').content).toBe('Yes.')
    expect((await server.ask('GET', '/api/sessions')).json[0].title).toBe(title)
    expect((await messagesOf(server))[0].content).toBe(message.toWellFormed())
  })

  test('to an agent that is gone goes to the first one', async () => {
    const agents = [assistant(), assistant({ id: 'poet', name: 'The poet' })]
    const store = sqliteStore(':memory:')
    await using server = await mycelosServer({ model: scriptedModel([], { otherwise: say('Hi.') }), agents, store })
    await chat(server, { message: 'Verse', session_id: 's', target_agent_id: 'poet' })
    await server.runtime.client.config.change({ patch: { agents: { poet: { enabled: false } } } })
    const events = await send(server, 'More')
    expect(dataOf(events, 'agent').agent).toBe('The assistant')
    const refused = await chat(server, { message: 'More', session_id: 's', target_agent_id: 'poet' })
    expect(namesOf(refused)).toEqual(['session', 'system-response'])
  })
})
