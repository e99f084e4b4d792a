import type { Tool } from '@keelson/core'
import { callTool, cut, hang, type ScriptStep, say } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test, vi } from 'vitest'
import { agentOf, databaseFile, noteTool } from '../durability/scene.ts'
import { shop, used, window } from './shop.ts'

describe('the ledger, where no budget applies,', () => {
  test('has a row for what a stopped process was doing, when the turn goes on', async () => {
    const file = databaseFile()
    const store = sqliteStore(file)
    const first = shop([[say('So far'), hang()]], { store, limits: { flushMs: 1 } })
    const turn = first.client.run('clerk', { message: 'Hi' })
    for await (const event of turn) if (event.type === 'text.delta') break
    const { id } = await turn.accepted
    const owner = { tenant: 'default', subject: 'owner' }
    await vi.waitFor(async () => expect(await store.sessions.turnLog(owner, id)).toContain('So far'))
    await first.runtime.stop()
    const second = shop([[say('Again'), used({ input: 10, output: 1 })]], { store: sqliteStore(file) })
    const { cost } = await second.client.attach(id).result
    const entries = await second.client.costs.entries({ ...window, turn: id })
    const [lost, settled] = entries.toSorted((one, other) => one.outcome.localeCompare(other.outcome))
    expect(settled).toMatchObject({ outcome: 'settled', step: 1, cost: 20_000 })
    expect(lost).toMatchObject({ outcome: 'estimated', step: 1, model: 'test/one', usage: { output: 2 } })
    expect(lost?.usage.input).toBeGreaterThan(0)
    expect(cost).toBe(20_000 + (lost?.cost ?? 0))
  })

  test('has one row for each of the calls that died with their processes, one after the other', async () => {
    const file = databaseFile()
    const shopWith = (step: ScriptStep) => shop([step], { store: sqliteStore(file) })
    let { client, model, runtime } = shopWith(hang())
    const { id } = await client.run('clerk', { message: 'Hi' }).accepted
    for (let deaths = 0; deaths < 3; deaths += 1) {
      await vi.waitFor(() => expect(model.calls).toHaveLength(1))
      await runtime.stop()
      const next = shopWith(deaths < 2 ? hang() : say('At last'))
      ;({ client, model, runtime } = next)
      await runtime.start()
    }
    expect(await client.attach(id).result).toMatchObject({ text: 'At last' })
    const outcomes = (await client.costs.entries({ ...window, turn: id })).map(({ outcome }) => outcome)
    expect(outcomes.toSorted()).toEqual(['estimated', 'estimated', 'estimated', 'settled'])
  })

  test('has none for a model that was not asked: the process stopped while a tool ran', async () => {
    const file = databaseFile()
    const started = Promise.withResolvers<void>()
    const looking = () => {
      started.resolve()
      return new Promise(() => {})
    }
    const slow = noteTool('look', looking, { idempotent: true })
    const again = noteTool('look', () => 'seen', { idempotent: true })
    const options = (tool: Tool) => ({ store: sqliteStore(file), agents: [agentOf([tool])] })
    const first = shop([callTool('look', { note: 'x' })], options(slow))
    const { id } = await first.client.run('clerk', { message: 'Look' }).accepted
    await started.promise
    await first.runtime.stop()
    const second = shop([say('Done.')], options(again))
    await second.client.attach(id).result
    const entries = await second.client.costs.entries({ ...window, turn: id })
    expect(entries.map(({ outcome, step }) => [step, outcome])).toEqual([
      [2, 'settled'],
      [1, 'settled'],
    ])
  })

  test('has a row for a lost call of a turn that cannot go on', async () => {
    const file = databaseFile()
    const first = shop([hang()], { store: sqliteStore(file) })
    const { id } = await first.client.run('clerk', { message: 'Hi' }).accepted
    await vi.waitFor(() => expect(first.model.calls).toHaveLength(1))
    await first.runtime.stop()
    const second = shop([], { store: sqliteStore(file), agents: [] })
    await second.runtime.start()
    await vi.waitFor(async () =>
      expect(await second.client.costs.entries({ ...window, turn: id })).toMatchObject([
        { outcome: 'estimated', model: 'test/one', step: 1 },
      ]),
    )
    const [entry] = await second.client.costs.entries({ ...window, turn: id })
    expect(await second.client.sessions.turn({ id })).toMatchObject({ status: 'failed', cost: entry?.cost })
  })

  test('has what was cut off before the next call is made', async () => {
    const file = databaseFile()
    const first = shop([[say('Half an ans'), cut()], hang()], { store: sqliteStore(file) })
    const { id } = await first.client.run('clerk', { message: 'Hi' }).accepted
    await vi.waitFor(() => expect(first.model.calls).toHaveLength(2))
    const [cutOff, ...others] = await first.client.costs.entries({ ...window, turn: id })
    expect(cutOff).toMatchObject({ outcome: 'estimated', usage: { output: 3 } })
    expect(others).toEqual([])
    expect(await first.client.sessions.turn({ id })).toMatchObject({ status: 'running', cost: cutOff?.cost })
  })

  test('has what a stopped process asked outside of turns', async () => {
    const file = databaseFile()
    const first = shop([hang()], { store: sqliteStore(file) })
    const asked = { models: ['test/one'], instructions: 'Name it', prompt: 'It', maxOutputTokens: 20 }
    first.client.models.complete(asked).catch(() => {})
    await vi.waitFor(() => expect(first.model.calls).toHaveLength(1))
    await first.runtime.stop()
    const second = shop([], { store: sqliteStore(file) })
    await second.runtime.start()
    const entries = await second.client.costs.entries(window)
    expect(entries).toMatchObject([{ turn: null, outcome: 'estimated', model: 'test/one', subject: 'owner' }])
    expect(entries[0]?.cost).toBeGreaterThan(0)
  })
})
