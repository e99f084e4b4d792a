import { randomBytes } from 'node:crypto'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../kernel/clock.ts'
import { seal, unseal } from './envelope.ts'
import type { VaultOptions } from './index.ts'
import { fetchKeys, keyOf } from './keys.ts'
import { createVault } from './service.ts'

const key = keyOf(randomBytes(32))
const other = keyOf(randomBytes(32))
const code = (error: string) => expect.objectContaining({ code: error })

async function openVault(
  options?: VaultOptions,
  beside: string | null | 'nowhere' = null,
  given = sqliteStore(':memory:'),
) {
  onTestFinished(() => given.close())
  await given.open()
  const service = createVault({
    store: given.vault,
    clock: systemClock,
    options,
    besideDatabase: () => (beside === 'nowhere' ? undefined : beside),
  })
  const context = { principal: { tenant: 'acme', subject: 'a', roles: ['operator'], via: 'code', ambient: false } }
  return { ...service, store: given.vault, rotate: () => service.operations.rotate(context, undefined) }
}

describe('an envelope', () => {
  it('opens under its key, tenant and name, whatever the text', () => {
    for (const value of ['', 'token', 'Grüße 👍\0\n', 'x'.repeat(65_536)]) {
      expect(unseal(key, seal(key, 'acme', 'name', value))).toBe(value)
    }
  })

  it('is another each time, and does not hold its text', () => {
    const envelopes = Array.from({ length: 200 }, () => seal(key, 'acme', 'name', 'correct horse').envelope)
    expect(new Set(envelopes).size).toBe(200)
    const nonces = envelopes.map((envelope) => envelope.split('.')[2]?.slice(0, 16))
    expect(new Set(nonces).size).toBe(200)
    expect(envelopes.join()).not.toContain('horse')
  })

  it('opens for nobody else: another key, tenant, name, format, or a changed byte', () => {
    const entry = seal(key, 'acme', 'name', 'secret')
    expect(unseal(other, entry)).toBeNull()
    expect(unseal({ ...other, id: key.id }, entry)).toBeNull()
    expect(unseal(key, { ...entry, tenant: 'evil' })).toBeNull()
    expect(unseal(key, { ...entry, name: 'other' })).toBeNull()
    // Parts that could be shifted from one field to the next.
    expect(unseal(key, { ...entry, tenant: 'acm', name: 'ename' })).toBeNull()
    expect(unseal(key, { ...entry, envelope: `2${entry.envelope.slice(1)}` })).toBeNull()
    const [format = '', id = '', body = ''] = entry.envelope.split('.')
    const bytes = Buffer.from(body, 'base64url')
    for (let index = 0; index < bytes.length; index += 1) {
      const changed = Buffer.from(bytes)
      changed[index] = (changed[index] ?? 0) ^ 1
      expect(unseal(key, { ...entry, envelope: [format, id, changed.toString('base64url')].join('.') })).toBeNull()
    }
    for (const envelope of ['', '.', '1', `1.${key.id}`, `1.${key.id}.`, `1.${key.id}.AAAA`, 'nonsense']) {
      expect(unseal(key, { ...entry, envelope })).toBeNull()
    }
  })
})

describe('a key', () => {
  it('may be bytes, hexadecimal, base64 or base64url, and is known by the same name then', () => {
    const bytes = randomBytes(32)
    const forms = [
      bytes,
      new Uint8Array(bytes),
      ...(['hex', 'base64', 'base64url'] as const).map((as) => bytes.toString(as)),
    ]
    expect(new Set([...forms, `${bytes.toString('base64')}\n`].map((form) => keyOf(form).id)).size).toBe(1)
    expect(keyOf(bytes).id).toMatch(/^[0-9a-f]{16}$/)
    expect(bytes.toString('hex')).not.toContain(keyOf(bytes).id)
  })

  it('is refused with any other length or form, without being told', () => {
    const wrong = [
      '',
      'password',
      'f'.repeat(63),
      'g'.repeat(64),
      randomBytes(16),
      randomBytes(31).toString('base64'),
      7,
      null,
    ]
    for (const material of wrong) {
      try {
        keyOf(material as string)
        expect.unreachable()
      } catch (error) {
        expect(error).toMatchObject({ code: 'VAULT_KEY_INVALID' })
        if (typeof material === 'string' && material !== '') expect(String(error)).not.toContain(material)
      }
    }
  })

  it('may be fetched, and a failure to do so is no wrong key', async () => {
    const bytes = randomBytes(32)
    expect((await fetchKeys([async () => bytes.toString('hex'), () => bytes])).map(({ id }) => id)).toEqual([
      keyOf(bytes).id,
      keyOf(bytes).id,
    ])
    const failing = fetchKeys([() => Promise.reject(new Error('down'))])
    await expect(failing).rejects.toThrow(code('VAULT_KEY_MISSING'))
  })

  it('that could not be fetched is fetched again at the next use', async () => {
    let calls = 0
    const fetch = () => {
      calls += 1
      if (calls === 1) throw new Error('down')
      return randomBytes(32)
    }
    const { vault } = await openVault({ key: fetch })
    await expect(vault.put('acme', 'a', 'x')).rejects.toThrow(code('VAULT_KEY_MISSING'))
    await vault.put('acme', 'a', 'x')
    await vault.put('acme', 'b', 'y')
    expect(await vault.get('acme', 'a')).toBe('x')
    expect(calls).toBe(2)
  })
})

describe('the vault', () => {
  it('gives back what was put, to the tenant it belongs to', async () => {
    const { vault } = await openVault()
    await vault.put('acme', 'token', 'one')
    await vault.put('other', 'token', 'two')
    await vault.put('acme', 'token', 'three')
    expect(await vault.get('acme', 'token')).toBe('three')
    expect(await vault.get('other', 'token')).toBe('two')
    expect(await vault.get('acme', 'missing')).toBeNull()
    expect((await vault.list('acme')).map(({ name }) => name)).toEqual(['token'])
    expect(await vault.remove('acme', 'token')).toBe(true)
    expect(await vault.get('acme', 'token')).toBeNull()
    expect(await vault.get('other', 'token')).toBe('two')
  })

  it('refuses names and values it could not give back', async () => {
    const { vault } = await openVault()
    for (const name of ['', 'a\0b', 'a\nb', 'x'.repeat(257), '\ud800', 7 as unknown as string]) {
      await expect(vault.put('acme', name, 'v')).rejects.toThrow(code('VAULT_NAME_INVALID'))
      expect(await vault.get('acme', name)).toBeNull()
      expect(await vault.remove('acme', name)).toBe(false)
    }
    for (const value of ['x'.repeat(65_537), 'half \ud83d', 7 as unknown as string, null as unknown as string]) {
      await expect(vault.put('acme', 'name', value)).rejects.toThrow(code('VAULT_VALUE_INVALID'))
    }
    expect(await vault.list('acme')).toEqual([])
  })

  it('without any key says how to give one, and still lists and removes', async () => {
    const store = sqliteStore(':memory:')
    const keyed = await openVault({ key: randomBytes(32) }, null, store)
    await keyed.vault.put('acme', 'token', 'one')
    const { rotate, vault } = await openVault(undefined, 'nowhere', store)
    await expect(vault.put('acme', 'a', 'b')).rejects.toThrow(code('VAULT_UNCONFIGURED'))
    await expect(vault.get('acme', 'a')).rejects.toThrow(code('VAULT_UNCONFIGURED'))
    await expect(vault.get('acme', 'token')).rejects.toThrow(code('VAULT_UNCONFIGURED'))
    await expect(rotate()).rejects.toThrow(code('VAULT_UNCONFIGURED'))
    expect(await vault.list('acme')).toHaveLength(1)
    expect(await vault.remove('acme', 'token')).toBe(true)
  })

  it('refuses options that say two things', () => {
    const store = sqliteStore(':memory:').vault
    const made = (options: VaultOptions) =>
      createVault({ store, clock: systemClock, options, besideDatabase: () => null })
    expect(() => made({ key: randomBytes(32), keyFile: 'file' })).toThrow(code('VAULT_KEY_INVALID'))
    expect(() => made({ keys: [] })).toThrow(code('VAULT_KEY_INVALID'))
    expect(() => made({ keyFile: '' })).toThrow(code('VAULT_KEY_INVALID'))
  })

  it('with a wrong key changes nothing, says which key is needed, and the right one opens all', async () => {
    const store = sqliteStore(':memory:')
    const right = randomBytes(32)
    const first = await openVault({ key: right }, null, store)
    await first.vault.put('acme', 'token', 'one')
    const before = await first.store.get('acme', 'token')
    const wrong = await openVault({ key: randomBytes(32) }, null, store)
    const refusal = expect.objectContaining({
      code: 'VAULT_KEY_WRONG',
      details: { needed: [keyOf(right).id], given: [expect.any(String)] },
    })
    await expect(wrong.vault.get('acme', 'token')).rejects.toThrow(refusal)
    await expect(wrong.vault.put('acme', 'token', 'two')).rejects.toThrow(refusal)
    await expect(wrong.vault.put('other', 'new', 'two')).rejects.toThrow(refusal)
    await expect(wrong.rotate()).rejects.toThrow(refusal)
    expect(await wrong.store.get('acme', 'token')).toEqual(before)
    expect(await (await openVault({ key: right }, null, store)).vault.get('acme', 'token')).toBe('one')
  })

  it('tells an entry that was moved or damaged from one under another key', async () => {
    const { store, vault } = await openVault()
    await vault.put('acme', 'token', 'one')
    const entry = await store.get('acme', 'token')
    if (!entry) throw new Error('nothing was put')
    await store.put({ ...entry, tenant: 'evil' }, 1)
    await expect(vault.get('evil', 'token')).rejects.toThrow(code('VAULT_ENTRY_DAMAGED'))
    expect(await vault.get('acme', 'token')).toBe('one')
  })
})

describe('rotation', () => {
  it('puts every entry of every tenant under the first key; the older one is not needed any more', async () => {
    const store = sqliteStore(':memory:')
    const [old, fresh] = [randomBytes(32), randomBytes(32)]
    const before = await openVault({ key: old }, null, store)
    const names = Array.from({ length: 130 }, (_, index) => `n${index}`)
    for (const name of names) await before.vault.put(`tenant ${name.length}`, name, `value of ${name}`)
    const during = await openVault({ keys: [fresh, old] }, null, store)
    await during.vault.put('acme', 'new', 'already under the new key')
    expect(await during.rotate()).toEqual({ rotated: 130, unreadable: 0 })
    expect(await during.rotate()).toEqual({ rotated: 0, unreadable: 0 })
    const after = await openVault({ key: fresh }, null, store)
    for (const name of names) expect(await after.vault.get(`tenant ${name.length}`, name)).toBe(`value of ${name}`)
    expect(await after.store.keyIds(10)).toEqual([keyOf(fresh).id])
  })

  it('leaves what it cannot read as it is, and comes to its end all the same', async () => {
    const store = sqliteStore(':memory:')
    const [lost, old, fresh] = [randomBytes(32), randomBytes(32), randomBytes(32)]
    await (await openVault({ key: lost }, null, store)).vault.put('acme', 'a', 'lost')
    const before = await openVault({ keys: [old, lost] }, null, store)
    for (let index = 0; index < 60; index += 1) await before.vault.put('acme', `b${index}`, 'kept')
    const untouched = await before.store.get('acme', 'a')
    const { rotate, vault } = await openVault({ keys: [fresh, old] }, null, store)
    expect(await rotate()).toEqual({ rotated: 60, unreadable: 1 })
    expect(await store.vault.get('acme', 'a')).toEqual(untouched)
    await expect(vault.get('acme', 'a')).rejects.toThrow(code('VAULT_KEY_WRONG'))
  })

  it('never takes the place of what is put or removed while it runs', async () => {
    const store = sqliteStore(':memory:')
    const [old, fresh] = [randomBytes(32), randomBytes(32)]
    const before = await openVault({ key: old }, null, store)
    const names = Array.from({ length: 200 }, (_, index) => `n${String(index).padStart(3, '0')}`)
    for (const name of names) await before.vault.put('acme', name, 'old')
    const { rotate, vault } = await openVault({ keys: [fresh, old] }, null, store)
    const [writes, removes] = [names.filter((_, index) => index % 3 === 0), names.filter((_, index) => index % 3 === 1)]
    // Writers that still have the old key first, as other instances may, and such that have the new one.
    await Promise.all([
      rotate(),
      ...writes.map((name, index) => (index % 2 ? vault : before.vault).put('acme', name, `new ${name}`)),
      ...removes.map((name) => vault.remove('acme', name)),
      rotate(),
    ])
    await rotate()
    for (const name of writes) expect(await vault.get('acme', name)).toBe(`new ${name}`)
    for (const name of removes) expect(await vault.get('acme', name)).toBeNull()
    expect(await store.vault.keyIds(10)).toEqual([keyOf(fresh).id])
  })

  it('stops between two batches when its caller gives up', async () => {
    const { operations } = await openVault({ key: randomBytes(32) })
    const principal = { tenant: 'acme', subject: 'a', roles: ['operator'], via: 'code', ambient: false }
    await expect(
      operations.rotate({ principal, signal: AbortSignal.abort(new Error('gone')) }, undefined),
    ).rejects.toThrow('gone')
  })
})
