import type { ConnectorNote } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { type StoreSubject, start, useScene } from './scene.ts'

export function describeConnectors(subject: StoreSubject): void {
  describe('connectors', () => {
    const scene = useScene(subject)
    const connectors = () => scene().store.connectors
    const note = (values: Partial<ConnectorNote>, name = 'files', tenant = 'acme') =>
      connectors().note(tenant, name, { lastSuccessAt: null, lastError: null, lastErrorAt: null, ...values })
    const only = async (tenant = 'acme') => (await connectors().list(tenant, 10))[0]
    const unknown = { name: 'files', registeredAt: null, lastSuccessAt: null, lastError: null, lastErrorAt: null }

    it('register begins anew, for one tenant and name', async () => {
      await note({ lastSuccessAt: start, lastError: 'broken', lastErrorAt: start })
      await note({ lastSuccessAt: start }, 'files', 'other')
      await connectors().register('acme', 'files', start + 5)
      expect(await connectors().list('acme', 10)).toEqual([{ ...unknown, registeredAt: start + 5 }])
      expect(await only('other')).toEqual({ ...unknown, lastSuccessAt: start })
    })

    it('note keeps what is later, whatever comes first, and leaves what it does not speak of', async () => {
      await connectors().register('acme', 'files', start)
      await note({ lastSuccessAt: start + 10 })
      await note({ lastError: 'first', lastErrorAt: start + 20 })
      await note({ lastSuccessAt: start + 5 })
      await note({ lastError: 'older', lastErrorAt: start + 19 })
      const expected = { ...unknown, registeredAt: start, lastSuccessAt: start + 10 }
      expect(await only()).toEqual({ ...expected, lastError: 'first', lastErrorAt: start + 20 })
      await note({ lastError: 'second', lastErrorAt: start + 20 })
      expect(await only()).toEqual({ ...expected, lastError: 'second', lastErrorAt: start + 20 })
    })

    it('of notes that race the latest stands', async () => {
      const at = Array.from({ length: 20 }, (_, index) => start + ((index * 7) % 20))
      await Promise.all(at.map((time) => note({ lastSuccessAt: time, lastError: `at ${time}`, lastErrorAt: time })))
      const latest = start + 19
      expect(await only()).toMatchObject({ lastSuccessAt: latest, lastError: `at ${latest}`, lastErrorAt: latest })
    })

    it('list gives a tenant its connectors by name, and remove forgets one', async () => {
      for (const name of ['b', 'a', 'c']) await note({}, name)
      await note({}, 'd', 'other')
      const names = async (limit = 10) => (await connectors().list('acme', limit)).map(({ name }) => name)
      expect(await names()).toEqual(['a', 'b', 'c'])
      expect(await names(2)).toEqual(['a', 'b'])
      expect(await names(0)).toEqual([])
      expect(await connectors().remove('other', 'a')).toBe(false)
      expect(await connectors().remove('acme', 'a')).toBe(true)
      expect(await connectors().remove('acme', 'a')).toBe(false)
      expect(await names()).toEqual(['b', 'c'])
    })
  })
}
