import { defineAgent, defineTool, isKeelsonError } from '@keelson/core'
import {
  callTool,
  conversation,
  createTestRuntime,
  fail,
  hang,
  type ScriptStep,
  say,
  scriptedModel,
  type TestRuntimeOptions,
  virtualClock,
} from '@keelson/core/testing'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'

const price = defineTool({
  name: 'price',
  description: 'Price of a room',
  input: z.object({ room: z.string() }),
  risk: 'safe',
  execute({ room }) {
    if (room === 'cellar') throw new Error('there is no such room')
    return { room, euros: 80 }
  },
})

const book = defineTool({
  name: 'book',
  description: 'Books a room',
  input: z.object({ room: z.string(), guests: z.array(z.object({ name: z.string() })) }),
  approval: 'always',
  execute: () => 'booked',
})

const concierge = defineAgent({
  id: 'concierge',
  instructions: 'You answer guests.',
  models: ['test/one', 'test/two'],
  tools: [price, book],
})

const booking = { room: 'attic', guests: [{ name: 'Ada' }, { name: 'Bob' }] }

const scene = async (steps: readonly ScriptStep[], more: Partial<TestRuntimeOptions> = {}) => {
  const model = scriptedModel(steps)
  const runtime = await createTestRuntime({ agents: [concierge], model, ...more })
  return { model, runtime, guest: conversation(runtime, concierge), [Symbol.asyncDispose]: () => runtime.stop() }
}

describe('a conversation', () => {
  test('goes on in one session, and adds up what it takes', async () => {
    await using at = await scene([say('Hello, Ada.'), say('You are Ada.')])
    expect(at.guest.session).toBeNull()
    expect((await at.guest.says('I am Ada')).reply).toBe('Hello, Ada.')
    expect((await at.guest.says('Who am I?')).reply).toBe('You are Ada.')
    expect(at.model.calls[1]?.request.messages).toHaveLength(3)
    expect(at.guest.usage).toMatchObject({ input: 20, output: 10 })
    expect(at.guest.last).toMatchObject({ status: 'completed', steps: 1, usage: { input: 10 }, model: 'test/one' })
    expect(at.guest.exchanges.map(({ message }) => message)).toEqual(['I am Ada', 'Who am I?'])
  })

  test('tells its calls with parsed arguments and outputs', async () => {
    await using at = await scene([callTool('price', { room: 'attic' }), callTool('price', '{broken'), say('80 euros.')])
    const { calls } = await at.guest.says('The attic?')
    expect(calls).toEqual([
      { tool: 'price', arguments: { room: 'attic' }, status: 'succeeded', output: { room: 'attic', euros: 80 } },
      { tool: 'price', arguments: '{broken', status: 'failed', output: 'the arguments are not valid JSON' },
    ])
    expect(at.guest.calls()).toEqual(calls)
    expect(at.guest.calls('book')).toEqual([])
  })

  test('reads like a story', async () => {
    await using at = await scene([
      [say('Let me look.'), callTool('price', { room: 'attic' })],
      callTool('book', booking),
      fail('auth', { afterText: 'Don' }),
      say('Done.'),
    ])
    await at.guest.says('The attic for Ada and Bob, please')
    await at.guest.approve()
    expect(at.guest.transcript).toBe(
      [
        'user: The attic for Ada and Bob, please',
        'assistant: Let me look.',
        '  calls price({"room":"attic"})',
        '  price succeeded: {"room":"attic","euros":80}',
        '  calls book({"room":"attic","guests":[{"name":"Ada"},{"name":"Bob"}]})',
        '  book waits for approval',
        '  a person has approved it',
        '  book succeeded: "booked"',
        '  begins again with test/two: auth',
        'assistant: Done.',
      ].join('\n'),
    )
  })

  test('finds a call by some of its arguments, or says what happened instead', async () => {
    await using at = await scene([callTool('book', booking)])
    await at.guest.says('Book it')
    expect(at.guest.called('book', { guests: [{ name: 'Ada' }, {}] })).toMatchObject({ status: 'waiting' })
    expect(at.guest.called('book').arguments).toEqual(booking)
    for (const args of [{ room: 'garden' }, { guests: [{}] }, { guests: 2 }, { nights: 1 }]) {
      expect(() => at.guest.called('book', args)).toThrow(
        /book was not called with .*\n\nuser: Book it\n {2}calls book/,
      )
    }
    expect(() => at.guest.called('price')).toThrow('price was not called\n')
  })

  test('waits, and goes on when a person approves or denies', async () => {
    await using at = await scene([
      callTool('book', booking),
      say('Booked.'),
      callTool('book', booking),
      say('As you wish.'),
    ])
    expect(await at.guest.says('Book it')).toMatchObject({
      status: 'waiting',
      reply: '',
      calls: [{ status: 'waiting' }],
    })
    expect(await at.guest.approve('book')).toMatchObject({ status: 'completed', reply: 'Booked.' })
    await at.guest.says('And again')
    expect(await at.guest.deny()).toMatchObject({ reply: 'As you wish.', calls: [{ status: 'denied' }] })
    expect(at.guest.calls('book').map(({ status }) => status)).toEqual(['succeeded', 'denied'])
    await expect(at.guest.approve()).rejects.toThrow(/no call waits for a decision\n\nuser: Book it/)
  })

  test('decides one of several calls at a time', async () => {
    const sell = defineTool({ ...schemaOf, name: 'sell', approval: 'always', execute: () => 'sold' })
    await using at = await scene([[callTool('book', booking), callTool('sell')], say('Both done.')], {
      agents: [defineAgent({ ...concierge, tools: [book, sell] })],
    })
    await at.guest.says('Do both')
    await expect(at.guest.approve('price')).rejects.toThrow('no call of price waits')
    expect(await at.guest.approve('book')).toMatchObject({ status: 'waiting' })
    expect(await at.guest.deny('sell')).toMatchObject({ status: 'completed', reply: 'Both done.' })
  })

  test('follows the turn that carries out a call which nobody waited for', async () => {
    await using at = await scene([callTool('book', booking), say('I have asked.'), say('It is booked.')])
    const asked = await at.guest.says('Book it', { approvals: 'defer' })
    expect(asked).toMatchObject({ status: 'completed', reply: 'I have asked.' })
    expect(await at.guest.approve()).toMatchObject({ reply: 'It is booked.', calls: [{ status: 'succeeded' }] })
    expect(at.guest.exchanges).toHaveLength(2)
  })

  test('goes on when time has decided', async () => {
    const clock = virtualClock()
    await using at = await scene([callTool('book', booking), say('Nobody was there.')], { clock })
    await at.guest.says('Book it')
    await clock.advance(310_000)
    expect(await at.guest.goesOn()).toMatchObject({ status: 'completed', reply: 'Nobody was there.' })
    expect(at.guest.transcript).toContain('the approval has expired')
  })

  test('is cancelled in the middle', async () => {
    await using at = await scene([[say(['Well']), hang()]])
    const answer = at.guest.says('Tell me everything')
    await at.guest.cancel()
    await expect(answer).rejects.toMatchObject({ code: 'TURN_CANCELLED' })
    expect(at.guest.last.status).toBe('cancelled')
  })

  test('rejects a failed turn with the transcript and what the runtime was told', async () => {
    await using at = await scene([callTool('price', { room: 'cellar' })])
    const error: unknown = await at.guest.says('The cellar?').catch((caught: unknown) => caught)
    expect(isKeelsonError(error)).toBe(true)
    const { code, details, message } = error as { code: string; details: unknown; message: string }
    expect({ code, details }).toMatchObject({ code: 'TURN_FAILED', details: { reason: 'MODEL_FAILED' } })
    expect(message).toContain('user: The cellar?\n  calls price({"room":"cellar"})\n  price failed: ')
    expect(message).toContain('reported by the runtime:\nmodel test/one: ')
    expect(at.guest.last).toMatchObject({
      status: 'failed',
      error: { code: 'MODEL_FAILED' },
      calls: [{ tool: 'price' }],
    })
  })

  test('is between one caller and an agent; another may decide', async () => {
    await using at = await scene([callTool('book', booking), say('Done.'), say('Yes.')])
    const ada = conversation(at.runtime, 'concierge', { as: at.runtime.caller('ada') })
    await ada.says('Book it', { authority: 'creator' })
    expect((await ada.approve()).reply).toBe('Done.')
    const [session] = await at.runtime.caller('ada').sessions.list({ limit: 10, offset: 0 })
    expect(session).toMatchObject({ id: ada.session, subject: 'ada' })
    const later = conversation(at.runtime, concierge, { as: at.runtime.caller('ada'), session: ada.session ?? '' })
    expect((await later.says('Still there?')).reply).toBe('Yes.')
    expect(at.model.calls[2]?.request.messages.length).toBeGreaterThan(3)
  })

  test('has typed output when its agent declares one', async () => {
    const clerk = defineAgent({ ...concierge, output: z.object({ euros: z.number() }) })
    await using at = await scene([say('{"euros":80}')], { agents: [clerk] })
    const { output } = await conversation(at.runtime, clerk).says('The attic?')
    expectTypeOf(output).toEqualTypeOf<{ euros: number } | null>()
    expect(output).toEqual({ euros: 80 })
  })

  test('has nothing to show before anything was said', async () => {
    await using at = await scene([])
    expect(() => at.guest.last).toThrow('nothing was said yet')
    expect([at.guest.transcript, at.guest.cost, at.guest.calls()]).toEqual(['', 0, []])
  })
})

const schemaOf = { description: 'Sells a room', input: z.object({}), risk: 'safe' } as const
