import { createRuntime, type ModelPrice, singleOwner, usd } from '@keelson/core'
import { cut, fail, finish, type ScriptStep, say, scriptedModel, virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { agentOf, followed } from '../durability/scene.ts'

const window = { limit: 100, offset: 0 }
const price: ModelPrice = { input: 0, output: 1_000 }
const answered = (output: number) => finish({ usage: { input: 0, output } })

/** Two providers, each with one model that answers in 100 tokens at most: `one/model` first, then `two/model`. */
function scene(first: readonly ScriptStep[], second: readonly ScriptStep[], amount: number | bigint = usd(1)) {
  const models = [first, second].map((steps, index) =>
    scriptedModel(steps, { id: ['one', 'two'][index] ?? '', models: [{ name: 'model', maxOutputTokens: 100, price }] }),
  )
  const clock = virtualClock(Date.UTC(2026, 10, 22, 12))
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: models,
    agents: [agentOf([], { models: ['one/model', 'two/model'] })],
    budgets: [{ id: 'daily', scope: 'tenant', period: 'day', amount }],
    limits: { attempts: 1, backoffMs: 0 },
    clock,
    stopMs: 0,
  })
  onTestFinished(() => runtime.stop())
  const client = runtime.as(singleOwner('code'))
  return {
    client,
    calls: () => models.map((model) => model.calls.length),
    async turn(message = 'Hi') {
      const { turn } = await client.run('clerk', { message }).outcome
      return await client.sessions.turn({ id: turn })
    },
    paid: async () =>
      (await client.costs.entries(window))
        .map(({ cost, model, outcome }) => [model, outcome, cost] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    budget: async () => (await client.costs.budgets())[0],
  }
}

describe('money where another model has to answer', () => {
  test('is set aside anew for it, and nothing stays held for one that said nothing', async () => {
    const { budget, paid, turn } = scene([[fail('overload')]], [[say('Hello'), answered(5)]])
    expect(await turn()).toMatchObject({ status: 'completed', model: 'two/model', cost: 5_000 })
    expect(await paid()).toEqual([['two/model', 'settled', 5_000]])
    expect(await budget()).toMatchObject({ spent: 5_000n, reserved: 0n })
  })

  test('is paid twice when the first was cut off, and the step tells both', async () => {
    const { budget, client, paid, turn } = scene([[say('Hel'), cut()]], [[say('Hello'), answered(5)]])
    const { cost, id } = await turn()
    const rows = await paid()
    expect(rows.map(([model, outcome]) => [model, outcome])).toEqual([
      ['one/model', 'at-reservation'],
      ['two/model', 'settled'],
    ])
    const sum = rows.reduce((total, [, , each]) => total + Number(each), 0)
    expect(cost).toBe(sum)
    expect(await budget()).toMatchObject({ spent: BigInt(sum), reserved: 0n })
    const steps = (await followed(client, id)).filter(({ type }) => type === 'step.finished')
    expect(steps).toMatchObject([{ cost: sum }])
  })

  test('is not set aside for one whose provider is left alone', async () => {
    const { budget, calls, client, paid, turn } = scene([], [[say('Hello'), answered(5)]])
    await client.breakers.forceOpen({ provider: 'one' })
    expect(await turn()).toMatchObject({ status: 'completed', model: 'two/model' })
    expect(calls()).toEqual([0, 1])
    expect(await paid()).toEqual([['two/model', 'settled', 5_000]])
    expect(await budget()).toMatchObject({ spent: 5_000n, reserved: 0n })
  })
})

describe('a budget that refuses a call', () => {
  const refusal = { status: 'failed', error: { code: 'BUDGET_EXHAUSTED' } }

  test('ends the turn: no other model is asked, no breaker counts it, no capacity is used', async () => {
    const { calls, client, turn } = scene([[say('Hello'), answered(50)]], [], 140_000)
    expect(await turn()).toMatchObject({ status: 'completed' })
    const before = await client.breakers.status()
    const more = [await turn('Again'), await turn('And again')]
    expect(more).toMatchObject([refusal, refusal])
    expect(calls()).toEqual([1, 0])
    expect(await client.breakers.status()).toEqual(before)
    expect((await client.models.capacity()).map(({ name, requests }) => [name, requests])).toEqual([
      ['one', 1],
      ['two', 0],
    ])
  })

  test('refuses calls outside of turns in the same way', async () => {
    const { calls, client } = scene([[say('Hello'), answered(100)]], [], 150_000)
    const ask = { models: ['one/model', 'two/model'], instructions: '', prompt: 'Hi', maxOutputTokens: 100 }
    expect(await client.models.complete(ask)).toMatchObject({ text: 'Hello', model: 'one/model' })
    await expect(client.models.complete(ask)).rejects.toMatchObject({ code: 'BUDGET_EXHAUSTED' })
    expect(calls()).toEqual([1, 0])
    expect((await client.models.capacity())[0]).toMatchObject({ requests: 1 })
  })
})

test('vectors are paid for by the tokens that the provider counts', async () => {
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [
      {
        id: 'one',
        models: [{ name: 'vectors', price: { input: 20, output: 0 } }],
        async *stream() {},
        embed: async (_, { inputs }) => ({ vectors: inputs.map(() => [0, 1]), tokens: 7 }),
      },
    ],
    agents: [],
    budgets: [{ id: 'daily', scope: 'tenant', period: 'day', amount: 300 }],
  })
  onTestFinished(() => runtime.stop())
  const client = runtime.as(singleOwner('code'))
  await client.models.embed({ model: 'one/vectors', inputs: ['a text'] })
  expect(await client.costs.entries(window)).toMatchObject([
    { model: 'one/vectors', cost: 140, turn: null, usage: { input: 7, output: 0 } },
  ])
  const tooLong = client.models.embed({ model: 'one/vectors', inputs: ['a text of twenty b..'] })
  await expect(tooLong).rejects.toMatchObject({ code: 'BUDGET_EXHAUSTED' })
})
