import { createRuntime, defineAgent, defineTool, type RuntimeOptions } from '@keelson/core'
import { demo } from '@keelson/core/providers/demo'
import { callTool, createTestRuntime, scriptedModel } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { afterEach, expect, test, vi } from 'vitest'

afterEach(() => {
  vi.restoreAllMocks()
})

const agent = (models: readonly string[]) => defineAgent({ id: 'clerk', instructions: 'You help.', models })
const good = () => ({ store: sqliteStore(':memory:'), providers: [demo()], agents: [agent(['demo/demo'])] })

test.each<[string, object, string]>([
  ['misspelt', { onErrors: () => {} }, 'there is no option "onErrors"; there are: store, providers, agents'],
  ['the name of a file for a store', { store: 'app.db' }, "sqliteStore('app.db')"],
  ['a provider that was not called', { providers: [demo] }, 'providers must be a list'],
  ['one provider instead of a list', { providers: demo() }, 'providers must be a list'],
  ['without agents', { agents: undefined }, 'agents must be a list'],
  ['a decider that is none', { deciders: 'anybody' }, "'operator' or 'owner'"],
  ['a time that no timer can hold', { leaseMs: 2 ** 31 }, 'leaseMs'],
  ['a time that is over', { stopMs: -1 }, 'stopMs'],
])('an option that is %s is refused by its name', (_, wrong, message) => {
  const options = { ...good(), ...wrong } as RuntimeOptions
  expect(() => createRuntime(options)).toThrow(
    expect.objectContaining({ code: 'RUNTIME_OPTIONS_INVALID', message: expect.stringContaining(message) }),
  )
})

test('no options at all are refused by what is needed', () => {
  expect(() => createRuntime(undefined as unknown as RuntimeOptions)).toThrow('store, providers and agents')
})

test.each([
  ['some', ['openai/gpt-5-mini', 'demo/demo'], 'openai/gpt-5-mini; there are: demo'],
  ['all', ['dmo/demo', 'openai/gpt-5-mini'], 'dmo/demo, openai/gpt-5-mini; there are: demo'],
])('a provider that is missing for %s models of an agent is told of at the start', async (_, models, message) => {
  const onError = vi.fn<(error: unknown, where: string) => void>()
  const runtime = createRuntime({ ...good(), agents: [agent(models)], onError })
  await runtime.start()
  const told = { code: 'MODEL_UNKNOWN', message: `no provider is registered for ${message}` }
  expect(onError.mock.calls).toMatchObject([[told, 'agent clerk']])
  await runtime.stop()
})

test('an error that nobody listens for is written to the console, with what has caused it', () => {
  const written = vi.spyOn(console, 'error').mockImplementation(() => {})
  createRuntime(good()).reportError(new Error('the surface broke', { cause: new Error('of rust') }), 'GET /ai')
  expect(written).toHaveBeenCalledOnce()
  expect(written.mock.calls[0]?.[0]).toMatch(
    /^keelson: GET \/ai: Error: the surface broke\n +at [\s\S]*caused by Error: of rust$/,
  )
})

test('a caller that names a subject alone reaches the rows of that subject, and nobody else reaches them', async () => {
  const runtime = createRuntime(good())
  const { session } = await runtime.as({ subject: 'ada' }).run('clerk', { message: 'Hi' }).result
  const full = { tenant: 'default', subject: 'ada', roles: [], via: 'jwt', ambient: false }
  expect(await runtime.as(full).sessions.list()).toMatchObject([{ id: session }])
  expect(await runtime.as({ subject: 'bob' }).sessions.list()).toEqual([])
  expect(await runtime.as({ subject: 'ada', tenant: 'other' }).sessions.list()).toEqual([])
  await runtime.stop()
})

test('a list without a page gives its first 50', async () => {
  const runtime = createRuntime(good())
  const client = runtime.as({ subject: 'ada' })
  for (let made = 0; made < 51; made += 1) await client.sessions.create({ agent: 'clerk' })
  expect(await client.sessions.list()).toHaveLength(50)
  expect(await client.sessions.list({ offset: 50 })).toHaveLength(1)
  await runtime.stop()
})

test('a handle cancels its turn', async () => {
  const begun = Promise.withResolvers<void>()
  const slow = defineTool({
    name: 'slow',
    description: 'Waits',
    input: { type: 'object' },
    risk: 'safe',
    async execute(_, { signal }) {
      begun.resolve()
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
  })
  const keeper = defineAgent({ id: 'keeper', instructions: 'You wait.', models: ['test/one'], tools: [slow] })
  await using runtime = await createTestRuntime({ agents: [keeper], model: scriptedModel([callTool('slow', {})]) })
  const turn = runtime.client.run(keeper, { message: 'Wait' })
  await begun.promise
  await turn.cancel()
  await expect(turn.outcome).resolves.toMatchObject({ status: 'cancelled' })
  expect((await turn.cancel()).status).toBe('cancelled')
})
