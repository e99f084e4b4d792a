import {
  callTool,
  createTestRuntime,
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
  transcript,
  typesOf,
} from './scene.ts'

describe('cancelling', () => {
  test('takes a queued turn out of the queue, and tells those who wait for it', async () => {
    const model = scriptedModel([hang(), say('third')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock: virtualClock() })
    const { client } = runtime
    const first = client.run('clerk', { message: 'one' })
    const { id, session } = await first.accepted
    const second = client.run('clerk', { session, message: 'two' })
    const third = client.run('clerk', { session, message: 'three' })
    const { id: queued } = await second.accepted
    const reading = collect(second)
    await settle()
    expect(await client.turns.cancel({ id: queued })).toMatchObject({ status: 'cancelled' })
    const events = await reading
    expect(typesOf(events)).toEqual(['turn.cancelled'])
    expect(await followed(client, queued)).toEqual(events)
    expect(await followed(client, queued, events.at(-1)?.sequence)).toEqual([])
    expect(await second.outcome).toMatchObject({ status: 'cancelled', text: '' })
    expect(await codeOf(second.result)).toBe('TURN_CANCELLED')
    await client.turns.cancel({ id })
    expect((await third.result).text).toBe('third')
    expect(await transcript(client, session)).toEqual(['user: one', 'user: three', 'assistant: third'])
  })

  test('stops a model that streams, and keeps what was said in the log only', async () => {
    const model = scriptedModel([[say(['Once ', 'upon']), hang()], say('fine')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { client } = runtime
    const turn = client.run('clerk', { message: 'a tale' })
    const { id, session } = await turn.accepted
    const seen = []
    for await (const event of turn) {
      seen.push(event)
      if (event.type === 'text.delta' && event.text === 'upon') await client.turns.cancel({ id })
    }
    expect(seen.at(-1)).toMatchObject({ type: 'turn.cancelled' })
    expect(model.calls[0]?.signal.aborted).toBe(true)
    expect(await client.sessions.turn({ id })).toMatchObject({ status: 'cancelled', cancelRequested: true, steps: 0 })
    expect(await transcript(client, session)).toEqual(['user: a tale'])
    const replayed = await followed(client, id)
    expect(replayed.flatMap((event) => (event.type === 'text.delta' ? event.text : '')).join('')).toBe('Once upon')
    expect((await client.run('clerk', { session, message: 'go on' }).result).text).toBe('fine')
  })

  test('aborts a tool that runs, and says that its outcome is unknown', async () => {
    const started = gate()
    let aborted: unknown
    const long = noteTool('long', (_, { signal }) => {
      signal.addEventListener('abort', () => {
        aborted = signal.reason
      })
      started.open()
      return new Promise(() => {})
    })
    const short = noteTool('short', () => 'done')
    const calls = [callTool('short', { note: 'a' }), callTool('long', { note: 'b' })]
    const model = scriptedModel([calls, say('fine')])
    await using runtime = await createTestRuntime({ agents: [agentOf([long, short])], model })
    const { client } = runtime
    const turn = client.run('clerk', { message: 'work' })
    const { id, session } = await turn.accepted
    await started.passed
    for await (const { type } of turn.events()) if (type === 'tool.finished') break
    await client.turns.cancel({ id })
    expect(await turn.outcome).toMatchObject({ status: 'cancelled' })
    expect(aborted).toMatchObject({ code: 'TURN_CANCELLED' })
    expect(await callsOf(client, id)).toEqual([
      { tool: 'short', status: 'succeeded', output: 'done' },
      { tool: 'long', status: 'unknown', output: 'cancelled' },
    ])
    await client.run('clerk', { session, message: 'and now?' }).result
    expect(model.calls[1]?.request.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'user'])
    expect(model.calls[1]?.request.messages[2]?.parts).toMatchObject([{ isError: true }, { isError: true }])
  })

  test('ends a turn that waits, and closes its question', async () => {
    const { tool, runs } = askingTool()
    const model = scriptedModel([callTool('pay', { note: 'x' }), say('second')])
    await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model, clock: virtualClock() })
    const { client } = runtime
    const { turn, session } = await client.run('clerk', { message: 'pay' }).result
    const id = await approvalOf(client, turn)
    const next = client.run('clerk', { session, message: 'next' })
    await next.accepted
    const before = await followed(client, turn)
    await client.turns.cancel({ id: turn })
    expect(await client.approvals.get({ id })).toMatchObject({ status: 'cancelled' })
    expect(await codeOf(client.approvals.decide({ id, decision: 'approve' }))).toBe('APPROVAL_SETTLED')
    expect(await callsOf(client, turn)).toMatchObject([{ status: 'denied' }])
    const events = await followed(client, turn)
    expect(typesOf(events)).toEqual([...typesOf(before), 'turn.cancelled'])
    expect(typesOf(await followed(client, turn, before.at(-1)?.sequence))).toEqual(['turn.cancelled'])
    expect((await next.result).text).toBe('second')
    expect(runs).toEqual([])
  })

  test('changes nothing when it is asked again, or after the end', async () => {
    const model = scriptedModel([say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { client } = runtime
    const { turn } = await client.run('clerk', { message: 'hi' }).result
    const before = await client.sessions.turn({ id: turn })
    expect(await client.turns.cancel({ id: turn })).toEqual(before)
    expect(await client.turns.cancel({ id: turn })).toEqual(before)
    expect(ends(await followed(client, turn))).toMatchObject([{ type: 'turn.completed' }])
  })

  test("is refused for another caller's turn", async () => {
    const model = scriptedModel([hang()])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const turn = runtime.caller('ada').run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    for (const other of [runtime.caller('bob'), runtime.caller('ada', { tenant: 'other' })]) {
      expect(await codeOf(other.turns.cancel({ id }))).toBe('TURN_NOT_FOUND')
    }
    expect(await runtime.client.sessions.turn({ id })).toMatchObject({ status: 'running', cancelRequested: false })
    expect(await runtime.client.turns.cancel({ id })).toMatchObject({ cancelRequested: true })
  })
})

describe('cancelling at the moment of something else', () => {
  /** Lets `count` rounds of promises pass, so that the cancel falls between any two of the turn's own. */
  const rounds = async (count: number) => {
    for (let round = 0; round < count; round += 1) await undefined
  }

  test('of completion leaves the turn either completed or cancelled, with one end', async () => {
    const found = new Set<string>()
    for (let delay = 0; delay < 60; delay += 1) {
      const finishing = gate()
      const finish = respond(async () => {
        await finishing.passed
        return say('done')
      })
      const model = scriptedModel([finish], { otherwise: say('next') })
      await using runtime = await createTestRuntime({ agents: [agentOf()], model })
      const { client } = runtime
      const turn = client.run('clerk', { message: 'hi' })
      const { id, session } = await turn.accepted
      finishing.open()
      await rounds(delay)
      await client.turns.cancel({ id })
      const { status } = await turn.outcome
      found.add(status)
      expect(await client.sessions.turn({ id })).toMatchObject({ status })
      const said = status === 'completed' ? ['user: hi', 'assistant: done'] : ['user: hi']
      expect(await transcript(client, session)).toEqual(said)
      expect(ends(await followed(client, id))).toMatchObject([{ type: `turn.${status}` }])
      expect((await client.run('clerk', { session, message: 'again' }).result).text).toBe('next')
    }
    expect([...found].sort()).toEqual(['cancelled', 'completed'])
  })

  test('of coming to wait never leaves it waiting', async () => {
    const found = new Set<string>()
    for (let delay = 0; delay < 60; delay += 1) {
      const finishing = gate()
      const { tool } = askingTool()
      const call = respond(async () => {
        await finishing.passed
        return callTool('pay', { note: 'x' })
      })
      const model = scriptedModel([call], { otherwise: say('next') })
      await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
      const { client } = runtime
      const turn = client.run('clerk', { message: 'pay' })
      const { id, session } = await turn.accepted
      finishing.open()
      await rounds(delay)
      await client.turns.cancel({ id })
      found.add((await turn.outcome).status)
      expect((await followed(client, id)).at(-1)).toMatchObject({ type: 'turn.cancelled' })
      expect(await client.sessions.turn({ id })).toMatchObject({ status: 'cancelled' })
      expect(await client.approvals.list({ limit: 10, offset: 0, status: 'pending' })).toEqual([])
      expect((await client.run('clerk', { session, message: 'again' }).result).text).toBe('next')
    }
    expect([...found].sort()).toEqual(['cancelled', 'waiting'])
  })

  test('of its approval either runs the call to an end or never', async () => {
    for (let delay = 0; delay < 20; delay += 1) {
      const { tool, runs } = askingTool()
      const model = scriptedModel([callTool('pay', { note: 'x' })], { otherwise: say('done') })
      await using runtime = await createTestRuntime({ agents: [agentOf([tool])], model })
      const { client } = runtime
      const { turn } = await client.run('clerk', { message: 'pay' }).result
      const id = await approvalOf(client, turn)
      const deciding = codeOf(client.approvals.decide({ id, decision: 'approve' }))
      await rounds(delay)
      await Promise.all([client.turns.cancel({ id: turn }), deciding])
      const end = (await followed(client, turn)).at(-1)
      expect(['turn.cancelled', 'turn.completed']).toContain(end?.type)
      const [call] = await callsOf(client, turn)
      expect(['denied', 'succeeded', 'unknown']).toContain(call?.status)
      expect(runs.length).toBeLessThanOrEqual(1)
      if (call?.status === 'succeeded') expect(runs).toHaveLength(1)
    }
  })
})

describe('a cancel that was asked for before the process ended', () => {
  test('is carried out by the next one, which runs nothing more', async () => {
    const file = databaseFile()
    let runs = 0
    const started = gate()
    const work = noteTool(
      'work',
      () => {
        runs += 1
        started.open()
        return new Promise(() => {})
      },
      { idempotent: true },
    )
    const store = sqliteStore(file)
    const model = scriptedModel([callTool('work', { note: 'x' })])
    const options = { agents: [agentOf([work])], model }
    const first = await createTestRuntime({ ...options, store })
    const turn = first.client.run('clerk', { message: 'work' })
    const { id } = await turn.accepted
    await started.passed
    const stopping = first.stop()
    await store.loop.cancel({ tenant: 'default', subject: null }, id, 'other', 1)
    await stopping
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect((await followed(second.client, id)).at(-1)).toMatchObject({ type: 'turn.cancelled' })
    expect(await callsOf(second.client, id)).toMatchObject([{ status: 'unknown' }])
    expect(runs).toBe(1)
  })
})
