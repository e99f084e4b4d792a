import {
  createRuntime,
  defineAgent,
  type FailureClass,
  ModelFailure,
  type ModelPart,
  type Principal,
  type Provider,
} from '@keelson/core'
import { virtualClock } from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'

const operatorOf = (tenant: string): Principal => ({
  tenant,
  subject: 'boss',
  roles: ['operator'],
  via: 'code',
  ambient: false,
})

/** Fails with every key that is in `trouble`, and says which key has answered. */
function keyed(id: string, trouble: Map<string, ModelFailure>, key = 'host'): Provider {
  return {
    id,
    async *stream(): AsyncIterable<ModelPart> {
      const failure = trouble.get(`${id} ${key}`)
      if (failure) throw failure
      yield { type: 'text', text: `${id} with ${key}` }
      yield {
        type: 'finish',
        reason: 'stop',
        usage: { input: 1, cacheRead: 0, cacheWrite: 0, output: 1, reasoning: 0 },
      }
    },
    withKey: (own) => keyed(id, trouble, own),
  }
}

async function open() {
  const trouble = new Map<string, ModelFailure>()
  const clock = virtualClock()
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    clock,
    providers: [keyed('one', trouble), keyed('two', trouble)],
    agents: [defineAgent({ id: 'clerk', instructions: 'You help.', models: ['one/model', 'two/model'] })],
    breakers: { threshold: 2, cooldownMs: 10_000, maxCooldownMs: 10_000, failureRate: 0 },
    limits: { attempts: 1 },
    onError: () => {},
  })
  onTestFinished(() => runtime.stop())
  const tenant = (name: string) => {
    const client = runtime.as(operatorOf(name))
    return { client, run: async () => (await client.run('clerk', { message: 'hi' }).outcome).text }
  }
  const [acme, other] = [tenant('acme'), tenant('other')]
  return {
    trouble,
    clock,
    acme,
    other,
    async state() {
      const { breakers } = await other.client.breakers.status()
      return breakers.find(({ provider }) => provider === 'one')
    },
  }
}

const wrong: readonly [FailureClass, { retryAfterMs?: number }][] = [
  ['auth', {}],
  ['billing', {}],
  ['rate-limit', {}],
  ['rate-limit', { retryAfterMs: 60_000 }],
]

describe("a tenant's own key", () => {
  test.each(wrong)(
    'that fails with %s %j is passed over by its tenant and hinders no other',
    async (failure, detail) => {
      const { acme, other, state, trouble } = await open()
      await acme.client.providerKeys.set({ provider: 'one', key: 'mine' })
      trouble.set('one mine', new ModelFailure(failure, 'not with this key', detail))
      for (let count = 0; count < 3; count += 1) expect(await acme.run()).toBe('two with host')
      expect(await state()).toMatchObject({ state: 'closed', failures: 0, lastFailure: null })
      expect(await other.run()).toBe('one with host')
      const { turn } = await acme.client.run('clerk', { message: 'hi' }).outcome
      expect((await acme.client.observatory.turn({ id: turn })).attempts).toMatchObject([
        { model: 'one/model', outcome: 'failed', reason: failure },
        { model: 'two/model', outcome: 'answered' },
      ])
      await acme.client.providerKeys.set({ provider: 'one', key: 'better' })
      expect(await acme.run()).toBe('one with better')
    },
  )

  test('that fails when it tries an open breaker leaves the try to the next call', async () => {
    const { acme, clock, other, state, trouble } = await open()
    await acme.client.providerKeys.set({ provider: 'one', key: 'mine' })
    trouble.set('one host', new ModelFailure('server', 'down'))
    for (let count = 0; count < 2; count += 1) expect(await other.run()).toBe('two with host')
    expect(await state()).toMatchObject({ state: 'open' })
    trouble.clear()
    trouble.set('one mine', new ModelFailure('auth', 'not with this key'))
    clock.shift(10_000)
    expect(await acme.run()).toBe('two with host')
    expect(await state()).toMatchObject({ state: 'half-open', probing: false })
    expect(await other.run()).toBe('one with host')
    expect(await state()).toMatchObject({ state: 'closed' })
  })

  test('says as much of the provider as any other when the provider is to blame', async () => {
    const { acme, other, state, trouble } = await open()
    await acme.client.providerKeys.set({ provider: 'one', key: 'mine' })
    trouble.set('one mine', new ModelFailure('server', 'down'))
    for (let count = 0; count < 2; count += 1) expect(await acme.run()).toBe('two with host')
    expect(await state()).toMatchObject({ state: 'open', lastFailure: 'server' })
    expect(await other.run()).toBe('two with host')
  })

  test('is not what fails when a call outside of turns is made with the key of the host', async () => {
    const { acme, other, state, trouble } = await open()
    await acme.client.providerKeys.set({ provider: 'one', key: 'mine' })
    trouble.set('one mine', new ModelFailure('billing', 'no credit'))
    trouble.set('one host', new ModelFailure('billing', 'no credit'))
    const complete = { models: ['one/model', 'two/model'], instructions: '', prompt: 'hi', maxOutputTokens: 9 }
    expect(await acme.client.models.complete(complete)).toMatchObject({ text: 'two with host' })
    expect(await state()).toMatchObject({ state: 'closed' })
    expect(await other.client.models.complete(complete)).toMatchObject({ text: 'two with host' })
    expect(await state()).toMatchObject({ state: 'open', cause: 'billing' })
  })
})
