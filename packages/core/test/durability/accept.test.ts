import { createTestRuntime, hang, respond, say, scriptedModel, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { agentOf, codeOf, collect, databaseFile, gate, shownText, transcript, typesOf } from './scene.ts'

const everything = { limit: 100, offset: 0 }

describe('an idempotency key', () => {
  test.each(['a new session', 'a session of its own'])(
    'lets 20 callers at once share one turn in %s, one answer and no other session',
    async (where) => {
      const model = scriptedModel([say('the answer')])
      await using runtime = await createTestRuntime({ agents: [agentOf()], model })
      const { client } = runtime
      const session = where === 'a new session' ? undefined : (await client.sessions.create({ agent: 'clerk' })).id
      const options = { message: 'hi', idempotencyKey: 'k', ...(session === undefined ? {} : { session }) }
      const turns = Array.from({ length: 20 }, () => client.run('clerk', options))
      const results = await Promise.all(turns.map((turn) => turn.result))
      expect(new Set(results.map(({ turn }) => turn)).size).toBe(1)
      expect(new Set(results.map(({ message }) => message)).size).toBe(1)
      expect(results.map(({ text }) => text)).toEqual(Array(20).fill('the answer'))
      expect(model.calls).toHaveLength(1)
      expect(await client.sessions.list(everything)).toHaveLength(1)
      expect(await transcript(client, results[0]?.session ?? '')).toEqual(['user: hi', 'assistant: the answer'])
    },
  )

  test('refuses another message, agent or session under the same key', async () => {
    const model = scriptedModel([say('one')], { otherwise: say('no') })
    const agents = [agentOf(), { ...agentOf(), id: 'other' }]
    await using runtime = await createTestRuntime({ agents, model })
    const { client } = runtime
    const { session } = await client.run('clerk', { message: 'hi', idempotencyKey: 'k' }).result
    const other = await client.sessions.create({ agent: 'clerk' })
    for (const [agent, options] of [
      ['clerk', { message: 'hello' }],
      ['other', { message: 'hi' }],
      ['clerk', { message: 'hi', session: other.id }],
    ] as const) {
      const again = client.run(agent, { ...options, idempotencyKey: 'k' })
      expect(await codeOf(again.accepted)).toBe('IDEMPOTENCY_MISMATCH')
      expect(await codeOf(again.result)).toBe('IDEMPOTENCY_MISMATCH')
    }
    expect(model.calls).toHaveLength(1)
    expect((await client.sessions.list(everything)).map(({ id }) => id).sort()).toEqual([session, other.id].sort())
  })

  test('attaches to the turn while it runs, and gives its answer after a restart', async () => {
    const file = databaseFile()
    const going = gate()
    const model = scriptedModel([respond(async () => going.passed.then(() => say(['the ', 'answer'])))])
    const options = { agents: [agentOf()], model }
    const keyed = { message: 'hi', idempotencyKey: 'k' }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const turn = first.client.run('clerk', keyed)
    await turn.accepted
    const again = collect(first.client.run('clerk', keyed))
    going.open()
    const { turn: id, message } = await turn.result
    expect(shownText(await again)).toBe('the answer')
    await first.stop()
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    expect(await second.client.run('clerk', keyed).result).toMatchObject({ turn: id, message, text: 'the answer' })
    expect(await codeOf(second.client.run('clerk', { ...keyed, message: 'x' }).accepted)).toBe('IDEMPOTENCY_MISMATCH')
    expect(model.calls).toHaveLength(1)
  })

  test('belongs to its owner: another subject or tenant has the same key for itself', async () => {
    const model = scriptedModel([], { otherwise: say('yours') })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const callers = [runtime.caller('ada'), runtime.caller('bob'), runtime.caller('ada', { tenant: 'other' })]
    const keyed = { message: 'hi', idempotencyKey: 'k' }
    const results = await Promise.all(callers.map((caller) => caller.run('clerk', keyed).result))
    expect(new Set(results.map(({ turn }) => turn)).size).toBe(3)
    expect(model.calls).toHaveLength(3)
  })

  test('gives a failed or cancelled turn back as it is, and does not run it again', async () => {
    const model = scriptedModel([hang()])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { client } = runtime
    const keyed = { message: 'hi', idempotencyKey: 'k' }
    const turn = client.run('clerk', keyed)
    const { id } = await turn.accepted
    await client.turns.cancel({ id })
    await turn.outcome
    expect(await client.run('clerk', keyed).outcome).toMatchObject({ turn: id, status: 'cancelled' })
    expect(model.calls).toHaveLength(1)
  })
})

describe('messages to one session', () => {
  test('are answered in the order in which 20 of them came', async () => {
    const model = scriptedModel([], { otherwise: respond(() => say('ok')) })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { client } = runtime
    const { id: session } = await client.sessions.create({ agent: 'clerk' })
    const turns = Array.from({ length: 20 }, (_, number) => client.run('clerk', { session, message: `m${number}` }))
    await Promise.all(turns.map((turn) => turn.result))
    expect(await transcript(client, session)).toEqual(
      Array.from({ length: 20 }, (_, number) => [`user: m${number}`, 'assistant: ok']).flat(),
    )
    const stored = await client.sessions.turns({ session, ...everything })
    expect(stored.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
    expect(await client.sessions.get({ id: session })).toMatchObject({ turnCount: 20, lastSequence: 40 })
  })

  test('are refused while it is busy when the caller asks for that', async () => {
    const model = scriptedModel([hang()], { otherwise: say('ok') })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { client } = runtime
    const first = client.run('clerk', { message: 'a' })
    const { id, session } = await first.accepted
    const refused = client.run('clerk', { session, message: 'b', whenBusy: 'refuse' })
    expect(await codeOf(refused.accepted)).toBe('SESSION_BUSY')
    await client.turns.cancel({ id })
    await first.outcome
    expect((await client.run('clerk', { session, message: 'b', whenBusy: 'refuse' }).result).text).toBe('ok')
    expect(await client.sessions.turns({ session, ...everything })).toHaveLength(2)
  })

  test('are refused past the limit of the queue, and taken again when there is room', async () => {
    const model = scriptedModel([hang()], { otherwise: say('ok') })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, limits: { queuedTurns: 3 } })
    const { client } = runtime
    const first = client.run('clerk', { message: 'a' })
    const { id, session } = await first.accepted
    const codes = await Promise.all(
      Array.from({ length: 10 }, (_, number) =>
        codeOf(client.run('clerk', { session, message: `${number}` }).accepted),
      ),
    )
    expect(codes).toEqual([...Array(3).fill('fulfilled'), ...Array(7).fill('TURN_QUEUE_FULL')])
    const [, queued] = await client.sessions.turns({ session, ...everything })
    await client.turns.cancel({ id: queued?.id ?? '' })
    const late = client.run('clerk', { session, message: 'late' })
    expect(await codeOf(late.accepted)).toBe('fulfilled')
    await client.turns.cancel({ id })
    await late.result
    expect(await transcript(client, session)).toEqual([
      'user: a',
      ...['1', '2', 'late'].flatMap((text) => [`user: ${text}`, 'assistant: ok']),
    ])
  })

  test('are refused as duplicates while the same one is being answered, within the time that was named', async () => {
    const clock = virtualClock()
    const model = scriptedModel([hang(), hang()], { otherwise: say('ok') })
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock })
    const { client } = runtime
    const options = { message: 'hi', refuseDuplicateWithinMs: 1_000 }
    const first = client.run('clerk', options)
    const { id } = await first.accepted
    expect(await codeOf(client.run('clerk', options).accepted)).toBe('TURN_DUPLICATE')
    expect(await codeOf(client.run('clerk', { ...options, message: 'ho' }).accepted)).toBe('fulfilled')
    expect(await codeOf(runtime.caller('bob').run('clerk', options).accepted)).toBe('fulfilled')
    expect(await client.sessions.list(everything)).toHaveLength(3)
    await clock.advance(1_001)
    const later = client.run('clerk', options)
    expect(await codeOf(later.accepted)).toBe('fulfilled')
    await client.turns.cancel({ id })
    await first.outcome
    await later.result
    expect(await codeOf(client.run('clerk', options).accepted)).toBe('fulfilled')
  })

  test('leave nothing behind when they are refused before they are stored', async () => {
    const model = scriptedModel([])
    const agents = [agentOf(), { ...agentOf(), id: 'lost', models: ['nowhere/one'] }]
    await using runtime = await createTestRuntime({ agents, model, limits: { messageBytes: 8 } })
    const { client } = runtime
    expect(await codeOf(client.run('clerk', { message: ' \n' }).accepted)).toBe('MESSAGE_EMPTY')
    expect(await codeOf(client.run('clerk', { message: 'ä'.repeat(5) }).accepted)).toBe('MESSAGE_TOO_LONG')
    expect(await codeOf(client.run('nobody', { message: 'hi' }).accepted)).toBe('AGENT_NOT_FOUND')
    expect(await codeOf(client.run('clerk', { message: 'hi', session: 'none' }).accepted)).toBe('SESSION_NOT_FOUND')
    expect(await client.sessions.list(everything)).toEqual([])
  })

  test('to a session of somebody else find no session', async () => {
    const model = scriptedModel([say('ok')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { session } = await runtime.caller('ada').run('clerk', { message: 'hi' }).result
    for (const other of [runtime.caller('bob'), runtime.caller('ada', { tenant: 'other' })]) {
      expect(await codeOf(other.run('clerk', { session, message: 'hi' }).accepted)).toBe('SESSION_NOT_FOUND')
    }
    expect(
      typesOf(
        await collect(
          runtime.caller('ada').attach((await runtime.client.sessions.turns({ session, ...everything }))[0]?.id ?? ''),
        ),
      ).at(-1),
    ).toBe('turn.completed')
  })
})
