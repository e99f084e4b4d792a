import {
  type Client,
  defineAgent,
  defineSettings,
  type Provider,
  type RuntimeOptions,
  systemClock,
} from '@keelson/core'
import { createTestRuntime, say, scriptedModel } from '@keelson/core/testing'
import { postgresStore } from '@keelson/store-postgres'
import pg from 'pg'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { newSchema } from './postgres-server.ts'
import { newPool, usePostgres } from './scene.ts'

const server = usePostgres()

interface Instance {
  readonly client: Client
  /** Those that the provider was called with. */
  readonly keys: readonly string[]
  /** Statements about the configuration since the last look. */
  asked(): string[]
  /** What its next turn is told. */
  instructions(): Promise<string>
}

async function instance(
  schema: string,
  options: Pick<RuntimeOptions, 'clock' | 'settings'> & { readonly listen: boolean; readonly leaseMs: number },
): Promise<Instance> {
  const pool = newPool(server().url)
  const keys: string[] = []
  const model = scriptedModel([], { otherwise: say('done') })
  const keyed = (key: string): Provider => ({
    ...model,
    stream(...call) {
      keys.push(key)
      return model.stream(...call)
    },
    withKey: keyed,
  })
  const statements: string[] = []
  const store = postgresStore({
    pool,
    schema,
    trace: (sql) => sql.includes('"config_') && statements.push(sql),
    ...(options.listen ? { listen: () => new pg.Client({ connectionString: server().url }) } : {}),
  })
  const agent = defineAgent({ id: 'clerk', instructions: 'You help.', models: ['test/one'] })
  const { listen: _, ...others } = options
  const vault = { key: 'ab'.repeat(32) }
  const runtime = await createTestRuntime({ agents: [agent], model: keyed('of the host'), store, vault, ...others })
  onTestFinished(async () => {
    await runtime.stop()
    await pool.end()
  })
  return {
    client: runtime.client,
    keys,
    asked: () => statements.splice(0),
    async instructions() {
      await runtime.client.run('clerk', { message: 'hello' }).result
      return model.calls.at(-1)?.request.instructions ?? ''
    },
  }
}

const instruct = (instructions: string) => ({ agents: { clerk: { instructions } } })

describe('two instances on one database', () => {
  it('hear of each other’s changes at once, and ask nothing while there are none', async () => {
    const schema = newSchema()
    // So long between two looks that none can help.
    const options = { listen: true, leaseMs: 3_600_000 }
    const [here, there] = [await instance(schema, options), await instance(schema, options)]
    expect(await there.instructions()).toBe('You help.')
    await here.client.config.change({ patch: instruct('one') })
    await expect.poll(() => there.instructions()).toBe('one')
    await here.client.config.change({ patch: instruct('two') })
    await expect.poll(() => there.instructions()).toBe('two')
    there.asked()
    for (let count = 0; count < 3; count += 1) expect(await there.instructions()).toBe('two')
    expect(there.asked()).toEqual([])
    await there.client.config.rollback({ generation: 0, numbering: 'reuse' })
    await expect.poll(() => here.instructions()).toBe('You help.')
  })

  it('use a provider’s key that was set or removed on the other at once', async () => {
    const schema = newSchema()
    // What was read once would hold for ever.
    const clock = { ...systemClock, now: () => 1_800_000_000_000 }
    const options = { listen: true, leaseMs: 3_600_000, clock }
    const [here, there] = [await instance(schema, options), await instance(schema, options)]
    const usedThere = async () => {
      await there.client.run('clerk', { message: 'hello' }).result
      return there.keys.at(-1)
    }
    expect(await usedThere()).toBe('of the host')
    await here.client.providerKeys.set({ provider: 'test', key: 'first' })
    await expect.poll(usedThere).toBe('first')
    await here.client.providerKeys.set({ provider: 'test', key: 'second' })
    await expect.poll(usedThere).toBe('second')
    await here.client.providerKeys.remove({ provider: 'test' })
    await expect.poll(usedThere).toBe('of the host')
  })

  it('find them by looking now and then where nothing is heard', async () => {
    const schema = newSchema()
    const options = { listen: false, leaseMs: 300 }
    const [here, there] = [await instance(schema, options), await instance(schema, options)]
    await here.client.config.change({ patch: instruct('one') })
    await expect.poll(() => there.instructions(), { timeout: 20_000 }).toBe('one')
  })

  it('leave a setting and a secret that were set together as one of their writers gave them', async () => {
    const schema = newSchema()
    const settings = defineSettings({
      account: { schema: z.string(), default: '' },
      password: { schema: z.string(), default: '', secret: true },
    })
    const options = { listen: true, leaseMs: 15_000, settings }
    const both = [await instance(schema, options), await instance(schema, options)]
    for (let round = 0; round < 5; round += 1) {
      const writes = [0, 1, 2, 3].map((index) => {
        const account = `account ${round} ${index}`
        const values = { account, password: `of ${account}` }
        return both[index % 2]?.client.settings.set({ values, expected: round })
      })
      const results = await Promise.allSettled(writes)
      const won = results.findIndex(({ status }) => status === 'fulfilled')
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      const { content } = (await both[0]?.client.config.active()) ?? {}
      expect(content?.['settings']).toEqual({ account: { value: `account ${round} ${won}` } })
      expect(await both[0]?.client.settings.reveal({ key: 'password' })).toBe(`of account ${round} ${won}`)
    }
  })

  it('let one of their writers win who expect the same generation', async () => {
    const schema = newSchema()
    const options = { listen: true, leaseMs: 15_000 }
    const both = [await instance(schema, options), await instance(schema, options)]
    await both[0]?.client.config.change({ patch: instruct('base') })
    const writes = [0, 1, 2, 3, 4, 5].map((index) =>
      both[index % 2]?.client.config.change({ patch: instruct(`by ${index}`), expected: 1 }),
    )
    const results = await Promise.allSettled(writes)
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'CONFIG_CONFLICT' })
    }
    const lists = await Promise.all(both.map(({ client }) => client.config.list({ limit: 10 })))
    expect(lists[0]).toEqual(lists[1])
    expect(lists[0]?.generations).toHaveLength(2)
  })

  it('lay changes of different things over each other when nobody expects anything', async () => {
    const schema = newSchema()
    const options = { listen: true, leaseMs: 15_000 }
    const both = [await instance(schema, options), await instance(schema, options)]
    const writes = [0, 1, 2, 3].map((index) =>
      both[index % 2]?.client.config.change({ patch: { surfaces: { [`s${index}`]: { index } } } }),
    )
    await Promise.all(writes)
    const active = await both[0]?.client.config.active()
    expect(active?.number).toBe(4)
    expect(Object.keys(active?.content['surfaces'] ?? {})).toEqual(['s0', 's1', 's2', 's3'])
  })
})
