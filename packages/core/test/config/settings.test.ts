import { defineSettings, readSetting, settingMask } from '@keelson/core'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { databaseFile } from '../durability/scene.ts'
import { desk, storeWithoutKey } from './scene.ts'

const settings = defineSettings({
  'greeting.text': { schema: z.string().min(1), default: 'Hello', description: 'What is said first' },
  retries: { schema: z.number().int().min(0).max(9), default: 3 },
  port: { schema: z.number().int(), default: 8080, applies: 'restart' },
  since: { schema: z.string().transform((text) => text.length), default: 'four' },
  apiToken: { schema: z.string().min(8), default: '', secret: true },
})

const office = (options: Parameters<typeof desk>[0] = {}) => desk({ settings, ...options })

describe('a setting', () => {
  test('has its default until it is set, and again when it is unset', async () => {
    const { client } = await office()
    expect(await client.settings.get({ key: 'retries' })).toEqual({
      key: 'retries',
      description: '',
      secret: false,
      applies: 'live',
      set: false,
      value: 3,
    })
    expect(await client.settings.set({ values: { retries: 5 } })).toMatchObject([
      { key: 'retries', set: true, value: 5 },
    ])
    await client.settings.set({ values: { retries: null } })
    expect(await client.settings.get({ key: 'retries' })).toMatchObject({ set: false, value: 3 })
    expect((await client.settings.list()).map(({ key }) => key)).toEqual(Object.keys(settings))
  })

  test('is read by code as its schema makes it, with its type', async () => {
    const { client } = await office()
    const since = await readSetting(client, settings, 'since')
    expectTypeOf(since).toEqualTypeOf<number>()
    expect(since).toBe(4)
    await client.settings.set({ values: { since: 'seven77' } })
    expect(await readSetting(client, settings, 'since')).toBe(7)
  })

  test('is part of a generation: set together with others, compared and rolled back', async () => {
    const { client } = await office()
    await client.settings.set({ values: { retries: 5, 'greeting.text': 'Hi' } })
    await client.settings.set({ values: { retries: 6 }, description: 'more' })
    const { generations } = await client.config.list({ limit: 5 })
    expect(generations).toMatchObject([{ number: 2, trigger: 'settings', description: 'more' }, { number: 1 }])
    expect(await client.config.diff({ from: 1, to: 2 })).toMatchObject([{ section: 'settings', id: 'retries' }])
    await client.config.rollback({ generation: 1 })
    expect(await client.settings.get({ key: 'retries' })).toMatchObject({ value: 5 })
  })

  test('that is wrong is refused with a text for each key, and no other is set', async () => {
    const { client } = await office()
    const values = { retries: 40, 'greeting.text': '', colour: 'red', port: 80 }
    const error = await client.settings.set({ values }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'SETTINGS_INVALID' })
    const { problems } = (error as { details: { problems: Record<string, string> } }).details
    expect(Object.keys(problems).sort()).toEqual(['colour', 'greeting.text', 'retries'])
    expect(await client.settings.get({ key: 'port' })).toMatchObject({ set: false })
    const patch = { settings: { retries: { value: 40 } } }
    await expect(client.config.change({ patch })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(client.settings.get({ key: 'colour' })).rejects.toMatchObject({ code: 'SETTING_UNKNOWN' })
  })

  test('of a start waits for the next one', async () => {
    const file = databaseFile()
    const { client, runtime } = await office({ store: sqliteStore(file) })
    await client.settings.set({ values: { port: 9090 } })
    expect(await client.settings.get({ key: 'port' })).toMatchObject({ value: 8080, pending: 9090, set: true })
    expect(await client.settings.pending()).toEqual(['port'])
    expect(await readSetting(client, settings, 'port')).toBe(8080)
    await runtime.stop()
    const again = await office({ store: sqliteStore(file) })
    expect(await again.client.settings.get({ key: 'port' })).toMatchObject({ value: 9090, set: true })
    expect(await again.client.settings.pending()).toEqual([])
    await again.client.settings.set({ values: { port: null } })
    expect(await again.client.settings.get({ key: 'port' })).toMatchObject({ value: 9090, pending: 8080, set: false })
  })

  test('is for operators', async () => {
    const { runtime } = await office()
    const guest = runtime.caller('guest')
    await expect(guest.settings.list()).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(guest.settings.reveal({ key: 'apiToken' })).rejects.toMatchObject({ code: 'FORBIDDEN' })
  })
})

describe('a secret', () => {
  const secret = 'hunter2-hunter2'

  test('is in the vault and nowhere else, and is shown masked', async () => {
    const file = databaseFile()
    const { client } = await office({ store: sqliteStore(file) })
    const shown = await client.settings.set({ values: { apiToken: secret, retries: 4 } })
    expect(shown).toMatchObject([
      { key: 'apiToken', secret: true, set: true, value: settingMask },
      { key: 'retries', value: 4 },
    ])
    expect(JSON.stringify([shown, await client.settings.list(), await client.config.active()])).not.toContain(secret)
    const { readFileSync } = await import('node:fs')
    for (const suffix of ['', '-wal']) expect(readFileSync(`${file}${suffix}`).includes(secret)).toBe(false)
    expect(await readSetting(client, settings, 'apiToken')).toBe(secret)
    expect((await client.vault.list({})).map(({ name }) => name)).toEqual(['setting:apiToken'])
  })

  test('stays as it is when its mask is given back, and goes when it is unset', async () => {
    const { client } = await office()
    await client.settings.set({ values: { apiToken: secret } })
    await client.settings.set({ values: { apiToken: settingMask } })
    expect(await client.settings.reveal({ key: 'apiToken' })).toBe(secret)
    await client.settings.set({ values: { apiToken: null } })
    expect(await client.settings.get({ key: 'apiToken' })).toMatchObject({ set: false, value: null })
  })

  test('is not in the text of what is wrong with it, and not taken into a generation', async () => {
    const { client } = await office()
    const error = await client.settings.set({ values: { apiToken: 'short', retries: 5 } }).catch((thrown) => thrown)
    expect(JSON.stringify([error, String(error)])).not.toContain('short"')
    expect(await client.settings.get({ key: 'retries' })).toMatchObject({ set: false })
    const patch = { settings: { apiToken: { value: secret } } }
    await expect(client.config.change({ patch })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  test('is what it was when the rest of a change is refused', async () => {
    const { client } = await office()
    await client.settings.set({ values: { apiToken: secret } })
    const values = { apiToken: `${secret}-2`, retries: 5 }
    await expect(client.settings.set({ values, expected: 7 })).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' })
    expect(await client.settings.reveal({ key: 'apiToken' })).toBe(secret)
    expect(await client.settings.get({ key: 'retries' })).toMatchObject({ set: false })
  })

  test('of callers that set it together with others at one moment is the one that won', async () => {
    const { client } = await office()
    const set = (index: number) =>
      client.settings.set({ values: { apiToken: `${secret}-${index}`, retries: index }, expected: 0 })
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(set))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const each of outcomes) {
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'CONFIG_CONFLICT' })
    }
    const { value } = await client.settings.get({ key: 'retries' })
    expect(await client.settings.reveal({ key: 'apiToken' })).toBe(`${secret}-${value}`)
  })

  test('never stands beside what another caller set with its own', async () => {
    const { client } = await office()
    const set = (index: number) => client.settings.set({ values: { apiToken: `${secret}-${index}`, retries: index } })
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([1, 2, 3].map(set))
      const { value } = await client.settings.get({ key: 'retries' })
      expect(await client.settings.reveal({ key: 'apiToken' })).toBe(`${secret}-${value}`)
    }
  })

  test('alone heeds what its caller believes to be active', async () => {
    const { client } = await office()
    await client.settings.set({ values: { apiToken: secret, retries: 1 } })
    const late = client.settings.set({ values: { apiToken: `${secret}-2` }, expected: 0 })
    await expect(late).rejects.toMatchObject({ code: 'CONFIG_CONFLICT' })
    await client.settings.set({ values: { apiToken: `${secret}-3` }, expected: 1 })
    expect(await client.settings.reveal({ key: 'apiToken' })).toBe(`${secret}-3`)
    expect((await client.config.active()).number).toBe(1)
  })

  test('without a key for the vault is refused, and with it all that was to be set', async () => {
    const { client } = await desk({ settings, store: storeWithoutKey() })
    const values = { apiToken: secret, retries: 5 }
    await expect(client.settings.set({ values })).rejects.toMatchObject({ code: 'VAULT_UNCONFIGURED' })
    expect(await client.settings.get({ key: 'retries' })).toMatchObject({ set: false })
    expect(await client.settings.get({ key: 'apiToken' })).toMatchObject({ set: false, value: null })
  })
})

test('a definition that cannot work is refused when it is made', () => {
  const schema = z.string()
  expect(() => defineSettings({ 'with space': { schema, default: '' } })).toThrow(/letters, digits/)
  expect(() => defineSettings({ ok: { schema: {} as never, default: '' } })).toThrow(/Standard Schema/)
  expect(() => defineSettings({ ok: { schema, default: '', applies: 'soon' as never } })).toThrow(/live/)
})
