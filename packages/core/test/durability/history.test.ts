import type { Part } from '@keelson/core'
import { callTool, createTestRuntime, hang, respond, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import { History } from '../../src/capabilities/loop/history.ts'
import { agentOf, databaseFile, gate, noteTool, transcript } from './scene.ts'

const call = (id: string): Part => ({ type: 'tool-call', call: id, tool: 'x', arguments: '{}' })
const result = (id: string, output = `result of ${id}`): Part => ({ type: 'tool-result', call: id, tool: 'x', output })
const text = (value: string): Part => ({ type: 'text', text: value })

type Row = [role: 'user' | 'assistant' | 'tool', parts: readonly Part[], turn?: string]

/** What a model is shown of these messages, shortly. */
function shown(...rows: Row[]): string[] {
  const history = new History()
  for (const [index, [role, parts, turn = 't']] of rows.entries())
    history.add({ sequence: index + 1, turn, role, parts })
  return history.messages.map(({ role, parts }) => {
    const shorts = parts.map((part) => {
      if (part.type === 'tool-call') return `?${part.call}`
      if (part.type === 'tool-result') return part.isError ? `!${part.call}` : `=${part.call}`
      return part.type === 'image' ? '[image]' : part.text
    })
    return `${role} ${shorts.join(' ')}`
  })
}

describe('a history', () => {
  test.each<[string, Row[], string[]]>([
    [
      'gives a call without a result an error before what comes next',
      [
        ['user', [text('a')]],
        ['assistant', [call('1'), call('2')]],
        ['tool', [result('1')]],
        ['user', [text('b')]],
      ],
      ['user a', 'assistant ?1 ?2', 'tool =1', 'tool !2', 'user b'],
    ],
    [
      'leaves a result without a call out, alone or among others',
      [
        ['tool', [result('0')]],
        ['user', [text('a')]],
        ['assistant', [call('1')]],
        ['tool', [result('1'), result('9')]],
      ],
      ['user a', 'assistant ?1', 'tool =1'],
    ],
    [
      'leaves a second result of the same call out',
      [
        ['assistant', [call('1')]],
        ['tool', [result('1')]],
        ['tool', [result('1')]],
        ['user', [text('b')]],
      ],
      ['assistant ?1', 'tool =1', 'user b'],
    ],
    [
      'keeps the calls of its newest message open',
      [
        ['user', [text('a')]],
        ['assistant', [call('1')]],
      ],
      ['user a', 'assistant ?1'],
    ],
    [
      'gives a result that comes late its place after its call',
      [
        ['assistant', [call('1'), call('2')]],
        ['user', [text('b')]],
        ['tool', [result('1'), result('2')]],
        ['user', [text('c')]],
      ],
      ['assistant ?1 ?2', 'tool =1 =2', 'user b', 'user c'],
    ],
    [
      'tells late results of two turns apart although their calls have the same id',
      [
        ['assistant', [call('1')], 'one'],
        ['user', [text('b')], 'two'],
        ['assistant', [call('1')], 'two'],
        ['tool', [result('1')], 'one'],
        ['tool', [result('1')], 'two'],
      ],
      ['assistant ?1', 'tool =1', 'user b', 'assistant ?1', 'tool =1'],
    ],
  ])('%s', (_, rows, expected) => {
    expect(shown(...rows)).toEqual(expected)
  })

  test('counts its tokens anew when a late result takes the place of a repair', () => {
    const history = new History()
    const rows: Row[] = [
      ['assistant', [call('1')]],
      ['user', [text('b'.repeat(40))]],
      ['tool', [result('1', 'y'.repeat(400))]],
    ]
    for (const [index, [role, parts]] of rows.entries()) history.add({ sequence: index + 1, turn: 't', role, parts })
    const fresh = new History()
    const direct: Row[] = [rows[0] as Row, rows[2] as Row, rows[1] as Row]
    for (const [index, [role, parts]] of direct.entries()) fresh.add({ sequence: index + 1, turn: 't', role, parts })
    expect([history.tokens, history.bytes, history.lastSequence]).toEqual([fresh.tokens, fresh.bytes, 3])
  })
})

describe('a message that is appended by hand while a turn runs', () => {
  const append = (client: Awaited<ReturnType<typeof createTestRuntime>>['client'], session: string) =>
    client.sessions.append({ session, role: 'user', parts: [text('by the way')] })

  test('in the middle of its tool neither hides the result nor the rest of the turn from the model', async () => {
    const going = gate<string>()
    const started = gate()
    const look = noteTool('look', () => {
      started.open()
      return going.passed
    })
    const model = scriptedModel([callTool('look', { note: 'x' }), callTool('look', { note: 'y' }), say('done')])
    await using runtime = await createTestRuntime({ agents: [agentOf([look])], model })
    const { client } = runtime
    const turn = client.run('clerk', { message: 'hi' })
    const { session } = await turn.accepted
    await started.passed
    await append(client, session)
    going.open('seen')
    expect((await turn.result).text).toBe('done')
    const kinds = model.calls[2]?.request.messages.map(({ role, parts }) => `${role} ${parts[0]?.type}`)
    expect(kinds).toEqual([
      'user text',
      'assistant tool-call',
      'tool tool-result',
      'user text',
      'assistant tool-call',
      'tool tool-result',
    ])
    expect(model.calls[1]?.request.messages[2]?.parts).toMatchObject([{ output: 'seen' }])
  })

  test('while the model speaks is there for the next turn', async () => {
    const going = gate()
    const model = scriptedModel([respond(async () => going.passed.then(() => say('one'))), say('two')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { client } = runtime
    const turn = client.run('clerk', { message: 'hi' })
    const { session } = await turn.accepted
    await append(client, session)
    going.open()
    await turn.result
    await client.run('clerk', { session, message: 'ho' }).result
    expect(model.calls[1]?.request.messages.map(({ parts }) => parts[0])).toEqual([
      text('hi'),
      text('by the way'),
      text('one'),
      text('ho'),
    ])
  })
})

describe('a session that went on after a turn was interrupted', () => {
  test.each([
    ['retry', 'paid again'],
    ['done', 'a person says that this call was done'],
    ['failed', 'a person says that this call failed'],
  ] as const)('learns the outcome where it belongs when somebody decides %s', async (decision, output) => {
    const file = databaseFile()
    const started = gate()
    let runs = 0
    const pay = noteTool('pay', () => {
      runs += 1
      started.open()
      return runs === 1 ? new Promise(() => {}) : 'paid again'
    })
    const model = scriptedModel([callTool('pay', { note: 'x' }), say('talked'), say('decided')])
    const options = { agents: [agentOf([pay])], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const turn = first.client.run('clerk', { message: 'pay' })
    const { id, session } = await turn.accepted
    await started.passed
    await first.stop()
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const { client } = second
    expect(await client.attach(id).outcome).toMatchObject({
      status: 'interrupted',
      error: { code: 'TOOL_OUTCOME_UNKNOWN' },
    })
    await client.run('clerk', { session, message: 'talk' }).result
    await client.turns.decide({ id, decision })
    expect(await client.attach(id).outcome).toMatchObject({ status: 'completed', text: 'decided' })
    expect(runs).toBe(decision === 'retry' ? 2 : 1)
    const shownLast = model.calls[2]?.request.messages ?? []
    expect(shownLast.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'user', 'assistant', 'user'])
    expect(shownLast[2]?.parts).toMatchObject([{ type: 'tool-result', output }])
    expect(await transcript(client, session)).toEqual([
      'user: pay',
      'assistant: call pay',
      'user: talk',
      'assistant: talked',
      expect.stringMatching(/^tool: result pay/),
      'user: The calls that had been interrupted have their results now.',
      'assistant: decided',
    ])
  })

  test('refuses a decision while another turn holds it, and a second one at the same moment', async () => {
    const file = databaseFile()
    const started = gate()
    const pay = noteTool('pay', () => {
      started.open()
      return new Promise(() => {})
    })
    const model = scriptedModel([callTool('pay', { note: 'x' }), hang(), say('decided')])
    const options = { agents: [agentOf([pay])], model }
    const first = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const { id, session } = await first.client.run('clerk', { message: 'pay' }).accepted
    await started.passed
    await first.stop()
    await using second = await createTestRuntime({ ...options, store: sqliteStore(file) })
    const { client } = second
    await client.attach(id).outcome
    const busy = await client.run('clerk', { session, message: 'talk' }).accepted
    await expect(client.turns.decide({ id, decision: 'done' })).rejects.toMatchObject({ code: 'TURN_NOT_INTERRUPTED' })
    await client.turns.cancel({ id: busy.id })
    await client.attach(busy.id).outcome
    const decisions = await Promise.allSettled(
      ['done', 'failed', 'done'].map((decision) => client.turns.decide({ id, decision: decision as 'done' })),
    )
    expect(decisions.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(await client.attach(id).outcome).toMatchObject({ status: 'completed' })
    await expect(client.turns.decide({ id, decision: 'done' })).rejects.toMatchObject({ code: 'TURN_NOT_INTERRUPTED' })
  })
})
