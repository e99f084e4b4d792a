import { createRuntime, type FailureClass, type ModelPart, type Provider, singleOwner } from '@keelson/core'
import {
  callTool,
  createTestRuntime,
  cut,
  delay,
  fail,
  finish,
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
  collect,
  ends,
  followed,
  gate,
  noteTool,
  shownText,
  transcript,
  typesOf,
} from './scene.ts'

const twoModels = agentOf([], { models: ['test/one', 'other/two'] })

/** A provider that does not care about its signal. */
function deaf(parts: () => AsyncIterable<ModelPart>): Provider & { calls: number } {
  return {
    id: 'deaf',
    calls: 0,
    stream() {
      this.calls += 1
      return parts()
    },
  }
}

const answer: ModelPart[] = [
  { type: 'text', text: 'late' },
  { type: 'finish', reason: 'stop', usage: { input: 1, cacheRead: 0, cacheWrite: 0, output: 1, reasoning: 0 } },
]

describe('a model that fails', () => {
  const again: FailureClass[] = ['rate-limit', 'overload', 'server', 'timeout', 'network', 'malformed']
  test.each(again)('with %s is asked three times, each after a longer wait, then the next one is', async (failure) => {
    const clock = virtualClock()
    const at: number[] = []
    const failing = respond(() => {
      at.push(clock.now())
      return fail(failure)
    })
    const model = scriptedModel([failing, failing, failing, say('two')])
    await using runtime = await createTestRuntime({ agents: [twoModels], model, clock })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    await turn.accepted
    await clock.advance(5_000)
    expect(await turn.result).toMatchObject({ text: 'two', model: 'other/two', selected: 'test/one', steps: 1 })
    expect(model.calls.map((call) => call.model)).toEqual(['test/one', 'test/one', 'test/one', 'other/two'])
    const [first = 0, second = 0, third = 0] = at
    expect(second - first).toBeGreaterThanOrEqual(250)
    expect(second - first).toBeLessThanOrEqual(500)
    expect(third - second).toBeGreaterThanOrEqual(500)
    expect(third - second).toBeLessThanOrEqual(1_000)
    expect(runtime.reported).toHaveLength(3)
  })

  const never: FailureClass[] = ['auth', 'billing', 'context-too-long', 'bad-request']
  test.each(never)('with %s is not asked again, but the next one is', async (failure) => {
    const model = scriptedModel([fail(failure), say('two')])
    await using runtime = await createTestRuntime({ agents: [twoModels], model })
    expect((await runtime.client.run('clerk', { message: 'hi' }).result).text).toBe('two')
    expect(model.calls.map((call) => call.model)).toEqual(['test/one', 'other/two'])
  })

  test('because it refuses the content ends the turn: no other is asked', async () => {
    const model = scriptedModel([fail('content-refused')])
    await using runtime = await createTestRuntime({ agents: [twoModels], model })
    const outcome = await runtime.client.run('clerk', { message: 'hi' }).outcome
    expect(outcome).toMatchObject({
      status: 'failed',
      error: { code: 'MODEL_FAILED', message: expect.stringContaining('content-refused') },
    })
    expect(model.calls).toHaveLength(1)
  })

  test('is waited for as long as it asks, unless that is too long', async () => {
    const clock = virtualClock()
    const model = scriptedModel([
      fail('rate-limit', { retryAfterMs: 20_000 }),
      fail('overload', { retryAfterMs: 30_001 }),
      say('two'),
    ])
    await using runtime = await createTestRuntime({ agents: [twoModels], model, clock })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    await turn.accepted
    await clock.advance(19_999)
    expect(model.calls).toHaveLength(1)
    await clock.advance(1)
    expect((await turn.result).text).toBe('two')
    expect(model.calls.map((call) => call.model)).toEqual(['test/one', 'test/one', 'other/two'])
  })

  test('every time fails the turn with the class of the last failure, and the session takes the next message', async () => {
    const model = scriptedModel([fail('auth'), fail('billing'), say('fine')])
    await using runtime = await createTestRuntime({ agents: [twoModels], model })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { session, error, message, text } = await turn.outcome
    expect([error, message, text]).toEqual([
      { code: 'MODEL_FAILED', message: 'the model provider failed: billing' },
      null,
      '',
    ])
    expect((await runtime.client.run('clerk', { session, message: 'ho' }).result).text).toBe('fine')
    expect(await transcript(runtime.client, session)).toEqual(['user: hi', 'user: ho', 'assistant: fine'])
  })

  test('gives the failure reply, and nothing of what it had said itself', async () => {
    const model = scriptedModel([
      callTool('echo', { note: 'x' }),
      fail('server', { afterText: 'Half an answ' }),
      fail('auth', { afterText: 'and ano' }),
    ])
    const echo = noteTool('echo', ({ note }) => note)
    await using runtime = await createTestRuntime({ agents: [agentOf([echo])], model, limits: { backoffMs: 1 } })
    const turn = runtime.client.run('clerk', { message: 'hi', failureReply: 'Sorry.' })
    const events = await collect(turn)
    const { message, session, status, text, turn: id } = await turn.outcome
    expect([status, text]).toEqual(['failed', 'Sorry.'])
    expect(shownText(events)).toBe('Sorry.')
    expect(shownText(await followed(runtime.client, id))).toBe('Sorry.')
    expect(await transcript(runtime.client, session)).toContain('assistant: Sorry.')
    const stored = await runtime.client.sessions.messages({ session, limit: 10 })
    expect(stored.at(-1)?.id).toBe(message)
  })

  test('after it has spoken has that taken back', async () => {
    const model = scriptedModel([fail('server', { afterText: 'Half' }), cut(), say('Whole')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, limits: { backoffMs: 1 } })
    const events = await collect(runtime.client.run('clerk', { message: 'hi' }))
    expect(shownText(events)).toBe('Whole')
    expect(typesOf(events).filter((type) => type === 'step.restarted')).toHaveLength(2)
  })
})

describe('a model that takes its time', () => {
  const limits = { firstTokenMs: 1_000, idleMs: 300, stepMs: 2_000, attempts: 1, flushMs: 100 }
  const failed = { status: 'failed', error: { message: 'the model provider failed: timeout' } }

  test.each([
    ['says nothing', [hang()], 1_000],
    ['stops in the middle', [[say('a'), hang()]], 300],
    ['never ends', [Array.from({ length: 100 }, () => [delay(100), say('a ')]).flat()], 2_000],
    ['says nothing after a long silence', [[delay(900), say('a'), hang()]], 1_200],
  ])('is given up when it %s', async (_, steps, after) => {
    const clock = virtualClock()
    const model = scriptedModel(steps, { clock })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, limits })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    await clock.advance(after - 1)
    expect(await runtime.client.sessions.turn({ id })).toMatchObject({ status: 'running' })
    await clock.advance(100)
    expect(await turn.outcome).toMatchObject(failed)
    expect(model.calls[0]?.signal.aborted).toBe(true)
    expect(clock.pending).toBe(1)
  })

  test('is not given up while it speaks, however long it takes to the first word', async () => {
    const clock = virtualClock()
    const model = scriptedModel([[delay(999), say('a'), delay(299), say('b'), delay(299), say('c')]], { clock })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, limits })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    await turn.accepted
    await clock.advance(2_000)
    expect((await turn.result).text).toBe('abc')
  })

  test('is given up in time although the clock was set back meanwhile', async () => {
    for (const [steps, after] of [
      [[hang()], 1_000],
      [[[say('a'), hang()]], 300],
    ] as const) {
      const clock = virtualClock()
      const model = scriptedModel(steps, { clock })
      await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, limits })
      const turn = runtime.client.run('clerk', { message: 'hi' })
      await turn.accepted
      await clock.advance(150)
      clock.shift(-3_600_000)
      await clock.advance(after + 100)
      expect(await turn.outcome).toMatchObject(failed)
    }
  })

  test('and ignores its signal is left behind: what it says later belongs to nobody', async () => {
    const clock = virtualClock()
    const { promise, resolve } = Promise.withResolvers<void>()
    const model = deaf(async function* () {
      yield { type: 'text', text: 'early ' }
      await promise
      yield* answer
    })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, limits })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id, session } = await turn.accepted
    await clock.advance(400)
    expect(await turn.outcome).toMatchObject(failed)
    resolve()
    await settle()
    expect(shownText(await followed(runtime.client, id))).toBe('early ')
    expect(await transcript(runtime.client, session)).toEqual(['user: hi'])
    expect(model.calls).toBe(1)
  })

  test('and speaks after it was given up does not disturb the next answer', async () => {
    const clock = virtualClock()
    const late = gate()
    const answering = gate()
    const spoken: ModelPart[][] = [
      [{ type: 'text', text: 'early ' }],
      [{ type: 'text', text: 'the answer' }, ...answer.slice(1)],
    ]
    const model = deaf(async function* () {
      const [first, ...rest] = spoken.shift() ?? []
      if (first) yield first
      if (spoken.length > 0) {
        await late.passed
        yield { type: 'text', text: 'late' }
      } else {
        await answering.passed
      }
      yield* rest
    })
    const more = { ...limits, attempts: 2, backoffMs: 1 }
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock, limits: more })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    await clock.advance(310)
    expect(model.calls).toBe(2)
    late.open()
    await settle()
    answering.open()
    expect((await turn.result).text).toBe('the answer')
    expect(shownText(await followed(runtime.client, id))).toBe('the answer')
  })

  test('and ignores its signal does not keep a cancelled turn or a stopping runtime', async () => {
    const model = deaf(async function* () {
      yield { type: 'text', text: 'early ' }
      await new Promise(() => {})
    })
    const runtime = await createTestRuntime({ agents: [agentOf()], model })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    await settle()
    await runtime.client.turns.cancel({ id })
    expect(await turn.outcome).toMatchObject({ status: 'cancelled' })
    const other = runtime.client.run('clerk', { message: 'hi' })
    await other.accepted
    await runtime.stop()
    await expect(other.result).rejects.toMatchObject({ code: 'RUNTIME_STOPPED' })
  })
})

describe('a model that never ends', () => {
  const limits = { answerLength: 1_000, attempts: 1 }
  const tooLong = { status: 'failed', error: { message: 'the model provider failed: malformed' } }

  test.each([
    ['its text', () => ({ type: 'text', text: 'more ' }) as const],
    ['its reasoning', () => ({ type: 'reasoning', text: 'more ' }) as const],
    ['its tool calls', () => ({ type: 'tool-call', call: 'c', tool: 'echo', arguments: '{}' }) as const],
  ])('with %s is cut off', async (_, part) => {
    const model = deaf(async function* () {
      for (;;) yield part()
    })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, limits })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    expect(await turn.outcome).toMatchObject(tooLong)
    expect(await transcript(runtime.client, (await turn.accepted).session)).toEqual(['user: hi'])
  })

  test('with its stream although it has finished its answer is not waited for', async () => {
    const model = deaf(async function* () {
      yield* answer
      await new Promise(() => {})
    })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    expect((await runtime.client.run('clerk', { message: 'hi' }).result).text).toBe('late')
  })

  test('to call tools is stopped at the step limit, with the failure reply if there is one', async () => {
    const echo = noteTool('echo', ({ note }) => note)
    const model = scriptedModel([], { otherwise: callTool('echo', { note: 'x' }) })
    await using runtime = await createTestRuntime({ agents: [agentOf([echo], { maxSteps: 3 })], model })
    const turn = runtime.client.run('clerk', { message: 'hi', failureReply: 'Too much.' })
    const outcome = await turn.outcome
    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'STEP_LIMIT' }, text: 'Too much.' })
    expect(model.calls).toHaveLength(3)
    const stored = await runtime.client.sessions.turn({ id: outcome.turn })
    expect(stored).toMatchObject({ steps: 3, usage: { input: 30, output: 15 } })
    expect(ends(await followed(runtime.client, outcome.turn))).toHaveLength(1)
  })
})

describe('what a turn has used', () => {
  test('is the sum of its steps', async () => {
    const echo = noteTool('echo', ({ note }) => note)
    const model = scriptedModel([
      [callTool('echo', { note: 'x' }), finish({ usage: { input: 7, cacheRead: 3, reasoning: 2 } })],
      [say('done'), finish({ usage: { input: 11, output: 13 } })],
    ])
    await using runtime = await createTestRuntime({ agents: [agentOf([echo])], model })
    const { turn, usage, cost, steps } = await runtime.client.run('clerk', { message: 'hi' }).result
    expect([steps, usage]).toEqual([2, { input: 18, cacheRead: 3, cacheWrite: 0, output: 18, reasoning: 2 }])
    const finished = (await followed(runtime.client, turn)).flatMap((e) => (e.type === 'step.finished' ? e.usage : []))
    expect(finished.reduce((sum, { input }) => sum + input, 0)).toBe(usage.input)
    expect(cost).toBe(null)
    expect(await runtime.client.sessions.turn({ id: turn })).toMatchObject({ usage, cost, steps })
  })

  test('is what its own model calls cost when it began without one, to carry out an approved call', async () => {
    const { tool } = askingTool()
    const model = scriptedModel([callTool('pay', { note: 'x' }), say('asked'), say('paid')], {
      id: 'test',
      models: [{ name: 'one', price: { input: 10, output: 100 } }],
    })
    const runtime = createRuntime({ store: sqliteStore(':memory:'), providers: [model], agents: [agentOf([tool])] })
    const client = runtime.as(singleOwner('code'))
    const { session, turn, cost } = await client.run('clerk', { message: 'pay', approvals: 'defer' }).result
    expect(cost).toBe(2 * (10 * 10 + 5 * 100))
    await client.approvals.decide({ id: await approvalOf(client, turn), decision: 'approve' })
    const [, second] = await client.sessions.turns({ session, limit: 10, offset: 0 })
    expect(await client.attach(second?.id ?? '').result).toMatchObject({ cost: 10 * 10 + 5 * 100, steps: 2 })
    await runtime.stop()
  })
})
