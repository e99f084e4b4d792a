import { defineTool } from '@keelson/core'
import { callTool, createTestRuntime, say, scriptedModel, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  agentOf,
  approvalOf,
  askingTool,
  callsOf,
  codeOf,
  databaseFile,
  ends,
  followed,
  noteTool,
  transcript,
  typesOf,
} from './scene.ts'

const onMonday = { note: 'on monday' }

describe('a turn that waits for an approval', () => {
  test('holds its session until the call is approved, and then runs exactly the approved arguments', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', ' {"note":  "on monday"} '), say('paid'), say('second')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const first = await client.run('clerk', { message: 'pay' }).result
    expect(first).toMatchObject({
      status: 'waiting',
      approvals: [{ tool: 'pay', arguments: ' {"note":  "on monday"} ' }],
    })
    const second = client.run('clerk', { session: first.session, message: 'and then?' })
    expect(await second.accepted).toMatchObject({ status: 'queued' })
    expect(runs).toEqual([])
    expect(model.calls).toHaveLength(1)

    const approval = await approvalOf(client, first.turn)
    expect(await client.approvals.decide({ id: approval, decision: 'approve' })).toMatchObject({
      status: 'approved',
      decidedBy: 'owner',
      arguments: ' {"note":  "on monday"} ',
    })
    expect(await second.result).toMatchObject({ text: 'second' })
    const [call] = await client.sessions.toolCalls({ turn: first.turn })
    expect(runs).toEqual([{ note: 'on monday', key: call?.id }])
    expect(await transcript(client, first.session)).toEqual([
      'user: pay',
      'assistant: call pay',
      'tool: result pay',
      'assistant: paid',
      'user: and then?',
      'assistant: second',
    ])
    model.assertComplete()
  })

  test('tells its readers of question, wait, decision and end', async () => {
    const { tool } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say(['paid'])])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const { turn } = await client.run('clerk', { message: 'pay' }).result
    const before = await followed(client, turn)
    expect(typesOf(before)).toEqual([
      'turn.started',
      'step.started',
      'step.finished',
      'tool.started',
      'approval.requested',
      'turn.waiting',
    ])
    await client.approvals.decide({ id: await approvalOf(client, turn), decision: 'approve' })
    const after = await followed(client, turn, before.at(-1)?.sequence)
    expect(typesOf(after)).toEqual([
      'turn.resumed',
      'approval.decided',
      'tool.finished',
      'step.started',
      'text.delta',
      'step.finished',
      'turn.completed',
    ])
    expect(await followed(client, turn)).toEqual([...before, ...after])
  })

  test('is told of a denial, and does not run the tool', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('not paid')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const { turn, session } = await client.run('clerk', { message: 'pay' }).result
    await client.approvals.decide({ id: await approvalOf(client, turn), decision: 'deny', decidedBy: 'ada' })
    expect(ends(await followed(client, turn))).toMatchObject([{ type: 'turn.completed' }])
    expect(runs).toEqual([])
    expect(await callsOf(client, turn)).toEqual([
      { tool: 'pay', status: 'denied', output: 'a person denied this call' },
    ])
    expect(model.calls[1]?.request.messages.at(-1)?.parts).toMatchObject([
      { type: 'tool-result', output: 'a person denied this call', isError: true },
    ])
    expect(await transcript(client, session)).toContain('assistant: not paid')
  })

  test('is told when nobody decides in time, once', async () => {
    const clock = virtualClock()
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('nobody answered')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model, clock })
    const { client } = runtime
    const { turn } = await client.run('clerk', { message: 'pay' }).result
    const approval = await approvalOf(client, turn)
    await clock.advance(300_000 - 5_000)
    expect(await client.approvals.get({ id: approval })).toMatchObject({ status: 'pending' })
    await clock.advance(10_000)
    expect(await client.approvals.get({ id: approval })).toMatchObject({ status: 'expired', decidedBy: null })
    expect(await codeOf(client.approvals.decide({ id: approval, decision: 'approve' }))).toBe('APPROVAL_SETTLED')
    const events = await followed(client, turn)
    expect(events.filter(({ type }) => type === 'approval.decided')).toMatchObject([{ status: 'expired' }])
    expect(ends(events)).toHaveLength(1)
    expect(runs).toEqual([])
    expect(model.calls[1]?.request.messages.at(-1)?.parts).toMatchObject([
      { output: 'nobody approved this call in time' },
    ])
  })

  test('refuses a decision that comes after the time, although nobody has swept yet', async () => {
    const clock = virtualClock()
    const { tool } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('too late')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model, clock })
    const { client } = runtime
    const { turn } = await client.run('clerk', { message: 'pay' }).result
    const approval = await approvalOf(client, turn)
    clock.shift(300_000)
    expect(await codeOf(client.approvals.decide({ id: approval, decision: 'approve' }))).toBe('APPROVAL_SETTLED')
    await clock.advance(5_000)
    expect(await client.approvals.get({ id: approval })).toMatchObject({ status: 'expired' })
    expect(ends(await followed(client, turn))).toMatchObject([{ type: 'turn.completed' }])
  })
})

describe('a decision', () => {
  test('is taken once, however many decide at the same moment', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const { turn } = await client.run('clerk', { message: 'pay' }).result
    const id = await approvalOf(client, turn)
    const deciding = Array.from({ length: 20 }, (_, index) =>
      codeOf(client.approvals.decide({ id, decision: index % 2 === 0 ? 'approve' : 'deny' })),
    )
    const codes = await Promise.all(deciding)
    expect(codes.filter((code) => code === 'fulfilled')).toHaveLength(1)
    expect(codes.filter((code) => code === 'APPROVAL_SETTLED')).toHaveLength(19)
    expect(ends(await followed(client, turn))).toHaveLength(1)
    const { status } = await client.approvals.get({ id })
    expect(runs).toHaveLength(status === 'approved' ? 1 : 0)
  })

  test('is refused from one who may not decide, and unknown to one who may not see', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday)])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const ada = runtime.caller('ada')
    const { turn } = await ada.run('clerk', { message: 'pay', authority: 'creator' }).result
    const id = await approvalOf(ada, turn)
    const approve = { id, decision: 'approve' } as const
    expect(await codeOf(ada.approvals.decide(approve))).toBe('APPROVAL_NOT_ALLOWED')
    for (const other of [
      runtime.caller('bob'),
      runtime.caller('ada', { tenant: 'other' }),
      runtime.caller('root', { tenant: 'other', roles: ['operator'] }),
    ]) {
      expect(await codeOf(other.approvals.decide(approve))).toBe('APPROVAL_NOT_FOUND')
      expect(await codeOf(other.approvals.get({ id }))).toBe('APPROVAL_NOT_FOUND')
      expect(await other.approvals.list({ limit: 10, offset: 0 })).toEqual([])
    }
    expect(await codeOf(runtime.as(null).approvals.decide(approve))).toBe('UNAUTHENTICATED')
    expect(await runtime.client.approvals.get({ id })).toMatchObject({ status: 'pending' })
    expect(runs).toEqual([])
  })

  test('may be taken by the subject itself where owners decide, and by nobody else', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model, deciders: 'owner' })
    const ada = runtime.caller('ada')
    const { turn } = await ada.run('clerk', { message: 'pay', authority: 'creator' }).result
    const id = await approvalOf(ada, turn)
    expect(await codeOf(runtime.caller('bob').approvals.decide({ id, decision: 'deny' }))).toBe('APPROVAL_NOT_FOUND')
    expect(await ada.approvals.decide({ id, decision: 'approve' })).toMatchObject({ decidedBy: 'ada' })
    expect(ends(await followed(ada, turn))).toMatchObject([{ type: 'turn.completed' }])
    expect(runs).toHaveLength(1)
  })
})

describe('a step with several calls of which two need an approval', () => {
  const plain = (runs: string[]) =>
    noteTool('look', ({ note }) => {
      runs.push(note)
      return 'seen'
    })

  test('runs the others at once, waits for both, and gives the model all results in the order of its calls', async () => {
    const { tool, runs } = askingTool()
    const looked: string[] = []
    const calls = [
      callTool('pay', { note: 'one' }),
      callTool('look', { note: 'x' }),
      callTool('pay', { note: 'two' }),
      callTool('gone', {}),
    ]
    const model = scriptedModel([calls, say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool, plain(looked)])], model })
    const { client } = runtime
    const { turn } = await client.run('clerk', { message: 'go' }).result
    expect(looked).toEqual(['x'])
    const [one, two] = await client.approvals.list({ limit: 10, offset: 0, turn })
    const ofNote = (note: string) => (one?.arguments.includes(note) ? one.id : (two?.id ?? ''))
    await client.approvals.decide({ id: ofNote('two'), decision: 'approve' })
    expect(await client.sessions.turn({ id: turn })).toMatchObject({ status: 'waiting' })
    expect(runs).toEqual([])
    await client.approvals.decide({ id: ofNote('one'), decision: 'deny' })
    const events = await followed(client, turn)
    expect(ends(events)).toMatchObject([{ type: 'turn.completed' }])
    expect(runs.map(({ note }) => note)).toEqual(['two'])
    expect(looked).toEqual(['x'])
    const parts = model.calls[1]?.request.messages
      .at(-1)
      ?.parts.map((part) => part.type === 'tool-result' && [part.tool, part.isError ?? false])
    expect(parts).toEqual([
      ['pay', true],
      ['look', false],
      ['pay', false],
      ['gone', true],
    ])
    const finished = events.flatMap((event) => (event.type === 'tool.finished' ? [event.call] : []))
    expect(finished).toHaveLength(4)
    expect(new Set(finished).size).toBe(4)
  })

  test('goes on when both are decided at the same moment, or while another call still runs', async () => {
    for (const early of [true, false]) {
      const { tool, runs } = askingTool()
      const { promise: slow, resolve: finish } = Promise.withResolvers<string>()
      const wait = noteTool('wait', () => slow)
      const calls = [
        callTool('pay', { note: 'one' }),
        callTool('wait', { note: 'x' }),
        callTool('pay', { note: 'two' }),
      ]
      const model = scriptedModel([calls, say('done')])
      await using runtime = await createTestRuntime({
        agents: [agentOf([tool, wait])],
        model,
        clock: virtualClock(),
      })
      const { client } = runtime
      const turn = client.run('clerk', { message: 'go' })
      const { id } = await turn.accepted
      for await (const event of turn.events()) if (event.type === 'approval.requested') break
      if (!early) {
        finish('now')
        await turn.result
      }
      const approvals = await client.approvals.list({ limit: 10, offset: 0, turn: id })
      await Promise.all(approvals.map((approval) => client.approvals.decide({ id: approval.id, decision: 'approve' })))
      if (early) {
        finish('now')
        await turn.result
      }
      const events = await followed(client, id)
      expect(ends(events)).toMatchObject([{ type: 'turn.completed' }])
      expect(runs.map(({ note }) => note).sort()).toEqual(['one', 'two'])
      expect(runtime.reported).toEqual([])
    }
  })
})

describe('after a restart', () => {
  test('a decision goes on with the turn on the new runtime', async () => {
    const file = databaseFile()
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('paid')])
    const options = { agents: [agentOf([tool])], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const { turn, session } = await first.client.run('clerk', { message: 'pay' }).result
    const id = await approvalOf(first.client, turn)
    await first.stop()
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect(await second.client.sessions.turn({ id: turn })).toMatchObject({ status: 'waiting' })
    await second.client.approvals.decide({ id, decision: 'approve' })
    expect(ends(await followed(second.client, turn))).toMatchObject([{ type: 'turn.completed' }])
    expect(runs).toHaveLength(1)
    expect(await transcript(second.client, session)).toEqual([
      'user: pay',
      'assistant: call pay',
      'tool: result pay',
      'assistant: paid',
    ])
  })

  test('a question whose time passed meanwhile is closed, and the model is told at once', async () => {
    const file = databaseFile()
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('too late')])
    const options = { agents: [agentOf([tool])], model }
    const clock = virtualClock()
    const first = await createTestRuntime({ ...options, clock, store: sqliteStore(file) })
    const { turn } = await first.client.run('clerk', { message: 'pay' }).result
    await first.stop()
    clock.shift(3_600_000)
    await using second = await createTestRuntime({ ...options, clock, store: sqliteStore(file) })
    expect((await second.client.attach(turn).result).text).toBe('too late')
    expect(runs).toEqual([])
    expect(await callsOf(second.client, turn)).toEqual([
      { tool: 'pay', status: 'denied', output: 'nobody approved this call in time' },
    ])
  })

  const amount = defineTool({
    name: 'pay',
    description: 'Does pay',
    input: z.object({ amount: z.number() }),
    execute: () => 'paid by amount',
  })
  const forbidden = noteTool('pay', () => 'paid', { risk: 'forbidden' })

  test.each([
    ['its tool is gone', []],
    ['its tool takes other arguments', [amount]],
    ['its tool never runs any more', [forbidden]],
  ])('an approved call is not run when %s: the turn is interrupted until somebody decides', async (_, tools) => {
    const file = databaseFile()
    const { tool } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('somebody paid')])
    const first = await createTestRuntime({ agents: [agentOf([tool])], model, store: sqliteStore(file) })
    const { turn, session } = await first.client.run('clerk', { message: 'pay' }).result
    await first.stop()
    await using second = await createTestRuntime({ agents: [agentOf(tools)], model, store: sqliteStore(file) })
    const { client } = second
    await client.approvals.decide({ id: await approvalOf(client, turn), decision: 'approve' })
    expect((await followed(client, turn)).at(-1)).toMatchObject({
      type: 'turn.interrupted',
      error: { code: 'TOOL_OUTCOME_UNKNOWN' },
    })
    expect(await client.sessions.turn({ id: turn })).toMatchObject({ status: 'interrupted' })
    expect(await codeOf(client.turns.decide({ id: turn, decision: 'retry' }))).toBe('fulfilled')
    expect((await followed(client, turn)).at(-1)).toMatchObject({ type: 'turn.interrupted' })
    await client.turns.decide({ id: turn, decision: 'done' })
    expect((await followed(client, turn)).at(-1)).toMatchObject({ type: 'turn.completed' })
    expect(await callsOf(client, turn)).toEqual([
      { tool: 'pay', status: 'succeeded', output: 'a person says that this call was done' },
    ])
    expect(await transcript(client, session)).toEqual([
      'user: pay',
      'assistant: call pay',
      'tool: result pay',
      'assistant: somebody paid',
    ])
  })
})
