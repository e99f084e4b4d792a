import type { BreakerRecord } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { type StoreSubject, start, useScene } from './scene.ts'

const recordOf = (provider: string, version: number, values: Partial<BreakerRecord> = {}): BreakerRecord => ({
  provider,
  version,
  state: 'closed',
  cause: null,
  failures: [start, start + 1],
  lastFailure: 'server',
  cooldownMs: 30_000,
  openedAt: null,
  retryAt: null,
  probe: null,
  changedAt: start,
  ...values,
})

const tripped: Partial<BreakerRecord> = {
  state: 'open',
  cause: 'failures',
  failures: [],
  cooldownMs: 2 ** 31 - 1,
  openedAt: start,
  retryAt: start + 30_000,
  probe: { instance: 'one', until: start + 90_000 },
}

export function describeBreakers(subject: StoreSubject): void {
  describe('breakers', () => {
    const scene = useScene(subject)
    const breakers = () => scene().store.breakers

    it('are none until something is written', async () => {
      expect(await breakers().list('', 100)).toEqual([])
    })

    it('come back as they were written, in every state', async () => {
      const records = [
        recordOf('a', 1),
        recordOf('b', 1, tripped),
        recordOf('c', 1, { ...tripped, cause: 'billing', lastFailure: 'billing', retryAt: null, probe: null }),
        recordOf('d', 1, { ...tripped, cause: 'operator', lastFailure: null, retryAt: null, probe: null }),
      ]
      for (const record of records.toReversed()) expect(await breakers().swap(record)).toBe(true)
      expect(await breakers().list('', 100)).toEqual(records)
    })

    it('are listed by name, after a name, no more than asked for', async () => {
      for (const name of ['openai', 'Ollama', 'anthropic', 'é']) await breakers().swap(recordOf(name, 1))
      const names = async (after: string, limit: number) =>
        (await breakers().list(after, limit)).map(({ provider }) => provider)
      expect(await names('', 100)).toEqual(['Ollama', 'anthropic', 'openai', 'é'])
      expect(await names('', 2)).toEqual(['Ollama', 'anthropic'])
      expect(await names('anthropic', 2)).toEqual(['openai', 'é'])
      expect(await names('', 0)).toEqual([])
      expect(await names('é', 10)).toEqual([])
    })

    it('change from one version to the next and in no other way', async () => {
      expect(await breakers().swap(recordOf('a', 2))).toBe(false)
      expect(await breakers().list('', 100)).toEqual([])
      expect(await breakers().swap(recordOf('a', 1))).toBe(true)
      const second = recordOf('a', 2, tripped)
      expect(await breakers().swap(second)).toBe(true)
      for (const version of [1, 2, 4]) expect(await breakers().swap(recordOf('a', version))).toBe(false)
      expect(await breakers().list('', 100)).toEqual([second])
    })

    it('give the first version to one of those who race', async () => {
      const records = Array.from({ length: 10 }, (_, index) => recordOf('a', 1, { failures: [start + index] }))
      const written = await Promise.all(records.map((record) => breakers().swap(record)))
      expect(written.filter(Boolean)).toHaveLength(1)
      expect(await breakers().list('', 100)).toEqual([records[written.indexOf(true)]])
    })

    it('give a later version to one of those who race: one trip, one probe', async () => {
      await breakers().swap(recordOf('a', 1))
      for (const version of [2, 3]) {
        const records = Array.from({ length: 10 }, (_, index) =>
          recordOf('a', version, { ...tripped, probe: { instance: `instance ${index}`, until: start } }),
        )
        const written = await Promise.all(records.map((record) => breakers().swap(record)))
        expect(written.filter(Boolean)).toHaveLength(1)
        expect(await breakers().list('', 100)).toEqual([records[written.indexOf(true)]])
      }
    })

    it('of other providers stay as they are', async () => {
      await breakers().swap(recordOf('a', 1))
      await breakers().swap(recordOf('b', 1))
      await breakers().swap(recordOf('b', 2, tripped))
      expect(await breakers().list('', 100)).toEqual([recordOf('a', 1), recordOf('b', 2, tripped)])
    })
  })
}
