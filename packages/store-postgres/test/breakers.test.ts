import { type BreakerEvent, createRuntime, defineAgent, singleOwner } from '@keelson/core'
import { fail, respond, type ScriptStep, say, scriptedModel } from '@keelson/core/testing'
import { postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newSchema } from './postgres-server.ts'
import { newPool, usePostgres } from './scene.ts'

const server = usePostgres()

/** One of several runtimes on a database. What its provider `one` does can be changed. */
async function instance(schema: string, listen: boolean, cooldownMs: number) {
  const { url } = server()
  const pool = newPool(url, { max: 4 })
  const store = postgresStore({
    pool,
    schema,
    ...(listen ? { listen: () => new pg.Client({ connectionString: url }) } : {}),
  })
  let act = (): ScriptStep => say('one')
  let asked = 0
  const one = scriptedModel([], {
    id: 'one',
    otherwise: respond(() => {
      asked += 1
      return act()
    }),
  })
  const runtime = createRuntime({
    store,
    providers: [one, scriptedModel([], { id: 'two', otherwise: say('two') })],
    agents: [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['one/model', 'two/model'] })],
    breakers: { threshold: 4, cooldownMs, failureRate: 0 },
    limits: { attempts: 1 },
    leaseMs: 1_500,
  })
  onTestFinished(async () => {
    await runtime.stop()
    await pool.end()
  })
  await runtime.start()
  const client = runtime.as(singleOwner('code'))
  const events: BreakerEvent[] = []
  await client.breakers.watch({ listener: (event) => events.push(event) })
  return {
    client,
    does(step: () => ScriptStep) {
      act = step
    },
    get asked() {
      return asked
    },
    run: async () => (await client.run('clerk', { message: 'hi' }).outcome).text,
    types: () => events.map(({ type }) => type),
    state: async () => (await client.breakers.status()).breakers.find(({ provider }) => provider === 'one'),
  }
}

const pair = async (listen: boolean, cooldownMs = 300_000) => {
  const schema = newSchema()
  const first = await instance(schema, listen, cooldownMs)
  return [first, await instance(schema, listen, cooldownMs)] as const
}

describe.each([
  ['that hear of each other', true],
  ['that look now and then', false],
])('two instances %s', (_, listen) => {
  it('count failures together, share the trip and the reset, and tell of both on each side', async () => {
    const [here, there] = await pair(listen)
    for (const each of [here, there]) each.does(() => fail('server'))
    for (const each of [here, there, here, there]) expect(await each.run()).toBe('two')
    await expect.poll(here.types).toEqual(['breaker.opened'])
    await expect.poll(there.types).toEqual(['breaker.opened'])
    const asked = here.asked + there.asked
    for (const each of [here, there]) expect(await each.run()).toBe('two')
    expect(here.asked + there.asked).toBe(asked)
    expect(await here.state()).toEqual(await there.state())

    for (const each of [here, there]) each.does(() => say('one'))
    await there.client.breakers.reset({ provider: 'one' })
    await expect.poll(here.types).toEqual(['breaker.opened', 'breaker.reset'])
    for (const each of [here, there]) expect(await each.run()).toBe('one')
    expect(there.types()).toEqual(['breaker.opened', 'breaker.reset'])
  })

  it('have one call between them try a provider that was down', async () => {
    const [here, there] = await pair(listen, 1)
    for (const each of [here, there]) each.does(() => fail('server'))
    for (let count = 0; count < 4; count += 1) await here.run()
    await expect.poll(there.types).toContain('breaker.opened')
    const answer = Promise.withResolvers<ScriptStep>()
    for (const each of [here, there]) each.does(() => respond(() => answer.promise))
    const asked = here.asked + there.asked
    const turns = Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? here : there).run())
    await expect.poll(() => here.asked + there.asked).toBe(asked + 1)
    // All others have been answered by the other provider before the one that tries is.
    await expect
      .poll(
        async () =>
          (await here.client.models.selections({ limit: 10, offset: 0 })).filter(({ status }) => status === 'completed')
            .length,
      )
      .toBeGreaterThanOrEqual(9)
    answer.resolve(say('one'))
    const texts = await Promise.all(turns)
    expect(texts.filter((text) => text === 'one')).toHaveLength(1)
    expect(here.asked + there.asked).toBe(asked + 1)
    await expect.poll(here.types).toContain('breaker.closed')
    await expect.poll(there.types).toContain('breaker.closed')
  })
})

describe('an instance that starts later', () => {
  it('finds what was forced open', async () => {
    const schema = newSchema()
    const first = await instance(schema, false, 1)
    await first.client.breakers.forceOpen({ provider: 'one' })
    const second = await instance(schema, false, 1)
    expect(await second.run()).toBe('two')
    expect(second.asked).toBe(0)
    expect(await second.state()).toMatchObject({ state: 'open', cause: 'operator' })
  })
})
