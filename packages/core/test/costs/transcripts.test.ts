import { ModelFailure, type ModelPrice, type Provider, type Transcript } from '@keelson/core'
import { describe, expect, test } from 'vitest'
import { price, shop, window } from './shop.ts'

describe('the ledger of transcripts', () => {
  const audio = new Uint8Array(3_200)
  const heard = (input: number, output: number): Transcript => ({
    text: 'Hello',
    tokens: { input, output },
    seconds: 3,
  })
  const hearing = (transcribe: Provider['transcribe'], own: ModelPrice | null = price) => ({
    id: 'ear',
    models: [{ name: 'one', ...(own && { price: own }) }],
    // biome-ignore lint/correctness/useYield: it is never asked
    async *stream() {
      throw new ModelFailure('server', 'not asked here')
    },
    ...(transcribe && { transcribe }),
  })
  const asked = { model: 'ear/one', audio, mediaType: 'audio/wav' }

  test('has the tokens that the vendor counts', async () => {
    const { client } = shop([], { providers: [hearing(async () => heard(30, 4))] })
    expect(await client.models.transcribe(asked)).toMatchObject({ text: 'Hello' })
    expect(await client.costs.entries(window)).toMatchObject([
      { model: 'ear/one', turn: null, usage: { input: 30, output: 4 }, cost: 70_000, outcome: 'settled' },
    ])
  })

  test('has no cost for what is billed by time, which is not the same as nothing', async () => {
    const { client } = shop([], { providers: [hearing(async () => heard(0, 0))] })
    await client.models.transcribe(asked)
    expect(await client.costs.entries(window)).toMatchObject([
      { cost: null, priceSource: 'unknown', usage: { input: 0, output: 0 } },
    ])
  })

  test('has none for one that failed', async () => {
    const failing = async () => Promise.reject(new ModelFailure('server', 'deaf'))
    const { client } = shop([], { providers: [hearing(failing)] })
    await expect(client.models.transcribe(asked)).rejects.toMatchObject({ code: 'MODEL_FAILED' })
    expect(await client.costs.entries(window)).toEqual([])
  })

  test('asks the budgets first, and is charged what was set aside where the vendor counts nothing', async () => {
    const calls: unknown[] = []
    const provider = hearing(async (model) => {
      calls.push(model)
      return heard(0, 0)
    })
    // 3,200 bytes are at most 200 tokens, and the answer at most 4,096.
    const most = 200 * 1_250 + 4_096 * 10_000
    const budgets = [{ id: 'all', scope: 'tenant', period: 'total', amount: BigInt(most) }] as const
    const { client } = shop([], { providers: [provider], budgets })
    await client.models.transcribe(asked)
    await expect(client.models.transcribe(asked)).rejects.toMatchObject({ code: 'BUDGET_EXHAUSTED' })
    expect(calls).toEqual(['one'])
    expect(await client.costs.entries(window)).toMatchObject([{ cost: most, outcome: 'at-reservation' }])
    expect(await client.costs.budgets()).toMatchObject([{ spent: BigInt(most), reserved: 0n }])
  })
})
