import { defineAgent } from '@keelson/core'
import { callTool, createTestRuntime, hang, say, scriptedModel, settle, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import {
  agentOf,
  callsOf,
  codeOf,
  collect,
  databaseFile,
  ends,
  followed,
  gate,
  noteTool,
  shownText,
  transcript,
  typesOf,
  until,
} from './scene.ts'

describe('a runtime that is stopped', () => {
  test('in the middle of an answer leaves the turn to the next one, which asks the model again', async () => {
    const file = databaseFile()
    const model = scriptedModel([[say('Half an '), hang()], say('A whole answer')])
    const options = { agents: [agentOf()], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const turn = first.client.run('clerk', { message: 'hi' })
    const { id, session } = await turn.accepted
    for await (const { type } of turn) if (type === 'text.delta') break
    const reader = codeOf(collect(turn))
    await first.stop()
    expect(await reader).toBe('RUNTIME_STOPPED')
    expect(model.calls[0]?.signal.aborted).toBe(true)
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect((await second.client.attach(id).result).text).toBe('A whole answer')
    expect(await transcript(second.client, session)).toEqual(['user: hi', 'assistant: A whole answer'])
    expect(await second.client.sessions.turn({ id })).toMatchObject({
      status: 'completed',
      steps: 1,
      usage: { input: 10 },
    })
    expect(first.reported).toEqual([])
  })

  test('lets a tool that runs come to its end, and the next one goes on after it', async () => {
    const file = databaseFile()
    const clock = virtualClock()
    const going = gate<string>()
    const started = gate()
    let runs = 0
    const pay = noteTool('pay', (_, { signal }) => {
      runs += 1
      started.open()
      return going.passed.then((text) => `${text}, ${signal.aborted}`)
    })
    const model = scriptedModel([callTool('pay', { note: 'x' }), say('paid')])
    const options = { agents: [agentOf([pay])], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file), clock, stopMs: 10_000 })
    const turn = first.client.run('clerk', { message: 'hi' })
    const { id, session } = await turn.accepted
    await started.passed
    const stopping = first.stop()
    await clock.advance(9_000)
    expect(await codeOf(first.client.run('clerk', { message: 'new' }).accepted)).toBe('RUNTIME_STOPPED')
    going.open('paid')
    await stopping
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect((await second.client.attach(id).result).text).toBe('paid')
    expect(await callsOf(second.client, id)).toEqual([{ tool: 'pay', status: 'succeeded', output: 'paid, false' }])
    expect(runs).toBe(1)
    expect(await transcript(second.client, session)).toEqual([
      'user: hi',
      'assistant: call pay',
      'tool: result pay',
      'assistant: paid',
    ])
  })

  test('aborts a tool that does not end in time: what it may have done is for a person to say', async () => {
    const file = databaseFile()
    const clock = virtualClock()
    const started = gate()
    let reason: unknown
    const pay = noteTool('pay', (_, { signal }) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason
      })
      started.open()
      return new Promise(() => {})
    })
    const quick = noteTool('quick', () => 'quick')
    const calls = [callTool('pay', { note: 'x' }), callTool('quick', { note: 'y' })]
    const model = scriptedModel([calls, say('settled')])
    const options = { agents: [agentOf([pay, quick])], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file), clock, stopMs: 10_000 })
    const { id } = await first.client.run('clerk', { message: 'hi' }).accepted
    await started.passed
    const stopping = first.stop()
    await clock.advance(9_999)
    expect(reason).toBeUndefined()
    await clock.advance(1)
    await stopping
    expect(reason).toMatchObject({ code: 'RUNTIME_STOPPED' })
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect(await second.client.attach(id).outcome).toMatchObject({
      status: 'interrupted',
      error: { code: 'TOOL_OUTCOME_UNKNOWN', message: expect.stringContaining('pay') },
    })
    expect(await callsOf(second.client, id)).toMatchObject([
      { tool: 'pay', status: 'unknown' },
      { tool: 'quick', status: 'succeeded' },
    ])
    await second.client.turns.decide({ id, decision: 'failed' })
    expect((await second.client.attach(id).result).text).toBe('settled')
    expect(model.calls[1]?.request.messages.at(-1)?.parts).toMatchObject([
      { tool: 'pay', isError: true },
      { tool: 'quick', output: 'quick' },
    ])
  })

  test('keeps the queue of every session, and the next one answers all of it in order', async () => {
    const file = databaseFile()
    const model = scriptedModel([hang(), hang(), hang()], { otherwise: say('ok') })
    const options = { agents: [agentOf()], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const sessions: string[] = []
    for (const name of ['a', 'b', 'c']) {
      const { session } = await first.client.run('clerk', { message: `${name}0` }).accepted
      sessions.push(session)
      for (const number of [1, 2, 3]) await first.client.run('clerk', { session, message: `${name}${number}` }).accepted
    }
    await until(() => model.calls.length === 3)
    await first.stop()
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      const session = sessions[index] ?? ''
      const turns = await second.client.sessions.turns({ session, limit: 10, offset: 0 })
      for (const { id } of turns) expect(await second.client.attach(id).outcome).toMatchObject({ status: 'completed' })
      expect(await transcript(second.client, session)).toEqual(
        [0, 1, 2, 3].flatMap((number) => [`user: ${name}${number}`, 'assistant: ok']),
      )
    }
    expect(model.calls).toHaveLength(15)
  })

  test('more than once in one answer loses no position: every reader comes to the same text', async () => {
    const file = databaseFile()
    const model = scriptedModel([
      [say('one'), hang()],
      [say('the second'), hang()],
      [say('3'), hang()],
      say('the answer'),
    ])
    const options = { agents: [agentOf()], model }
    const positions = [0]
    let id = ''
    for (let restart = 0; restart < 3; restart += 1) {
      const runtime = await createTestRuntime({ ...options, store: sqliteStore(file) })
      id ||= (await runtime.client.run('clerk', { message: 'hi' }).accepted).id
      const after = positions.at(-1) ?? 0
      const events = runtime.client.attach(id).events({ after })
      for await (const event of events) {
        positions.push(event.sequence)
        if (event.type === 'text.delta') break
      }
      await runtime.stop()
    }
    await using runtime = await createTestRuntime({ ...options, store: sqliteStore(file) })
    await runtime.client.attach(id).result
    expect(positions).toEqual([...positions].sort((one, other) => one - other))
    for (const after of positions) {
      const rest = await followed(runtime.client, id, after)
      expect(shownText(rest)).toBe('the answer')
      expect(ends(rest)).toHaveLength(1)
    }
  })

  test('and started on an earlier clock keeps the order of messages and turns', async () => {
    const file = databaseFile()
    const model = scriptedModel([say('one'), hang(), say('two')])
    const options = { agents: [agentOf()], model }
    const first = await createTestRuntime({
      ...options,
      store: sqliteStore(file),
      clock: virtualClock(2_000_000_000_000),
    })
    const { session } = await first.client.run('clerk', { message: 'a' }).result
    await first.client.run('clerk', { session, message: 'b' }).accepted
    await settle()
    await first.stop()
    const store = sqliteStore(file)
    await using second = await createTestRuntime({ ...options, store, clock: virtualClock(1_000_000_000_000) })
    const turns = await second.client.sessions.turns({ session, limit: 10, offset: 0 })
    for (const { id } of turns) await second.client.attach(id).result
    expect(await transcript(second.client, session)).toEqual(['user: a', 'assistant: one', 'user: b', 'assistant: two'])
    expect(turns.map(({ sequence }) => sequence)).toEqual([1, 2])
  })
})

describe('a step that is taken over more than once', () => {
  test('tells the model of every call once, whatever became of the others meanwhile', async () => {
    const file = databaseFile()
    let [saves, looks] = [0, 0]
    let running = gate()
    const save = noteTool(
      'save',
      () => {
        saves += 1
        running.open()
        return saves < 3 ? new Promise(() => {}) : 'saved'
      },
      { idempotent: true },
    )
    const look = noteTool(
      'look',
      () => {
        looks += 1
        return new Promise(() => {})
      },
      { risk: 'safe' },
    )
    const calls = [callTool('look', { note: 'a' }), callTool('save', { note: 'b' }), callTool('nothing', {})]
    const model = scriptedModel([calls, say('done')])
    const options = { agents: [agentOf([save, look])], model }
    let id = ''
    for (let restart = 0; restart < 2; restart += 1) {
      const runtime = await createTestRuntime({ ...options, store: sqliteStore(file) })
      id ||= (await runtime.client.run('clerk', { message: 'hi' }).accepted).id
      await running.passed
      running = gate()
      await runtime.stop()
    }
    await using runtime = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect((await runtime.client.attach(id).result).text).toBe('done')
    expect([saves, looks]).toEqual([3, 1])
    const finished = (await followed(runtime.client, id)).flatMap((e) =>
      e.type === 'tool.finished' ? [[e.tool, e.status]] : [],
    )
    expect(finished).toEqual([
      ['nothing', 'failed'],
      ['look', 'unknown'],
      ['save', 'succeeded'],
    ])
    expect(model.calls[1]?.request.messages.at(-1)?.parts).toMatchObject([
      { tool: 'look', output: expect.stringContaining('unknown'), isError: true },
      { tool: 'save', output: 'saved' },
      { tool: 'nothing', isError: true },
    ])
  })
})

describe('a turn whose agent is gone after a restart', () => {
  test('fails and says so, and lets go of its session', async () => {
    const file = databaseFile()
    const model = scriptedModel([hang()], { otherwise: say('fine') })
    const first = await createTestRuntime({ agents: [agentOf()], model, store: sqliteStore(file) })
    const { id, session } = await first.client.run('clerk', { message: 'hi' }).accepted
    await until(() => model.calls.length === 1)
    await first.stop()
    const other = defineAgent({ ...agentOf(), id: 'other' })
    await using second = await createTestRuntime({ agents: [other], model, store: sqliteStore(file) })
    expect(await second.client.attach(id).outcome).toMatchObject({
      status: 'failed',
      error: { code: 'AGENT_NOT_FOUND' },
    })
    expect(typesOf(await followed(second.client, id)).at(-1)).toBe('turn.failed')
    expect((await second.client.run('other', { session, message: 'ho' }).result).text).toBe('fine')
  })
})
