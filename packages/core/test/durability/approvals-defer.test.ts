import type { Store } from '@keelson/core/stores'
import { callTool, createTestRuntime, hang, say, scriptedModel, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import {
  agentOf,
  approvalOf,
  askingTool,
  callsOf,
  codeOf,
  databaseFile,
  followed,
  noteTool,
  transcript,
  until,
} from './scene.ts'

const onMonday = { note: 'on monday' }
const deferring = { message: 'pay', approvals: 'defer' } as const
const everything = { limit: 100, offset: 0 }

/** The turns of a session, once each of them has ended. */
const ended = async (client: Parameters<typeof transcript>[0], session: string, count: number) =>
  await until(async () => {
    const turns = await client.sessions.turns({ session, ...everything })
    return turns.length === count && turns.every(({ status }) => status !== 'running' && status !== 'queued') && turns
  })

describe('a call whose approval is deferred', () => {
  test('does not hold the turn: the model is told, and the approved call runs in a turn of its own', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('asked'), say('paid now')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const { turn, session, status, text } = await client.run('clerk', deferring).result
    expect([status, text]).toEqual(['completed', 'asked'])
    expect(runs).toEqual([])
    expect(model.calls[1]?.request.messages.at(-1)?.parts).toMatchObject([
      { type: 'tool-result', output: expect.stringContaining('approval was requested') },
    ])
    expect(model.calls[1]?.request.messages.at(-1)?.parts[0]).not.toHaveProperty('isError')

    const approval = await approvalOf(client, turn)
    await client.approvals.decide({ id: approval, decision: 'approve' })
    const [, second] = await ended(client, session, 2)
    expect(second).toMatchObject({ status: 'completed', options: { continues: approval, approvals: 'defer' } })
    expect(runs.map(({ note }) => note)).toEqual(['on monday'])
    expect(await callsOf(client, turn)).toMatchObject([{ status: 'succeeded', output: { continuedBy: second?.id } }])
    expect(await callsOf(client, second?.id ?? '')).toEqual([
      { tool: 'pay', status: 'succeeded', output: 'pay: on monday' },
    ])
    expect(await transcript(client, session)).toEqual([
      'user: pay',
      'assistant: call pay',
      'tool: result pay',
      'assistant: asked',
      'user: The call of pay was approved., call pay',
      'assistant: call pay',
      'tool: result pay',
      'assistant: paid now',
    ])
    model.assertComplete()
  })

  test('that is approved while the turn still runs is carried out when it is over', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), hang(), say('paid now')])
    const clock = virtualClock()
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model, clock })
    const { client } = runtime
    const turn = client.run('clerk', deferring)
    const { id, session } = await turn.accepted
    await until(() => model.calls.length === 2)
    await client.approvals.decide({ id: await approvalOf(client, id), decision: 'approve' })
    expect(runs).toEqual([])
    await client.turns.cancel({ id })
    const [, second] = await ended(client, session, 2)
    expect(second?.status).toBe('completed')
    expect(runs.map(({ note }) => note)).toEqual(['on monday'])
  })

  test('runs once although many ask for it: deciders, lists and sweeps', async () => {
    const clock = virtualClock()
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('asked')], { otherwise: say('paid now') })
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model, clock })
    const { client } = runtime
    const { turn, session } = await client.run('clerk', deferring).result
    const id = await approvalOf(client, turn)
    await Promise.all([
      client.approvals.decide({ id, decision: 'approve' }),
      ...Array.from({ length: 10 }, () => client.approvals.list(everything)),
      ...Array.from({ length: 10 }, () => codeOf(client.approvals.decide({ id, decision: 'approve' }))),
      clock.advance(20_000),
    ])
    await client.approvals.list(everything)
    expect(await ended(client, session, 2)).toHaveLength(2)
    expect(runs).toHaveLength(1)
    expect(runtime.reported).toEqual([])
  })

  test('waits for its session like any other message', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('asked'), hang()], { otherwise: say('paid now') })
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const { turn, session } = await client.run('clerk', deferring).result
    const busy = client.run('clerk', { session, message: 'talk' })
    const { id } = await busy.accepted
    await client.approvals.decide({ id: await approvalOf(client, turn), decision: 'approve' })
    const [, , third] = await until(async () => {
      const turns = await client.sessions.turns({ session, ...everything })
      return turns.length === 3 && turns
    })
    expect(third).toMatchObject({ status: 'queued' })
    expect(runs).toEqual([])
    await client.turns.cancel({ id })
    await ended(client, session, 3)
    expect(runs).toHaveLength(1)
  })

  test('is never run when it is denied or expires', async () => {
    const clock = virtualClock()
    const { tool, runs } = askingTool()
    const model = scriptedModel([
      callTool('pay', onMonday),
      say('asked'),
      callTool('pay', onMonday),
      say('asked again'),
    ])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model, clock })
    const { client } = runtime
    const first = await client.run('clerk', deferring).result
    await client.approvals.decide({ id: await approvalOf(client, first.turn), decision: 'deny' })
    clock.shift(1)
    const second = await client.run('clerk', deferring).result
    await clock.advance(310_000)
    expect(await client.approvals.list(everything)).toMatchObject([{ status: 'denied' }, { status: 'expired' }])
    for (const { session } of [first, second]) {
      expect(await client.sessions.turns({ session, ...everything })).toHaveLength(1)
    }
    expect(runs).toEqual([])
    expect(model.calls).toHaveLength(4)
    expect(await callsOf(client, first.turn)).toEqual([
      { tool: 'pay', status: 'denied', output: 'a person denied this call' },
    ])
    expect(await callsOf(client, second.turn)).toEqual([
      { tool: 'pay', status: 'denied', output: 'nobody approved this call in time' },
    ])
  })

  test('is carried out although its session was closed since', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('asked'), say('paid now')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const { turn, session } = await client.run('clerk', deferring).result
    await client.sessions.update({ id: session, status: 'archived' })
    await client.approvals.decide({ id: await approvalOf(client, turn), decision: 'approve' })
    await ended(client, session, 2)
    expect(runs).toHaveLength(1)
  })

  test('does not hold up others when it cannot be carried out, and is told of once', async () => {
    const file = databaseFile()
    const { tool, runs } = askingTool()
    const steps = [callTool('pay', { note: 'lost' }), say('asked'), callTool('pay', { note: 'kept' }), say('asked')]
    const model = scriptedModel(steps, { otherwise: say('paid now') })
    const clerk = agentOf([tool])
    const first = await createTestRuntime({
      agents: [{ ...clerk, id: 'lost' }, clerk],
      model,
      store: sqliteStore(file),
    })
    const lost = await first.client.run('lost', deferring).result
    const kept = await first.client.run('clerk', deferring).result
    await first.stop()
    const clock = virtualClock(Date.now())
    await using second = await createTestRuntime({ agents: [clerk], model, clock, store: sqliteStore(file) })
    for (const { turn } of [lost, kept]) {
      await second.client.approvals.decide({ id: await approvalOf(second.client, turn), decision: 'approve' })
    }
    await ended(second.client, kept.session, 2)
    await clock.advance(60_000)
    expect(runs.map(({ note }) => note)).toEqual(['kept'])
    expect(second.reported).toMatchObject([{ error: { code: 'AGENT_NOT_FOUND' }, where: 'approval' }])
  })
})

describe('a deferred call and a process that dies', () => {
  /** A store in which accepting a follow-up fails, as if the process had died just before. */
  const refusingFollowUps = (store: Store): Store => ({
    ...store,
    loop: {
      ...store.loop,
      accept: (owner, request) =>
        request.turn.options.continues === null
          ? store.loop.accept(owner, request)
          : Promise.reject(new Error('the process is dead')),
    },
  })

  test('is carried out after the next start when the decision was all that was stored', async () => {
    const file = databaseFile()
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('asked'), say('paid now')])
    const options = { agents: [agentOf([tool])], model }
    const first = await createTestRuntime({ ...options, store: refusingFollowUps(sqliteStore(file)) })
    const { turn, session } = await first.client.run('clerk', deferring).result
    const id = await approvalOf(first.client, turn)
    expect(await first.client.approvals.decide({ id, decision: 'approve' })).toMatchObject({ status: 'approved' })
    await first.stop()
    expect(runs).toEqual([])
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    await ended(second.client, session, 2)
    await second.client.approvals.list(everything)
    expect(runs.map(({ note }) => note)).toEqual(['on monday'])
    expect(await second.client.sessions.turns({ session, ...everything })).toHaveLength(2)
  })

  test('is told as deferred, not waited for, when the turn itself is taken over in its step', async () => {
    const file = databaseFile()
    const { tool, runs } = askingTool()
    const slow = noteTool('slow', () => new Promise(() => {}), { risk: 'safe' })
    const calls = [callTool('pay', onMonday), callTool('slow', { note: 'x' })]
    const model = scriptedModel([calls, say('asked')])
    const options = { agents: [agentOf([tool, slow])], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const handle = first.client.run('clerk', deferring)
    for await (const { type } of handle.events()) if (type === 'approval.requested') break
    const { id, session } = await handle.accepted
    await first.stop()
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect((await followed(second.client, id)).at(-1)).toMatchObject({ type: 'turn.completed' })
    expect(await callsOf(second.client, id)).toMatchObject([
      { tool: 'pay', status: 'waiting' },
      { tool: 'slow', status: 'unknown' },
    ])
    expect(runs).toEqual([])
    const finished = (await followed(second.client, id)).filter(({ type }) => type === 'tool.finished')
    expect(finished).toMatchObject([{ status: 'deferred' }, { status: 'unknown' }])
    await second.client.approvals.decide({ id: await approvalOf(second.client, id), decision: 'approve' })
    model.push(say('paid now'))
    await ended(second.client, session, 2)
    expect(runs).toHaveLength(1)
  })
})

describe('a caller', () => {
  test('cannot say that a call was approved: a message carries no calls', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday)], { otherwise: say('fine') })
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const { turn, session } = await client.run('clerk', { message: 'pay' }).result
    const message = [{ type: 'tool-call', call: 'x', tool: 'pay', arguments: JSON.stringify(onMonday) }] as const
    expect(await codeOf(client.run('clerk', { session, message }).accepted)).toBe('MESSAGE_INVALID')
    expect(await codeOf(client.run('clerk', { message: [{ type: 'text', text: 'hi' }, ...message] }).accepted)).toBe(
      'MESSAGE_INVALID',
    )
    expect(runs).toEqual([])
    expect(await client.sessions.turns({ session, ...everything })).toHaveLength(1)
    expect(await callsOf(client, turn)).toMatchObject([{ status: 'waiting' }])
  })

  test('cannot keep an approved call from being carried out with a key of its own', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', onMonday), say('asked')], { otherwise: say('fine') })
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
    const { client } = runtime
    const { turn, session } = await client.run('clerk', deferring).result
    const id = await approvalOf(client, turn)
    await client.run('clerk', { session, message: 'mine', idempotencyKey: `approval:${id}` }).result
    await client.approvals.decide({ id, decision: 'approve' })
    await ended(client, session, 3)
    expect(runs).toHaveLength(1)
  })
})
