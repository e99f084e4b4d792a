import { defineTool, type Principal } from '@keelson/core'
import { callTool, fail, hang, say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { assistant, modelName, rfcTime, until, uuid } from '../surfaces/roboticus-server.ts'
import { type Push, pushServer } from './push-server.ts'

const ids = ({ frames }: Push) => {
  const selection = frames.find(({ type }) => type === 'model_selection')
  return { session_id: selection?.['session_id'], turn_id: selection?.['turn_id'] }
}

const ended = (push: Push, times = 1) =>
  until(
    () => push.frames.filter(({ type, done }) => type === 'stream_chunk' && done === true).length >= times,
    `the end of ${times} turns`,
  )

const book = (run: (room: string) => string) =>
  defineTool({
    name: 'book',
    description: 'Books a room',
    input: z.object({ room: z.string() }),
    risk: 'caution',
    approval: 'always',
    execute: ({ room }) => run(room),
  })

describe('a turn', () => {
  test('is told from its model selection to its last word, tool calls between', async () => {
    const model = scriptedModel([callTool('weather', { city: 'Rome' }), say(['It is ', 'clear.'])])
    await using server = await pushServer({ model })
    const push = await server.connect()
    await server.say('How is the weather in Rome?')
    await ended(push)
    const { session_id, turn_id } = ids(push)
    const agent = { agent_id: 'assistant', session_id, turn_id }
    const selection = { turn_id: uuid, session_id: uuid, channel: 'api', selected_model: modelName }
    expect(push.frames).toEqual([
      { type: 'connected', version: expect.any(String), timestamp: rfcTime },
      {
        type: 'model_selection',
        ...selection,
        strategy: 'primary_usable',
        primary_model: modelName,
        override_model: null,
        complexity: null,
        complexity_score: null,
        metascore_breakdown: null,
        candidates: [
          { ...candidate, model: modelName, source: 'primary_ordered' },
          { ...candidate, model: 'other/model', source: 'fallback_ordered' },
        ],
        created_at: rfcTime,
      },
      { type: 'agent_working', ...agent, workstation: 'llm', activity: 'inference', model: modelName },
      { type: 'agent_idle', ...agent, workstation: 'llm' },
      { type: 'agent_working', ...agent, workstation: 'exec', activity: 'tool:weather', model: null },
      { type: 'agent_idle', ...agent, workstation: 'exec' },
      { type: 'agent_working', ...agent, workstation: 'llm', activity: 'inference', model: modelName },
      { type: 'stream_chunk', delta: 'It is ', done: false, session_id },
      { type: 'stream_chunk', delta: 'clear.', done: false, session_id },
      { type: 'agent_idle', ...agent, workstation: 'llm' },
      { type: 'stream_chunk', delta: '', done: true, session_id },
    ])
  })

  test('that another model answers is told as a shift, and what was taken back is not said twice', async () => {
    const model = scriptedModel([fail('server', { afterText: 'It is' }), say(['It is ', 'clear.'])])
    await using server = await pushServer({ model })
    const push = await server.connect()
    await server.say('How is the weather?')
    await ended(push)
    const { session_id, turn_id } = ids(push)
    expect(await push.first('model_shift')).toEqual({
      type: 'model_shift',
      session_id,
      turn_id,
      channel: 'api',
      selected_model: modelName,
      executed_model: 'other/model',
      reason: 'fallback',
    })
    const text = push.frames.map(({ type, delta }) => (type === 'stream_chunk' ? delta : '')).join('')
    expect(text).toBe('It is clear.')
    const work = push.frames.filter(({ type }) => type === 'agent_working').map(({ model }) => model)
    expect(work).toEqual([modelName, 'other/model'])
    expect(push.frames.filter(({ type }) => type === 'agent_idle')).toHaveLength(2)
  })

  test('of a session with a model of its own names it as the override', async () => {
    const model = scriptedModel([say('One.'), say('Two.')])
    await using server = await pushServer({ model })
    const push = await server.connect()
    const { session_id } = await server.say('First')
    await server.runtime.client.sessions.update({ id: session_id, model: 'mine/own' })
    await server.say('Second')
    await ended(push, 2)
    expect(push.frames.filter(({ type }) => type === 'model_selection')[1]).toMatchObject({
      selected_model: 'mine/own',
      strategy: 'override_usable',
      primary_model: modelName,
      override_model: 'mine/own',
      candidates: [{ source: 'override' }, { source: 'primary_ordered' }, { source: 'fallback_ordered' }],
    })
  })

  test('that no model answers ends what it began, and its reply is part of the stream', async () => {
    const model = scriptedModel([], { otherwise: fail('server') })
    await using server = await pushServer({ model })
    const push = await server.connect()
    const { content } = await server.say('Hello there')
    await ended(push)
    const working = push.frames.filter(({ type }) => type === 'agent_working')
    expect(working.map(({ model }) => model)).toEqual([modelName, 'other/model'])
    expect(push.frames.filter(({ type }) => type === 'agent_idle')).toHaveLength(2)
    expect(push.frames.map(({ delta }) => delta ?? '').join('')).toBe(content)
  })

  test('that is cancelled ends what it began', async () => {
    const model = scriptedModel([[say('Well, '), hang()]])
    await using server = await pushServer({ model })
    const push = await server.connect()
    const handle = server.runtime.client.run('assistant', { message: 'Hi' })
    await push.first('stream_chunk')
    await server.runtime.client.turns.cancel({ id: (await handle.accepted).id })
    await ended(push)
    expect(push.frames.slice(-2).map(({ type }) => type)).toEqual(['agent_idle', 'stream_chunk'])
  })

  test('that began before somebody came is told from then on', async () => {
    let go = () => {}
    const reached = Promise.withResolvers<void>()
    const wait = defineTool({
      name: 'wait',
      description: 'Waits',
      input: z.object({}),
      risk: 'safe',
      execute: () => {
        reached.resolve()
        return new Promise<string>((resolve) => {
          go = () => resolve('done')
        })
      },
    })
    const model = scriptedModel([callTool('wait', {}), say('Done.')])
    await using server = await pushServer({ model, agents: [assistant({ tools: [wait] })] })
    const answer = server.say('Wait')
    await reached.promise
    const push = await server.connect()
    go()
    await answer
    await ended(push)
    expect(push.frames.map(({ type }) => type)).toEqual([
      'connected',
      'agent_working',
      'stream_chunk',
      'agent_idle',
      'stream_chunk',
    ])
  })
})

const candidate = { provider_available: true, breaker_blocked: false, usable: true, note: expect.any(String) }

describe('an approval', () => {
  test('is told when it is asked for, and its call when it runs in a turn of its own', async () => {
    const model = scriptedModel([callTool('book', { room: 'garden' }), say('I asked.'), say('Booked.')])
    await using server = await pushServer({ model, agents: [assistant({ tools: [book((room) => `booked ${room}`)] })] })
    const push = await server.connect()
    await server.say('Book the garden room')
    await ended(push)
    const { request_id } = await push.first('pending_approval')
    expect(push.frames.slice(-9).map(({ type, activity }) => activity ?? type)).toEqual([
      'agent_idle',
      'tool:book',
      'agent_idle',
      'pending_approval',
      'inference',
      'stream_chunk',
      'stream_chunk',
      'agent_idle',
      'stream_chunk',
    ])
    const before = push.frames.length
    await server.ask('POST', `/api/approvals/${request_id}/approve`)
    await ended(push, 2)
    const after = push.frames.slice(before)
    const turn_id = after[0]?.['turn_id']
    expect(turn_id).not.toBe(ids(push).turn_id)
    const replay = { request_id, tool: 'book', turn_id }
    expect(after.slice(1, 5)).toEqual([
      { type: 'approval_replay_started', ...replay },
      expect.objectContaining({ type: 'agent_working', activity: 'tool:book', turn_id }),
      expect.objectContaining({ type: 'agent_idle', workstation: 'exec', turn_id }),
      { type: 'approval_replay_succeeded', ...replay, output: 'booked garden' },
    ])
    expect(after.map(({ delta }) => delta ?? '').join('')).toBe('Booked.')
  })

  test('whose call fails is told so', async () => {
    const broken = book(() => {
      throw new Error('the hotel is full')
    })
    const model = scriptedModel([callTool('book', { room: 'garden' }), say('I asked.'), say('Sorry.')])
    await using server = await pushServer({ model, agents: [assistant({ tools: [broken] })] })
    const push = await server.connect()
    await server.say('Book the garden room')
    const { request_id } = await push.first('pending_approval')
    await server.ask('POST', `/api/approvals/${request_id}/approve`)
    const failed = await push.first('approval_replay_failed')
    expect(failed).toMatchObject({ request_id, tool: 'book', turn_id: uuid, error: expect.any(String) })
    await ended(push, 2)
  })

  test('that is denied is told of no call', async () => {
    const model = scriptedModel([callTool('book', { room: 'garden' }), say('I asked.')])
    await using server = await pushServer({ model, agents: [assistant({ tools: [book(() => 'booked')] })] })
    const push = await server.connect()
    await server.say('Book the garden room')
    const { request_id } = await push.first('pending_approval')
    await ended(push)
    const before = push.frames.length
    await server.ask('POST', `/api/approvals/${request_id}/deny`)
    push.socket.send('anything')
    await push.first('ack')
    expect(push.frames.slice(before).map(({ type }) => type)).toEqual(['ack'])
  })

  test('that a turn waits for is told with the call, once it runs in the same turn', async () => {
    const model = scriptedModel([callTool('book', { room: 'garden' }), say('Booked.')])
    await using server = await pushServer({ model, agents: [assistant({ tools: [book((room) => `booked ${room}`)] })] })
    const push = await server.connect()
    const { id } = await server.runtime.client.run('assistant', { message: 'Book it' }).accepted
    await ended(push)
    const { request_id } = await push.first('pending_approval')
    await server.runtime.client.approvals.decide({ id: String(request_id), decision: 'approve' })
    await ended(push, 2)
    const replay = { request_id, tool: 'book', turn_id: id }
    expect(push.frames.filter(({ type }) => type.startsWith('approval_'))).toEqual([
      { type: 'approval_replay_started', ...replay },
      { type: 'approval_replay_succeeded', ...replay, output: 'booked garden' },
    ])
  })
})

describe('who hears of a turn', () => {
  const person = (subject: string, more: Partial<Principal> = {}): Principal => ({
    tenant: 'default',
    subject,
    roles: [],
    via: 'test',
    ambient: false,
    ...more,
  })
  const users = {
    ann: person('ann'),
    bob: person('bob'),
    chief: person('chief', { roles: ['operator'] }),
    stranger: person('ann', { tenant: 'other', roles: ['operator'] }),
  }

  test('is its owner and the operators of its tenant, and nobody else', async () => {
    const model = scriptedModel([say('Hello Ann.'), say('Hello Bob.')])
    await using server = await pushServer({ model, users })
    const connect = (user: string) => server.connect({ key: null, user })
    const [ann, bob, chief, stranger] = await Promise.all(['ann', 'bob', 'chief', 'stranger'].map(connect))
    const say2 = (user: string) =>
      server.ask('POST', '/api/agent/message', { key: null, user, body: { content: `I am ${user}` } })
    await say2('ann')
    await say2('bob')
    if (!ann || !bob || !chief || !stranger) throw new Error('not connected')
    await ended(chief, 2)
    await Promise.all([ended(ann), ended(bob)])
    const textOf = ({ frames }: Push) => frames.map(({ delta }) => delta ?? '').join('')
    expect([textOf(ann), textOf(bob), textOf(chief)]).toEqual(['Hello Ann.', 'Hello Bob.', 'Hello Ann.Hello Bob.'])
    stranger.socket.send('x')
    await stranger.first('ack')
    expect(stranger.frames.map(({ type }) => type)).toEqual(['connected', 'ack'])
  })
})
