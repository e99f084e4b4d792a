import { type Agent, type AgentDefinition, defineAgent, defineTool, type Json, type TurnEvent } from '@keelson/core'
import { callTool, createTestRuntime, fail, finish, respond, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { askingTool, databaseFile } from '../durability/scene.ts'

const Invoice = z.object({ number: z.string(), total: z.number().positive() })

const clerk = defineAgent({
  id: 'clerk',
  instructions: 'You read invoices.',
  models: ['test/one', 'other/two'],
  output: Invoice,
})

const right = '{"number":"A-1","total":12.5}'
const wrong = '{"number":"A-1","total":-3}'

const scene = (steps: Parameters<typeof scriptedModel>[0], agent: AgentDefinition = clerk) => {
  const model = scriptedModel(steps)
  return createTestRuntime({ agents: [agent], model, limits: { backoffMs: 1 } }).then((runtime) => ({
    model,
    runtime,
    client: runtime.client,
    [Symbol.asyncDispose]: () => runtime.stop(),
  }))
}

const ask = { message: 'Invoice A-1 over 12.50' }

describe('an agent with an output', () => {
  test('answers with a parsed and checked value, typed by the agent that was passed', async () => {
    await using at = await scene([say(right)])
    const turn = at.client.run(clerk, ask)
    const invoice = await turn.output
    expectTypeOf(invoice).toEqualTypeOf<{ number: string; total: number }>()
    expect(invoice).toEqual({ number: 'A-1', total: 12.5 })
    expect((await turn.result).text).toBe(right)
  })

  test('asks its model for the schema, in the request and in the instructions', async () => {
    await using at = await scene([say(right)])
    await at.client.run(clerk, ask).output
    const request = at.model.calls[0]?.request
    expect(request?.output).toMatchObject({
      name: 'clerk',
      schema: { type: 'object', required: ['number', 'total'], properties: { total: { type: 'number' } } },
    })
    expect(request?.instructions).toMatch(/^You read invoices\.\n\n.*JSON Schema:\n\{/)
    expect(request?.instructions).toContain(JSON.stringify(request?.output?.schema))
  })

  test('is forgiven a code fence', async () => {
    await using at = await scene([say(['```json\n', right, '\n```'])])
    expect(await at.client.run(clerk, ask).output).toEqual({ number: 'A-1', total: 12.5 })
  })

  test('gives what the schema makes of the answer', async () => {
    const dated = defineAgent({ ...clerk, output: z.object({ day: z.iso.date().transform((day) => new Date(day)) }) })
    await using at = await scene([say('{"day":"2027-03-01"}')], dated)
    const { day } = await at.client.run(dated, ask).output
    expectTypeOf(day).toEqualTypeOf<Date>()
    expect(day).toEqual(new Date('2027-03-01'))
  })

  test('checks JSON Schema as well', async () => {
    const schema = { type: 'object', required: ['total'], properties: { total: { type: 'integer' } } } as const
    const plain = defineAgent({ ...clerk, output: schema })
    expectTypeOf(plain).toEqualTypeOf<Agent<Json>>()
    await using at = await scene([say('{"total":"many"}'), say('{"total":7}')], plain)
    expect(await at.client.run(plain, ask).output).toEqual({ total: 7 })
    expect(JSON.stringify(at.model.calls[1]?.request.messages.at(-1))).toContain('total: must be integer')
  })

  test.each([
    ['text', say('Gladly!'), 'it is not valid JSON'],
    ['nothing', say([]), 'it is empty'],
    ['a value of the wrong type', say(wrong), 'total: '],
    ['an answer that was cut off', [say('{"number":"A'), finish({ reason: 'length' })], 'cut off'],
  ])('is asked again, once, after %s', async (_, answer, problem) => {
    await using at = await scene([answer, say(right)])
    const turn = at.client.run(clerk, ask)
    expect(await turn.output).toEqual({ number: 'A-1', total: 12.5 })
    const { session, steps, text, usage } = await turn.result
    expect({ steps, text, output: usage.output }).toEqual({ steps: 2, text: right, output: 10 })
    expect(at.model.calls[1]?.request.messages.at(-1)).toMatchObject({
      role: 'user',
      parts: [{ text: expect.stringContaining(problem) }],
    })
    const messages = await at.client.sessions.messages({ session, limit: 10 })
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant'])
  })

  test('fails after a second wrong answer, with the problems and the text', async () => {
    await using at = await scene([say('Gladly!'), say(wrong)])
    const turn = at.client.run(clerk, ask)
    await expect(turn.output).rejects.toMatchObject({
      code: 'TURN_FAILED',
      details: { reason: 'OUTPUT_INVALID', problems: [expect.stringContaining('total')] },
    })
    const { error, message, session, text } = await turn.outcome
    expect(error).toMatchObject({ code: 'OUTPUT_INVALID', message: expect.stringContaining('total') })
    expect(text).toBe(wrong)
    const messages = await at.client.sessions.messages({ session, limit: 10 })
    expect(messages.at(-1)).toMatchObject({ id: message, role: 'assistant', parts: [{ text: wrong }] })
    at.model.assertComplete()
  })

  test('gives the failure reply after what was said, when one was asked for', async () => {
    await using at = await scene([say('Gladly!'), say(wrong)])
    const { message, session, text } = await at.client.run(clerk, { ...ask, failureReply: 'Sorry.' }).outcome
    expect(text).toBe('Sorry.')
    const [answer, reply] = (await at.client.sessions.messages({ session, limit: 10 })).slice(-2)
    expect([answer?.parts, reply?.parts]).toMatchObject([[{ text: wrong }], [{ text: 'Sorry.' }]])
    expect(reply?.id).toBe(message)
  })

  test('may be wrong once in each turn of a session', async () => {
    await using at = await scene([say('no'), say(right), say('no'), say(right)])
    const { session } = await at.client.run(clerk, ask).result
    expect(await at.client.run(clerk, { ...ask, session }).output).toEqual({ number: 'A-1', total: 12.5 })
  })

  test('may be wrong again in a turn whose message models are given in other words', async () => {
    await using at = await scene([say('no'), say(right), say('no'), say(right)])
    const { session } = await at.client.run(clerk, ask).result
    const message = [{ type: 'text', text: 'Invoice <A-2>', modelText: 'Invoice A-2' }] as const
    expect(await at.client.run(clerk, { message, session }).output).toEqual({ number: 'A-1', total: 12.5 })
  })

  test('is not fooled by a user who writes what it would be told', async () => {
    await using at = await scene([say('no'), say(right)])
    const message = 'Your answer is not what was asked for: hm'
    expect(await at.client.run(clerk, { message }).output).toEqual({ number: 'A-1', total: 12.5 })
  })

  test('does not ask again past its step limit', async () => {
    await using at = await scene([say('no')], { ...clerk, maxSteps: 1 })
    expect(await at.client.run(clerk, ask).outcome).toMatchObject({
      error: { code: 'OUTPUT_INVALID', problems: ['it is not valid JSON'] },
    })
  })

  test('uses tools, fails over and is corrected in one turn', async () => {
    const rate = defineTool({
      name: 'rate',
      description: 'The rate of the day',
      input: z.object({}),
      risk: 'safe',
      execute: () => 1.25,
    })
    await using at = await scene(
      [callTool('rate'), [say('no'), callTool('rate')], say('no'), fail('auth'), callTool('rate'), say(right)],
      { ...clerk, tools: [rate] },
    )
    const turn = at.client.run(clerk, ask)
    const events: TurnEvent[] = []
    for await (const event of turn) events.push(event)
    expect(await turn.output).toEqual({ number: 'A-1', total: 12.5 })
    expect(events.filter(({ type }) => type === 'step.restarted')).toHaveLength(1)
    expect(events.filter(({ type }) => type === 'tool.finished')).toHaveLength(3)
    expect(await turn.result).toMatchObject({ model: 'test/one', steps: 5, text: right })
    at.model.assertComplete()
  })

  test('has its output when a person has approved', async () => {
    const { tool } = askingTool('book')
    await using at = await scene([callTool('book', { note: 'x' }), say(right)], { ...clerk, tools: [tool] })
    const turn = at.client.run(clerk, ask)
    await expect(turn.output).rejects.toMatchObject({ code: 'OUTPUT_PENDING' })
    const { approvals, turn: id } = await turn.result
    await at.client.approvals.decide({ id: approvals[0]?.id ?? '', decision: 'approve' })
    const invoice = await at.client.attach(id, clerk).output
    expectTypeOf(invoice).toEqualTypeOf<{ number: string; total: number }>()
    expect(invoice).toEqual({ number: 'A-1', total: 12.5 })
  })
})

test('an output is there after a restart, and the correction is not given twice', async () => {
  const file = databaseFile()
  const asked = Promise.withResolvers<void>()
  const model = scriptedModel([
    say('no'),
    respond(() => {
      asked.resolve()
      return new Promise(() => {})
    }),
  ])
  let turn = ''
  {
    await using first = await createTestRuntime({ agents: [clerk], model, store: sqliteStore(file) })
    turn = (await first.client.run(clerk, ask).accepted).id
    await asked.promise
  }
  const again = scriptedModel([say(wrong)])
  {
    await using second = await createTestRuntime({ agents: [clerk], model: again, store: sqliteStore(file) })
    expect(await second.client.attach(turn).outcome).toMatchObject({
      status: 'failed',
      error: { code: 'OUTPUT_INVALID', problems: [expect.stringContaining('total')] },
    })
    again.push(say(right))
    turn = (await second.client.run(clerk, ask).result).turn
  }
  await using third = await createTestRuntime({ agents: [clerk], model: again, store: sqliteStore(file) })
  expect(await third.client.attach(turn, clerk).output).toEqual({ number: 'A-1', total: 12.5 })
})

test('an answer that was stored under another schema is refused', async () => {
  const file = databaseFile()
  const model = scriptedModel([say(right)])
  let turn = ''
  {
    await using runtime = await createTestRuntime({ agents: [clerk], model, store: sqliteStore(file) })
    turn = (await runtime.client.run(clerk, ask).result).turn
  }
  const stricter = defineAgent({ ...clerk, output: Invoice.extend({ currency: z.string() }) })
  await using runtime = await createTestRuntime({ agents: [stricter], model, store: sqliteStore(file) })
  const handle = runtime.client.attach(turn, stricter)
  await expect(handle.output).rejects.toMatchObject({ code: 'OUTPUT_INVALID', details: { problems: [/currency/] } })
  expect((await handle.result).text).toBe(right)
})

describe('without an output', () => {
  const { output: _, ...plain } = clerk

  test('an agent answers in plain text', async () => {
    const agent = defineAgent(plain)
    expectTypeOf(agent).toEqualTypeOf<Agent<null>>()
    await using at = await scene([say('Gladly!')], agent)
    const turn = at.client.run(agent, ask)
    expect((await turn.result).text).toBe('Gladly!')
    expect(at.model.calls[0]?.request).not.toHaveProperty('output')
    expect(at.model.calls[0]?.request.instructions).toBe('You read invoices.')
    await expect(turn.output).rejects.toMatchObject({ code: 'OUTPUT_UNDECLARED' })
  })
})

describe('an output that will not do is refused when the agent is defined', () => {
  test.each([
    ['a list', z.array(z.string()), /must be an object/],
    ['no schema', 'text', /Standard Schema or a JSON Schema/],
    ['JSON that goes round', circular(), /not plain JSON/],
    ['a type JSON has no word for', z.object({ at: z.date() }), /pass `outputSchema`/],
  ])('%s', (_, output, message) => {
    expect(() => defineAgent({ ...clerk, output: output as never })).toThrow(
      expect.objectContaining({ code: 'AGENT_INVALID', message: expect.stringMatching(message) }),
    )
  })

  test('unless its JSON Schema is given', () => {
    const outputSchema = { type: 'object', properties: { at: { type: 'string' } } }
    const { output } = defineAgent({ ...clerk, output: z.object({ at: z.date() }), outputSchema })
    expect(output?.schema).toEqual(outputSchema)
  })

  test('and a schema that throws fails the turn without being asked again', async () => {
    const broken = {
      '~standard': {
        version: 1,
        vendor: 'mine',
        validate: () => {
          throw new Error('oops')
        },
      },
    } as const
    const agent = defineAgent({ ...clerk, output: broken, outputSchema: { type: 'object' } })
    await using at = await scene([say('{}')], agent)
    expect(await at.client.run(agent, ask).outcome).toMatchObject({ error: { code: 'OUTPUT_CHECK_FAILED' } })
    expect(at.runtime.reported).toMatchObject([{ error: { code: 'OUTPUT_CHECK_FAILED', cause: { message: 'oops' } } }])
  })
})

function circular(): object {
  const schema: Record<string, unknown> = { type: 'object' }
  schema['self'] = schema
  return schema
}
