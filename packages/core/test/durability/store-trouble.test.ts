import { DatabaseSync } from 'node:sqlite'
import type { Store } from '@keelson/core/stores'
import {
  callTool,
  createTestRuntime,
  delay,
  hang,
  respond,
  say,
  scriptedModel,
  settle,
  virtualClock,
} from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import {
  agentOf,
  approvalOf,
  askingTool,
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
  until,
} from './scene.ts'
import { diskFull, type StoreVerb, troubled } from './troubled-store.ts'

const writes: StoreVerb[] = ['loop.commit', 'loop.flush']

describe('a disk that is full for a while', () => {
  test('at any write of a turn loses nothing and repeats nothing: the turn goes on when there is room', async () => {
    // The writes of the turn below, one after the other; past the last of them nothing fails.
    for (let failing = 1; failing <= 5; failing += 1) {
      const clock = virtualClock()
      const trouble = troubled(sqliteStore(':memory:'))
      let runs = 0
      const work = noteTool('work', () => {
        runs += 1
        return 'worked'
      })
      const slow = respond(() => [say('all '), delay(1_500), say('done')])
      const model = scriptedModel([callTool('work', { note: 'x' }), slow], { clock })
      const options = { agents: [agentOf([work])], model, clock, store: trouble.store }
      await using runtime = await createTestRuntime(options)
      let count = 0
      let broken = false
      trouble.fail = (verb) => {
        if (!writes.includes(verb)) return undefined
        count += 1
        broken ||= count === failing
        return broken ? diskFull() : undefined
      }
      const turn = runtime.client.run('clerk', { message: 'hi' })
      const events = collect(turn)
      await turn.accepted
      await clock.advance(10_000)
      trouble.fail = () => undefined
      await clock.advance(40_000)
      expect((await turn.result).text).toBe('all done')
      expect([runs, model.calls.length]).toEqual([1, 2])
      expect(shownText(await events)).toBe('all done')
      const { id, session } = await turn.accepted
      expect(shownText(await followed(runtime.client, id))).toBe('all done')
      expect(await transcript(runtime.client, session)).toEqual([
        'user: hi',
        'assistant: call work',
        'tool: result work',
        'assistant: all done',
      ])
      expect(await runtime.client.sessions.turn({ id })).toMatchObject({ status: 'completed', usage: { input: 20 } })
      if (broken) expect(runtime.reported[0]).toMatchObject({ error: { code: 'STORE_FULL' } })
      else expect([failing, runtime.reported]).toEqual([5, []])
    }
  })

  test('can be left: a turn that could not be stored is where it was when the next runtime starts', async () => {
    const file = databaseFile()
    const trouble = troubled(sqliteStore(file))
    const model = scriptedModel([say('lost'), say('kept')])
    const options = { agents: [agentOf()], model }
    const first = await createTestRuntime({ ...options, store: trouble.store })
    trouble.fail = (verb) => (writes.includes(verb) ? diskFull() : undefined)
    const turn = first.client.run('clerk', { message: 'hi' })
    const { id, session } = await turn.accepted
    await until(() => first.reported.length > 0)
    await first.stop()
    expect(await codeOf(turn.result)).toBe('RUNTIME_STOPPED')
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect((await second.client.attach(id).result).text).toBe('kept')
    expect(await transcript(second.client, session)).toEqual(['user: hi', 'assistant: kept'])
  })

  test('lets a cancelled turn be cancelled as soon as there is room', async () => {
    const clock = virtualClock()
    const trouble = troubled(sqliteStore(':memory:'))
    const model = scriptedModel([hang(), say('next')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, store: trouble.store })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id, session } = await turn.accepted
    trouble.fail = (verb) => (writes.includes(verb) ? diskFull() : undefined)
    await runtime.client.turns.cancel({ id })
    await clock.advance(10_000)
    expect(await runtime.client.sessions.turn({ id })).toMatchObject({ status: 'running', cancelRequested: true })
    trouble.fail = () => undefined
    await clock.advance(30_000)
    expect(await turn.outcome).toMatchObject({ status: 'cancelled' })
    expect((await runtime.client.run('clerk', { session, message: 'ho' }).result).text).toBe('next')
  })

  test('is told to a caller whose message was not taken, and leaves nothing of it', async () => {
    const trouble = troubled(sqliteStore(':memory:'))
    const model = scriptedModel([])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, store: trouble.store })
    trouble.fail = (verb) => (verb === 'loop.accept' ? diskFull() : undefined)
    const turn = runtime.client.run('clerk', { message: 'hi' })
    expect(await codeOf(turn.accepted)).toBe('STORE_FULL')
    expect(await codeOf(turn.result)).toBe('STORE_FULL')
    expect(await codeOf(collect(turn))).toBe('STORE_FULL')
    expect(await runtime.client.sessions.list({ limit: 10, offset: 0 })).toEqual([])
  })

  test('does not lose a decision that was stored: the next sweep goes on', async () => {
    const clock = virtualClock()
    const trouble = troubled(sqliteStore(':memory:'))
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', { note: 'x' }), say('paid')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model, clock, store: trouble.store })
    const { turn } = await runtime.client.run('clerk', { message: 'hi' }).result
    const id = await approvalOf(runtime.client, turn)
    trouble.fail = (verb) => (verb === 'loop.resume' ? diskFull() : undefined)
    expect(await runtime.client.approvals.decide({ id, decision: 'approve' })).toMatchObject({ status: 'approved' })
    await clock.advance(20_000)
    expect(runs).toEqual([])
    expect(runtime.reported).toMatchObject([{ error: { code: 'STORE_FULL' }, where: 'approval' }])
    trouble.fail = () => undefined
    await clock.advance(5_000)
    expect(ends(await followed(runtime.client, turn))).toMatchObject([{ type: 'turn.completed' }])
    expect(runs).toHaveLength(1)
  })
})

describe('a database that another process has locked', () => {
  test('is waited for without losing what the model and the tools have done', async () => {
    const file = databaseFile()
    let runs = 0
    const going = gate<string>()
    const work = noteTool('work', () => {
      runs += 1
      return going.passed
    })
    const model = scriptedModel([callTool('work', { note: 'x' }), say('done')])
    const store = sqliteStore(file, { busyTimeoutMs: 20 })
    await using runtime = await createTestRuntime({ agents: [agentOf([work])], model, store })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    await until(() => runs === 1)
    const other = new DatabaseSync(file)
    other.exec('begin immediate')
    going.open('worked')
    await until(() => runtime.reported.length > 0)
    expect(runtime.reported[0]).toMatchObject({ error: { code: 'STORE_BUSY' } })
    other.exec('rollback')
    other.close()
    expect((await turn.result).text).toBe('done')
    expect([runs, model.calls.length]).toEqual([1, 2])
    expect(await callsOf(runtime.client, id)).toMatchObject([{ status: 'succeeded', output: 'worked' }])
  })
})

describe('a store that fails for reasons of its own', () => {
  const odd = () => new Error('the connection was reset')

  test('at one commit makes the turn go on from the last one that was stored', async () => {
    for (let failing = 1; failing <= 4; failing += 1) {
      const clock = virtualClock()
      const trouble = troubled(sqliteStore(':memory:'))
      const keys: string[] = []
      const work = noteTool(
        'work',
        (_, { idempotencyKey }) => {
          keys.push(idempotencyKey)
          return 'worked'
        },
        { idempotent: true },
      )
      const answer = respond(({ messages }) => (messages.length === 1 ? callTool('work', { note: 'x' }) : say('done')))
      const model = scriptedModel([], { otherwise: answer })
      await using runtime = await createTestRuntime({ agents: [agentOf([work])], model, clock, store: trouble.store })
      trouble.fail = (verb, count) => (verb === 'loop.commit' && count === failing ? odd() : undefined)
      const turn = runtime.client.run('clerk', { message: 'hi' })
      const result = turn.result
      const { id, session } = await turn.accepted
      await clock.advance(5_000)
      expect((await result).text).toBe('done')
      expect(await transcript(runtime.client, session)).toEqual([
        'user: hi',
        'assistant: call work',
        'tool: result work',
        'assistant: done',
      ])
      const [row] = await runtime.client.sessions.toolCalls({ turn: id })
      expect(new Set(keys)).toEqual(new Set([row?.id]))
      expect(await callsOf(runtime.client, id)).toMatchObject([{ status: 'succeeded', output: 'worked' }])
      expect(ends(await followed(runtime.client, id))).toHaveLength(1)
    }
  })

  test('does not keep a cancelled turn from being cancelled, a little later', async () => {
    const clock = virtualClock()
    const trouble = troubled(sqliteStore(':memory:'))
    const model = scriptedModel([hang(), say('next')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, store: trouble.store })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id, session } = await turn.accepted
    trouble.fail = (verb, count) => (verb === 'loop.commit' && count === 1 ? odd() : undefined)
    const outcome = turn.outcome
    await runtime.client.turns.cancel({ id })
    await clock.advance(2_000)
    expect(await outcome).toMatchObject({ status: 'cancelled' })
    expect((await runtime.client.run('clerk', { session, message: 'ho' }).result).text).toBe('next')
    expect(model.calls).toHaveLength(2)
  })

  test('at every commit gives the turn up after some tries: it calls no model before the last call is recorded', async () => {
    const clock = virtualClock()
    const trouble = troubled(sqliteStore(':memory:'))
    const model = scriptedModel([], { otherwise: say('done') })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, store: trouble.store })
    trouble.fail = (verb) => (verb === 'loop.commit' ? odd() : undefined)
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const outcome = turn.outcome
    const { session } = await turn.accepted
    await clock.advance(600_000)
    expect(model.calls.length).toBe(1)
    trouble.fail = () => undefined
    await clock.advance(60_000)
    expect(await outcome).toMatchObject({ status: 'failed', error: { code: 'INTERNAL' } })
    expect((await runtime.client.run('clerk', { session, message: 'ho' }).result).text).toBe('done')
  })

  test('when history is read makes the turn wait, and go on', async () => {
    const clock = virtualClock()
    const trouble = troubled(sqliteStore(':memory:'))
    const model = scriptedModel([say('one'), say('two')])
    const options = { agents: [agentOf()], model, clock, store: trouble.store, limits: { historyBytes: 0 } }
    await using runtime = await createTestRuntime(options)
    const { session } = await runtime.client.run('clerk', { message: 'a' }).result
    trouble.fail = (verb) => (verb === 'sessions.messages' ? odd() : undefined)
    const turn = runtime.client.run('clerk', { session, message: 'b' })
    const result = turn.result
    await turn.accepted
    await clock.advance(500)
    trouble.fail = () => undefined
    await clock.advance(2_000)
    expect((await result).text).toBe('two')
    expect(model.calls).toHaveLength(2)
  })

  test('when the runtime starts leaves what was running to the next try', async () => {
    const file = databaseFile()
    const model = scriptedModel([hang(), say('done')])
    const options = { agents: [agentOf()], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const { id } = await first.client.run('clerk', { message: 'hi' }).accepted
    await until(() => model.calls.length === 1)
    await first.stop()
    const trouble = troubled(sqliteStore(file))
    trouble.fail = (verb, count) => (verb === 'loop.takeOver' && count === 1 ? odd() : undefined)
    const failing = createTestRuntime({ ...options, store: trouble.store })
    expect(await codeOf(failing)).toContain('the connection was reset')
    await trouble.store.close()
    const again = troubled(sqliteStore(file))
    again.fail = (verb, count) => (verb === 'approvals.expire' && count === 1 ? odd() : undefined)
    await using second = await createTestRuntime({ ...options, store: again.store })
    expect((await second.client.attach(id).result).text).toBe('done')
    expect(second.reported).toMatchObject([{ where: 'sweep' }])
  })
})

describe('a turn that another instance takes over', () => {
  test('is left to it: this one stops its tools, writes nothing more, and its readers see the end', async () => {
    const inner = sqliteStore(':memory:')
    const going = gate<string>()
    const started = gate()
    let aborted = false
    const quick = noteTool('quick', () => going.passed)
    const slow = noteTool('slow', (_, { signal }) => {
      signal.addEventListener('abort', () => {
        aborted = true
      })
      started.open()
      return new Promise(() => {})
    })
    const calls = [callTool('quick', { note: 'a' }), callTool('slow', { note: 'b' })]
    const model = scriptedModel([calls])
    await using runtime = await createTestRuntime({ agents: [agentOf([quick, slow])], model, store: inner })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const outcome = turn.outcome
    const { id } = await turn.accepted
    await started.passed
    const [taken] = await inner.loop.takeOver('other', Number.MAX_SAFE_INTEGER, 1, 10)
    if (!taken) throw new Error('nothing was taken over')
    going.open('done')
    await until(() => runtime.reported.length > 0)
    expect(runtime.reported).toMatchObject([{ error: { code: 'LEASE_LOST' } }])
    expect(aborted).toBe(true)
    expect(await callsOf(runtime.client, id)).toMatchObject([{ status: 'started' }, { status: 'started' }])
    const error = { code: 'ELSEWHERE', message: 'failed elsewhere' }
    const log = `${JSON.stringify({ sequence: 2 ** 40, type: 'turn.failed', error, message: null, at: 1 })}\n`
    await inner.loop.commit(taken.lease, { at: 1, status: 'failed', error, log })
    expect(await outcome).toMatchObject({ status: 'failed', error })
  })
})

describe('a turn that is taken over while the model speaks', () => {
  test('is not asked of the model again by the one that lost it', async () => {
    const clock = virtualClock()
    const inner = sqliteStore(':memory:')
    const model = scriptedModel([[say('some '), delay(2_000), say('words'), hang()]], { clock })
    const runtime = await createTestRuntime({ agents: [agentOf()], model, clock, store: inner })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const outcome = codeOf(turn.outcome)
    await turn.accepted
    await settle()
    await inner.loop.takeOver('other', Number.MAX_SAFE_INTEGER, 1, 10)
    await clock.advance(60_000)
    expect(runtime.reported).toMatchObject([{ error: { code: 'LEASE_LOST' } }])
    expect(model.calls.map(({ signal }) => signal.aborted)).toEqual([true])
    await runtime.stop()
    expect(await outcome).toBe('RUNTIME_STOPPED')
  })
})

describe('a turn whose end could not be recorded and whose lease seemed to be gone', () => {
  test('is gone on with once it is known to be held here after all', async () => {
    const clock = virtualClock()
    const inner = sqliteStore(':memory:')
    const [commits, resumes] = [[new Error('a defect')], [null]]
    const store: Store = {
      ...inner,
      exclusive: false,
      loop: {
        ...inner.loop,
        async commit(lease, change) {
          const error = commits.pop()
          if (error) throw error
          return await inner.loop.commit(lease, change)
        },
        resume: async (...given) => (resumes.length > 0 ? (resumes.pop() ?? null) : await inner.loop.resume(...given)),
      },
    }
    const model = scriptedModel([say('lost'), say('kept')], { clock })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, store })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    for (let second = 0; second < 30; second += 1) await clock.advance(1_000)
    expect(await runtime.client.sessions.turn({ id })).toMatchObject({ status: 'completed' })
  })
})

describe('a runtime that stops', () => {
  test('lets go of readers whose turn does not run just then', async () => {
    const clock = virtualClock()
    const model = scriptedModel([hang()])
    const runtime = await createTestRuntime({ agents: [agentOf()], model, clock })
    const { session } = await runtime.client.run('clerk', { message: 'a' }).accepted
    const queued = codeOf(runtime.client.run('clerk', { session, message: 'b' }).result)
    await settle()
    await runtime.stop()
    expect(await queued).toBe('RUNTIME_STOPPED')
    expect(await codeOf(runtime.client.run('clerk', { message: 'c' }).result)).toBe('RUNTIME_STOPPED')
  })
})
