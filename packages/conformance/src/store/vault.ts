import type { Resealed, SealedEntry } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { type StoreSubject, start, useScene } from './scene.ts'

export function describeVault(subject: StoreSubject): void {
  describe('vault', () => {
    const scene = useScene(subject)
    const vault = () => scene().store.vault

    const sealed = (name: string, values: Partial<SealedEntry> = {}): SealedEntry => {
      const keyId = values.keyId ?? 'key-1'
      return { tenant: 'acme', name, keyId, envelope: `1.${keyId}.${name}`, ...values }
    }
    const put = (name: string, values: Partial<SealedEntry> = {}, at = start) => vault().put(sealed(name, values), at)
    const renewed = ({ tenant, name, envelope }: SealedEntry, values: Partial<Resealed> = {}): Resealed => ({
      tenant,
      name,
      keyId: 'key-2',
      envelope: `1.key-2.${name}`,
      before: envelope,
      ...values,
    })
    const first = { tenant: '', name: '' }
    const namesOf = (entries: readonly { readonly name: string }[]) => entries.map(({ name }) => name)

    describe('put, get and remove', () => {
      it('keep an envelope as it is, for its tenant and name alone', async () => {
        const name = `Ä name, "quoted" 👍 ${'x'.repeat(200)}`
        const entry = sealed(name, { envelope: `1.key-1.${'A_-'.repeat(30_000)}` })
        const stored = { name, keyId: 'key-1', createdAt: start, updatedAt: start }
        expect(await vault().put(entry, start)).toEqual(stored)
        expect(await vault().get('acme', name)).toEqual(entry)
        expect(await vault().get('other', name)).toBeNull()
        expect(await vault().get('ACME', name)).toBeNull()
        expect(await vault().get('acme', name.toLowerCase())).toBeNull()
        expect(await vault().remove('other', name)).toBe(false)
        expect(await vault().get('acme', name)).toEqual(entry)
        expect(await vault().remove('acme', name)).toBe(true)
        expect(await vault().remove('acme', name)).toBe(false)
        expect(await vault().get('acme', name)).toBeNull()
      })

      it('replace what was there and remember when it was first made', async () => {
        await put('token')
        await put('token', { tenant: 'other' })
        const later = { keyId: 'key-2', envelope: 'another' }
        const stored = { name: 'token', keyId: 'key-2', createdAt: start, updatedAt: start + 9 }
        expect(await put('token', later, start + 9)).toEqual(stored)
        expect(await vault().get('acme', 'token')).toEqual(sealed('token', later))
        expect(await vault().get('other', 'token')).toEqual(sealed('token', { tenant: 'other' }))
      })

      it('of writers that race leave one whole envelope', async () => {
        const writers = Array.from({ length: 20 }, (_, index) => ({ keyId: `key-${index}`, envelope: `e-${index}` }))
        await Promise.all(writers.map((values) => put('token', values)))
        const entry = await vault().get('acme', 'token')
        expect(writers.map((values) => sealed('token', values))).toContainEqual(entry)
        expect(await vault().list('acme', '', 10)).toHaveLength(1)
      })
    })

    describe('list', () => {
      it('gives a tenant its names in byte order, in windows, and no envelope', async () => {
        for (const name of ['b', 'a', 'é', 'B', 'ab']) await put(name)
        await put('c', { tenant: 'other' })
        const listed = await vault().list('acme', '', 100)
        expect(namesOf(listed)).toEqual(['B', 'a', 'ab', 'b', 'é'])
        expect(listed[0]).toEqual({ name: 'B', keyId: 'key-1', createdAt: start, updatedAt: start })
        expect(namesOf(await vault().list('acme', 'a', 2))).toEqual(['ab', 'b'])
        expect(await vault().list('acme', 'é', 2)).toEqual([])
        expect(await vault().list('acme', '', 0)).toEqual([])
        expect(namesOf(await vault().list('other', '', 100))).toEqual(['c'])
      })
    })

    describe('keyIds and under', () => {
      it('tell which keys are used and which entries are under other ones, over all tenants', async () => {
        expect(await vault().keyIds(10)).toEqual([])
        await put('b', { keyId: 'old' })
        await put('a', { keyId: 'old', tenant: 'zeta' })
        await put('a', { keyId: 'older' })
        await put('c', { keyId: 'new' })
        expect(await vault().keyIds(10)).toEqual(['new', 'old', 'older'])
        expect(await vault().keyIds(2)).toEqual(['new', 'old'])
        const all = await vault().under('new', first, 10)
        expect(all).toEqual([
          sealed('a', { keyId: 'older' }),
          sealed('b', { keyId: 'old' }),
          sealed('a', { keyId: 'old', tenant: 'zeta' }),
        ])
        expect(await vault().under('new', { tenant: 'acme', name: 'a' }, 1)).toEqual(all.slice(1, 2))
        expect(await vault().under('new', { tenant: 'acme', name: 'b' }, 10)).toEqual(all.slice(2))
        expect(await vault().under('new', { tenant: 'zeta', name: 'a' }, 10)).toEqual([])
      })
    })

    describe('reseal', () => {
      it('replaces envelopes that are unchanged, and leaves times and everything else alone', async () => {
        await put('a')
        await put('b', {}, start + 1)
        await put('a', { tenant: 'other' })
        expect(await vault().reseal([])).toBe(0)
        expect(await vault().reseal([renewed(sealed('a')), renewed(sealed('b'))])).toBe(2)
        expect(await vault().list('acme', '', 10)).toEqual([
          { name: 'a', keyId: 'key-2', createdAt: start, updatedAt: start },
          { name: 'b', keyId: 'key-2', createdAt: start + 1, updatedAt: start + 1 },
        ])
        expect((await vault().get('acme', 'a'))?.envelope).toBe('1.key-2.a')
        expect(await vault().get('other', 'a')).toEqual(sealed('a', { tenant: 'other' }))
      })

      it('brings back no entry that was removed and overwrites none that was written since', async () => {
        const seen = [sealed('gone'), sealed('written'), sealed('same')]
        for (const { name } of seen) await put(name)
        await vault().remove('acme', 'gone')
        await put('written', { envelope: 'newer' })
        expect(await vault().reseal(seen.map((entry) => renewed(entry)))).toBe(1)
        expect(await vault().get('acme', 'gone')).toBeNull()
        expect((await vault().get('acme', 'written'))?.envelope).toBe('newer')
        expect((await vault().get('acme', 'same'))?.keyId).toBe('key-2')
      })

      it('never loses a write that races with it', async () => {
        const names = Array.from({ length: 40 }, (_, index) => `n${index}`)
        await Promise.all(names.map((name) => put(name)))
        const writes = names.filter((_, index) => index % 2 === 0)
        await Promise.all([
          vault().reseal(names.map((name) => renewed(sealed(name)))),
          ...writes.map((name) => put(name, { envelope: `written ${name}` })),
        ])
        for (const name of writes) expect((await vault().get('acme', name))?.envelope).toBe(`written ${name}`)
      })
    })
  })
}
