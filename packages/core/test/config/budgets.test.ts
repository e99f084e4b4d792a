import { usd } from '@keelson/core'
import { describe, expect, test } from 'vitest'
import { desk } from './scene.ts'

const codeBudget = { id: 'day', scope: 'tenant', period: 'day', amount: usd('5') } as const

describe('the budgets section', () => {
  test('sets, replaces and takes away budgets of the tenant', async () => {
    const { client } = await desk({ budgets: [codeBudget] })
    const limits = async () => (await client.costs.budgets()).map(({ id, limit, period }) => [id, limit, period])
    expect(await limits()).toEqual([['day', usd('5'), 'day']])
    await client.config.change({
      patch: { budgets: { day: { amount: '0.25' }, month: { scope: 'tenant', period: 'month', amount: '3' } } },
    })
    expect(await limits()).toEqual([
      ['day', usd('0.25'), 'day'],
      ['month', usd('3'), 'month'],
    ])
    await client.config.change({ patch: { budgets: { day: { enabled: false }, month: null } } })
    expect(await limits()).toEqual([])
    await client.config.rollback({ generation: 0 })
    expect(await limits()).toEqual([['day', usd('5'), 'day']])
  })

  test('limits the turns that begin after it', async () => {
    const { client, model } = await desk()
    await client.run('clerk', { message: 'hi' }).result
    const none = { scope: 'agent', only: 'clerk', period: 'total', amount: '0', unknownPrice: 'refuse' }
    await client.config.change({ patch: { budgets: { none } } })
    await expect(client.run('clerk', { message: 'hi' }).result).rejects.toMatchObject({
      details: { reason: 'BUDGET_PRICE_UNKNOWN' },
    })
    expect(model.calls).toHaveLength(1)
    await client.config.rollback({ generation: 0 })
    expect((await client.run('clerk', { message: 'hi' }).result).text).toBe('done')
  })

  test.each([
    [{ scope: 'tenant', period: 'day' }, 'amount'],
    [{ scope: 'tenant', period: 'day', amount: 5 }, 'amount must be a text'],
    [{ scope: 'tenant', period: 'day', amount: '-1' }, 'amount'],
    [{ scope: 'planet', period: 'day', amount: '1' }, 'scope'],
    [{ scope: 'tenant', period: 'week', amount: '1' }, 'period'],
    [{ scope: 'tenant', period: 'day', amount: '1', thresholds: [0] }, 'threshold'],
    [{ scope: 'tenant', period: 'day', amount: '1', colour: 'red' }, 'colour is not known'],
  ])('refuses %j', async (entry, problem) => {
    const { client } = await desk()
    await expect(client.config.change({ patch: { budgets: { odd: entry } } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { problems: [{ section: 'budgets', id: 'odd', problem: expect.stringContaining(problem) }] },
    })
    expect((await client.config.active()).number).toBe(0)
  })
})
