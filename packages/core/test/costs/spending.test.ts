import { createRuntime, defineAgent, usd } from '@keelson/core'
import { finish, say, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { expect, test } from 'vitest'
import { budgets } from './spending.ts'

/** A dollar for a hundred tokens of an answer. */
const price = { input: 0, output: 10_000_000_000 }
const greeter = defineAgent({ id: 'greeter', instructions: 'Greet.', models: ['scripted/one'], maxOutputTokens: 150 })

test('a caller who has spent the money of the day is told so before a model is asked', async () => {
  const answer = [say('Hello.'), finish({ usage: { input: 0, output: 100 } })]
  const model = scriptedModel([answer, answer], { models: [{ name: 'one', price }] })
  const told: number[] = []
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    providers: [model],
    agents: [greeter],
    budgets,
    onBudget: ({ percent, window }) => window.budget === 'caller-daily' && told.push(percent),
  })
  const ada = runtime.as({ tenant: 'acme', subject: 'ada', roles: [], via: 'code', ambient: false })

  await ada.run('greeter', { message: 'Hi' }).result
  const { cost } = await ada.run('greeter', { message: 'Hi again' }).result
  expect(cost).toBe(1_000_000_000_000)
  expect(told).toEqual([80])
  const daily = (await ada.costs.budgets()).find(({ id }) => id === 'caller-daily')
  expect(daily).toMatchObject({ limit: usd('2.50'), spent: usd(2), reserved: 0n, remaining: usd('0.50') })

  const third = await ada.run('greeter', { message: 'And again' }).outcome
  expect(third).toMatchObject({ status: 'failed', error: { code: 'BUDGET_EXHAUSTED' } })
  model.assertComplete()
  await runtime.stop()
})
