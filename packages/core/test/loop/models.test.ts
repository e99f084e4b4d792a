import {
  createRuntime,
  type Embedded,
  ModelFailure,
  type ModelInfo,
  type Provider,
  singleOwner,
  systemClock,
} from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test, vi } from 'vitest'

/** A clock whose hands the test moves. */
const handSet = () => {
  let now = 1_800_000_000_000
  const advance = (ms: number) => {
    now += ms
  }
  return { ...systemClock, now: () => now, advance }
}
type HandSet = ReturnType<typeof handSet>

type Abilities = Partial<Omit<Provider, 'id' | 'stream'>>

const provider = (id: string, abilities: Abilities): Provider => ({
  id,
  // biome-ignore lint/correctness/useYield: it is never asked
  async *stream() {
    throw new ModelFailure('server', 'not asked here')
  },
  ...abilities,
})

async function withModels(
  providers: readonly Provider[],
  run: (models: ReturnType<ReturnType<typeof createRuntime>['as']>['models'], clock: HandSet) => Promise<void>,
): Promise<void> {
  const clock = handSet()
  const runtime = createRuntime({ store: sqliteStore(':memory:'), providers, agents: [], clock })
  try {
    await run(runtime.as(singleOwner('code')).models, clock)
  } finally {
    await runtime.stop()
  }
}

describe('models that a provider is asked for', () => {
  const found: readonly ModelInfo[] = [
    { name: 'new', contextTokens: 9_000, vision: false, price: { input: 5, output: 6 } },
    { name: 'own', contextTokens: 1, maxOutputTokens: 77 },
  ]

  test('join the registered ones, whose own facts count more', async () => {
    const asked = provider('a', { models: [{ name: 'own', contextTokens: 5_000 }], discover: async () => found })
    await withModels([asked, provider('b', {})], async (models) => {
      expect(await models.list()).toMatchObject([{ id: 'a/own', contextTokens: 5_000, maxOutputTokens: 4_096 }])
      const { models: all, providers } = await models.discover()
      expect(all).toMatchObject([
        { id: 'a/own', contextTokens: 5_000, maxOutputTokens: 77, discovered: false },
        { id: 'a/new', contextTokens: 9_000, vision: false, price: { input: 5, output: 6 }, discovered: true },
      ])
      expect(providers).toEqual([{ provider: 'a', models: 2, failure: null }])
      expect(await models.list()).toEqual(all)
    })
  })

  test('are asked for once a minute at most, also by many at once', async () => {
    const discover = vi.fn(async () => found)
    await withModels([provider('a', { discover })], async (models, clock) => {
      await Promise.all([models.discover(), models.discover()])
      await models.discover()
      expect(discover).toHaveBeenCalledTimes(1)
      clock.advance(60_000)
      await models.discover()
      expect(discover).toHaveBeenCalledTimes(2)
    })
  })

  test('are forgotten when the provider has them no more, and kept when it does not answer', async () => {
    const answers = [async () => found, async () => Promise.reject(new ModelFailure('network', 'gone')), async () => []]
    const discover = () => (answers.shift() ?? (async () => []))()
    await withModels([provider('a', { discover })], async (models, clock) => {
      await models.discover()
      clock.advance(60_000)
      const second = await models.discover()
      expect(second.providers).toEqual([{ provider: 'a', models: 0, failure: 'network' }])
      expect(second.models).toHaveLength(2)
      clock.advance(60_000)
      expect((await models.discover()).models).toEqual([])
    })
  })

  test('are bounded in number and in their names', async () => {
    const many = Array.from({ length: 5_000 }, (_, index) => ({ name: `m${index}` }))
    const strange = [{ name: 'a b' }, { name: 7 as unknown as string }, { name: 'x'.repeat(1_000) }, ...many]
    await withModels([provider('a', { discover: async () => strange })], async (models) => {
      const { models: all } = await models.discover()
      expect(all).toHaveLength(2_000)
      expect(all[0]?.id).toBe('a/m0')
    })
  })

  test('are shown to operators who ask, not to others', async () => {
    const runtime = createRuntime({ store: sqliteStore(':memory:'), providers: [], agents: [] })
    const guest = runtime.as({ tenant: 't', subject: 's', roles: [], via: 'code', ambient: false })
    await expect(guest.models.discover()).rejects.toMatchObject({ kind: 'forbidden' })
    await runtime.stop()
  })
})

describe('vectors and transcripts', () => {
  const embed = vi.fn(
    async (_model: string, { inputs }: { readonly inputs: readonly string[] }): Promise<Embedded> => ({
      vectors: inputs.map(({ length }) => [length]),
      tokens: inputs.length,
    }),
  )

  test('come from the provider of the model', async () => {
    await withModels([provider('a', { embed })], async (models) => {
      expect(await models.embed({ model: 'a/small', inputs: ['x', 'yyy'], dimensions: 1 })).toEqual({
        vectors: [[1], [3]],
        tokens: 2,
      })
      expect(embed).toHaveBeenCalledWith('small', { inputs: ['x', 'yyy'], dimensions: 1 }, expect.any(AbortSignal))
    })
  })

  test.each<[object, string]>([
    [{ model: 'a/m', inputs: [] }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', inputs: [''] }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', inputs: [7] }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', inputs: 'text' }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', inputs: ['x'], dimensions: 0 }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', inputs: ['x'.repeat(9 * 2 ** 20)] }, 'MODEL_INPUT_INVALID'],
    [{ model: 'c/m', inputs: ['x'] }, 'MODEL_UNKNOWN'],
    [{ model: 'b/m', inputs: ['x'] }, 'MODEL_UNFIT'],
  ])('%# are refused', async (input, code) => {
    await withModels([provider('a', { embed }), provider('b', {})], async (models) => {
      await expect(models.embed(input as never)).rejects.toMatchObject({ code })
    })
  })

  test.each<[object, string]>([
    [{ model: 'a/m', audio: new Uint8Array(), mediaType: 'audio/wav' }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', audio: 'text', mediaType: 'audio/wav' }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', audio: new Uint8Array(1), mediaType: 'text/html' }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', audio: new Uint8Array(26 * 2 ** 20), mediaType: 'audio/wav' }, 'MODEL_INPUT_INVALID'],
    [{ model: 'a/m', audio: new Uint8Array(1), mediaType: 'audio/wav' }, 'MODEL_UNFIT'],
  ])('speech %# is refused', async (input, code) => {
    await withModels([provider('a', { embed })], async (models) => {
      await expect(models.transcribe(input as never)).rejects.toMatchObject({ code })
    })
  })

  test('fail with the class of the failure, and not with its words', async () => {
    const failing = provider('a', { embed: async () => Promise.reject(new ModelFailure('rate-limit', 'secret words')) })
    await withModels([failing], async (models) => {
      const error = await models.embed({ model: 'a/m', inputs: ['x'] }).catch((thrown) => thrown)
      expect(error).toMatchObject({ code: 'MODEL_FAILED', details: { failure: 'rate-limit' } })
      expect(error.message).not.toContain('secret')
    })
  })
})
