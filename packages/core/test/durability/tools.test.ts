import { systemClock } from '@keelson/core'
import { callTool, createTestRuntime, say, scriptedModel, settle, virtualClock } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { executeCalls } from '../../src/capabilities/loop/execute-tools.ts'
import { agentOf, callsOf, collect, followed, gate, noteTool, transcript, typesOf } from './scene.ts'

/** Runs one turn whose first step makes these calls, and gives what the model was told of them. */
async function told(tools: Parameters<typeof agentOf>[0], calls: Parameters<typeof scriptedModel>[0][number]) {
  const model = scriptedModel([calls, say('done')])
  const runtime = await createTestRuntime({ agents: [agentOf(tools)], model })
  const { turn, session, status } = await runtime.client.run('clerk', { message: 'hi' }).result
  const results = model.calls[1]?.request.messages.at(-1)?.parts ?? []
  const outputs = results.map((part) => (part.type === 'tool-result' ? part.output : null))
  const errors = results.map((part) => part.type === 'tool-result' && (part.isError ?? false))
  const calls_ = await callsOf(runtime.client, turn)
  const history = await transcript(runtime.client, session)
  await runtime.stop()
  return { outputs, errors, calls: calls_, history, status, reported: runtime.reported }
}

describe('calls of one step', () => {
  test('run side by side, at most as many as the limit says', async () => {
    let [now, most] = [0, 0]
    const busy = noteTool('busy', async ({ note }) => {
      now += 1
      most = Math.max(most, now)
      await settle()
      now -= 1
      return note
    })
    const calls = Array.from({ length: 20 }, (_, index) => callTool('busy', { note: `${index}` }))
    const model = scriptedModel([calls, say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([busy])], model, limits: { parallelCalls: 4 } })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const events = await collect(turn)
    expect(most).toBe(4)
    const outputs = model.calls[1]?.request.messages
      .at(-1)
      ?.parts.map((part) => part.type === 'tool-result' && part.output)
    expect(outputs).toEqual(Array.from({ length: 20 }, (_, index) => `${index}`))
    expect(typesOf(events).filter((type) => type === 'tool.finished')).toHaveLength(20)
  })

  test('are stored as they end, not when the last of them does', async () => {
    const last = gate<string>()
    const tools = [noteTool('quick', () => 'quick'), noteTool('slow', () => last.passed)]
    const model = scriptedModel([[callTool('slow', { note: 'a' }), callTool('quick', { note: 'b' })], say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf(tools)], model })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    for await (const { type } of turn) if (type === 'tool.finished') break
    expect(await callsOf(runtime.client, id)).toMatchObject([{ status: 'started' }, { status: 'succeeded' }])
    last.open('slow')
    await turn.result
    expect(await callsOf(runtime.client, id)).toMatchObject([{ status: 'succeeded' }, { status: 'succeeded' }])
  })

  test('a thousand at once: the first are run, the rest refused, each with one result', async () => {
    let runs = 0
    const count = noteTool('count', () => {
      runs += 1
      return runs
    })
    const calls = Array.from({ length: 1_000 }, (_, index) => callTool('count', { note: `${index}` }))
    const { calls: rows, outputs, errors, status } = await told([count], calls)
    expect([status, runs, outputs.length, rows.length]).toEqual(['completed', 32, 1_000, 1_000])
    expect(errors.filter(Boolean)).toHaveLength(968)
    expect(
      rows.filter((row) => row.status === 'failed').every(({ output }) => String(output).includes('at most 32')),
    ).toBe(true)
  })

  test('that have ended when the turn is stopped are told of before the others are given up', async () => {
    const stop = new AbortController()
    const ending = noteTool('ending', () => 'ended')
    const hanging = noteTool('hanging', () => {
      stop.abort(new Error('stopped'))
      return new Promise(() => {})
    })
    const call = () => Promise.reject(new Error('no operation is called here'))
    const context = { turn: 't', session: 's', tenant: 'a', subject: 'b', agent: 'c', call }
    const calls = [ending, hanging].map((tool) => ({
      id: tool.name,
      call: tool.name,
      tool,
      args: { note: '' },
      context,
      clock: systemClock,
    }))
    const told: string[] = []
    const running = executeCalls(calls, 8, stop.signal, async (batch) => told.push(...batch.map(({ id }) => id)))
    await expect(running).rejects.toThrow('stopped')
    expect(told).toEqual(['ending'])
  })

  test('with the same id, or none, each keep their own result', async () => {
    const echo = noteTool('echo', ({ note }) => note)
    const calls = ['a', 'b', 'c', 'd', 'e'].map((note, index) =>
      callTool('echo', { note }, { call: ['same', 'same', '', '', 'same_2'][index] ?? '' }),
    )
    const { outputs, calls: rows, history } = await told([echo], calls)
    expect(outputs).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(rows.map(({ output }) => output)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(history[2]).toBe('tool: result echo, result echo, result echo, result echo, result echo')
  })
})

describe('a call that cannot be run as it is', () => {
  test('is a result for the model: unknown tool, broken JSON, arguments that do not fit', async () => {
    let runs = 0
    const echo = noteTool('echo', () => {
      runs += 1
      return 'ran'
    })
    const { outputs, errors, status } = await told(
      [echo],
      [
        callTool('nothing', { note: 'x' }),
        callTool('echo', '{"note": '),
        callTool('echo', { note: 7 }),
        callTool('echo', ''),
        callTool('echo', '[]'),
        callTool('echo', 'null'),
        callTool('__proto__', {}),
        callTool('echo', { note: 'fine' }),
      ],
    )
    expect(outputs).toEqual([
      'there is no tool "nothing"; there are: echo',
      'the arguments are not valid JSON',
      expect.stringContaining('note'),
      expect.stringContaining('note'),
      expect.stringContaining('do not fit'),
      expect.stringContaining('do not fit'),
      'there is no tool "__proto__"; there are: echo',
      'ran',
    ])
    expect(errors).toEqual([true, true, true, true, true, true, true, false])
    expect([runs, status]).toEqual([1, 'completed'])
  })
})

describe('a tool', () => {
  test.each<[string, () => unknown, string]>([
    ['an error', () => Promise.reject(new Error('no luck\n    at secret.ts:1')), 'the tool failed: no luck'],
    ['a text', () => Promise.reject('just so'), 'the tool failed: just so'],
    ['nothing', () => Promise.reject(undefined), 'the tool failed: undefined'],
    ['what has no text', () => Promise.reject(Object.create(null)), 'the tool failed: it threw what cannot be shown'],
    [
      'an error whose message is no text',
      () => Promise.reject(Object.assign(new Error(), { message: 7 })),
      'the tool failed: 7',
    ],
    ['an endless error', () => Promise.reject(new Error('x'.repeat(10_000))), `the tool failed: ${'x'.repeat(500)}`],
  ])('that throws %s is told to the model in one line', async (_, execute, output) => {
    const { outputs, errors, calls } = await told([noteTool('odd', execute)], callTool('odd', { note: 'x' }))
    expect([outputs, errors]).toEqual([[output], [true]])
    expect(calls).toEqual([{ tool: 'odd', status: 'failed', output }])
  })

  test.each<[string, () => unknown, unknown, string]>([
    ['nothing', () => undefined, null, 'succeeded'],
    ['a bigint', () => 10n, expect.stringContaining('bigint'), 'failed'],
    ['an object with a bigint', () => ({ a: [10n] }), expect.stringContaining('bigint'), 'failed'],
    [
      'a circle',
      () => {
        const a: unknown[] = []
        a.push(a)
        return a
      },
      expect.stringContaining('itself'),
      'failed',
    ],
    [
      'what breaks when it is read',
      () => ({
        get a() {
          throw new Error('secret')
        },
      }),
      expect.not.stringContaining('secret'),
      'failed',
    ],
    ['a function', () => () => 1, expect.stringContaining('function'), 'failed'],
    ['half a character', () => '\ud83d', expect.any(String), 'succeeded'],
    ['a zero character', () => 'a\u0000b', 'a\u0000b', 'succeeded'],
  ])('that returns %s does no harm', async (_, execute, output, outcome) => {
    const { outputs, calls, status } = await told([noteTool('odd', execute)], callTool('odd', { note: 'x' }))
    expect(outputs).toEqual([output])
    expect(calls).toMatchObject([{ status: outcome }])
    expect(status).toBe('completed')
  })

  test('that returns 50 MB is cut to its limit, in the row, in the log and for the model', async () => {
    const huge = 'x'.repeat(50 * 2 ** 20)
    const tools = [noteTool('text', () => huge), noteTool('list', () => [huge])]
    const model = scriptedModel([[callTool('text', { note: 'a' }), callTool('list', { note: 'b' })], say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf(tools)], model })
    const { turn } = await runtime.client.run('clerk', { message: 'hi' }).result
    const rows = await callsOf(runtime.client, turn)
    const events = await followed(runtime.client, turn)
    for (const what of [rows, events, model.calls[1]?.request.messages]) {
      expect(JSON.stringify(what).length).toBeLessThan(40_000)
    }
    expect(rows.map(({ output }) => String(output).includes('[cut: first'))).toEqual([true, true])
  })

  test('that hangs past its time is given up, told to stop, and what it does later is not seen', async () => {
    const clock = virtualClock()
    const late = gate<string>()
    let aborted = false
    const slow = noteTool(
      'slow',
      (_, { signal }) => {
        signal.addEventListener('abort', () => {
          aborted = true
        })
        return late.passed
      },
      { timeoutMs: 700 },
    )
    const model = scriptedModel([callTool('slow', { note: 'x' }), say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([slow])], model, clock })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    await clock.advance(699)
    expect([aborted, (await runtime.client.sessions.turn({ id })).status]).toEqual([false, 'running'])
    await clock.advance(1)
    await turn.result
    expect(aborted).toBe(true)
    late.open('too late')
    await settle()
    expect(await callsOf(runtime.client, id)).toEqual([
      { tool: 'slow', status: 'failed', output: 'the tool failed: no result within 700 ms' },
    ])
    expect(runtime.reported).toEqual([])
  })

  test('that rejects after its time was over breaks nothing', async () => {
    const clock = virtualClock()
    const late = gate<string>()
    const slow = noteTool('slow', () => late.passed, { timeoutMs: 10 })
    const model = scriptedModel([callTool('slow', { note: 'x' }), say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([slow])], model, clock })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    await turn.accepted
    await clock.advance(10)
    expect((await turn.result).text).toBe('done')
    late.break(new Error('after the fact'))
    await settle()
    expect(runtime.reported).toEqual([])
  })

  test('is told of its turn, its session and its caller, and has a key of its own for each call', async () => {
    const seen: unknown[] = []
    const look = noteTool('look', (_, { call: _call, signal, ...context }) => {
      seen.push(context)
      return signal.aborted
    })
    const model = scriptedModel([[callTool('look', { note: 'a' }), callTool('look', { note: 'b' })], say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([look])], model })
    const ada = runtime.caller('ada', { tenant: 'acme' })
    const { turn, session } = await ada.run('clerk', { message: 'hi', authority: 'creator' }).result
    const rows = await ada.sessions.toolCalls({ turn })
    const shared = { turn, session, tenant: 'acme', subject: 'ada', agent: 'clerk' }
    expect(seen).toEqual(rows.map(({ id }) => ({ ...shared, idempotencyKey: id })))
    expect(new Set(rows.map(({ id }) => id)).size).toBe(2)
  })

  test('whose time was measured while the clock was set back has taken no less than nothing', async () => {
    const clock = virtualClock()
    const back = noteTool('back', () => clock.shift(-60_000))
    const model = scriptedModel([callTool('back', { note: 'x' }), say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([back])], model, clock })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const events = await collect(turn)
    expect(events.filter(({ type }) => type === 'tool.finished')).toMatchObject([{ durationMs: 0 }])
    expect((await turn.result).text).toBe('done')
    const { session } = await turn.accepted
    const messages = await runtime.client.sessions.messages({ session, limit: 10 })
    expect(messages.map(({ sequence, role }) => [sequence, role])).toEqual([
      [1, 'user'],
      [2, 'assistant'],
      [3, 'tool'],
      [4, 'assistant'],
    ])
  })

  test('whose check never ends can be cancelled', async () => {
    const stuck = { ...noteTool('stuck', () => 1), check: () => new Promise<never>(() => {}) }
    const model = scriptedModel([callTool('stuck', { note: 'x' })])
    await using runtime = await createTestRuntime({ agents: [agentOf([stuck])], model })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    await settle()
    await runtime.client.turns.cancel({ id })
    expect(await turn.outcome).toMatchObject({ status: 'cancelled' })
  })
})
