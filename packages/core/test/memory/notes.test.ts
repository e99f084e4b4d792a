import type { CreateNote } from '@keelson/core'
import { createTestRuntime, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'

const now = Date.UTC(2026, 10, 22, 14, 30)
const clock = { now: () => now, after: () => () => {} }
const runtimeAt = (at = clock) =>
  createTestRuntime({ agents: [{ id: 'a', instructions: '', models: ['x/y'] }], model: scriptedModel([]), clock: at })

const everything = { limit: 100, offset: 0 }

describe('a note', () => {
  test('is created with its defaults and read by path or id', async () => {
    await using runtime = await runtimeAt()
    const note = await runtime.client.notes.create({ content: '# Alpha note\n\nText.' })
    expect(note).toEqual({
      id: note.id,
      tenant: 'default',
      subject: 'owner',
      path: 'notes/alpha-note',
      title: 'Alpha note',
      content: '# Alpha note\n\nText.',
      type: 'note',
      status: 'active',
      tags: [],
      priority: 0,
      due: null,
      parentPath: 'notes',
      reminder: false,
      createdAt: now,
      updatedAt: null,
    })
    expect(await runtime.client.notes.get({ path: 'notes/alpha-note' })).toEqual(note)
    expect(await runtime.client.notes.get({ id: note.id })).toEqual(note)
  })

  test.each<[CreateNote, string]>([
    [{ title: 'Größe & Maß: Übung' }, 'notes/groesse-mass-uebung'],
    [{ title: 'Café à Łódź' }, 'notes/cafe-a-lodz'],
    [{ title: 'U\u0308bung' }, 'notes/uebung'],
    [{ title: '東京' }, 'notes/untitled'],
    [{ title: '../../etc/passwd' }, 'notes/etc-passwd'],
    [{ title: 'x'.repeat(200) }, `notes/${'x'.repeat(80)}`],
    [{ title: 'a', type: 'task' }, 'tasks/a'],
    [{ title: 'a', type: 'decision' }, 'decisions/a'],
    [{ title: 'a', type: 'reference' }, 'references/a'],
    [{ title: 'a', type: 'fact' }, 'facts/a'],
    [{ title: 'a', type: 'journal' }, 'journal/a'],
    [{ title: 'a', type: 'topic' }, 'topics/a'],
    [{ title: 'a', type: 'recipe' }, 'notes/a'],
  ])('%j is kept under %s', async (input, path) => {
    await using runtime = await runtimeAt()
    expect((await runtime.client.notes.create(input)).path).toBe(path)
  })

  test('is updated in the fields given and archived, and keeps its path', async () => {
    await using runtime = await runtimeAt()
    const { notes } = runtime.client
    const note = await notes.create({ title: 'Alpha', content: 'one', tags: ['x'] })
    const edited = await notes.update({ path: note.path, title: ' Beta  two ', tags: ['y', 'y'], due: '2026-12-01' })
    expect(edited).toEqual({ ...note, title: 'Beta two', tags: ['y'], due: '2026-12-01', updatedAt: now })
    expect(await notes.archive({ id: note.id })).toMatchObject({ status: 'archived', title: 'Beta two' })
    expect(await notes.list({ ...everything, status: 'active' })).toEqual([])
    expect(await notes.search({ query: 'beta' })).toHaveLength(1)
  })

  test('of another subject is found by an operator, whose own come first, and by nobody else', async () => {
    await using runtime = await runtimeAt()
    const [bob, eve] = [runtime.caller('bob'), runtime.caller('eve')]
    const note = await bob.notes.create({ title: 'Alpha' })
    expect(await runtime.client.notes.get({ path: note.path })).toEqual(note)
    const own = await runtime.client.notes.create({ title: 'Alpha' })
    expect(await runtime.client.notes.get({ path: note.path })).toEqual(own)
    for (const call of [
      eve.notes.get({ path: note.path }),
      eve.notes.get({ id: note.id }),
      eve.notes.update({ id: note.id, title: 'Mine' }),
      eve.notes.archive({ path: note.path }),
    ]) {
      await expect(call).rejects.toMatchObject({ code: 'NOTE_NOT_FOUND' })
    }
    expect(await eve.notes.search({ query: 'alpha' })).toEqual([])
    await expect(eve.notes.create({ id: note.id, title: 'x' })).rejects.toMatchObject({ code: 'NOTE_INVALID' })
  })

  test('is refused with what is wrong, and nothing is stored', async () => {
    await using runtime = await runtimeAt()
    const { notes } = runtime.client
    const wrong: readonly [Record<string, unknown>, string, RegExp][] = [
      [{}, 'NOTE_INVALID', /title/],
      [{ title: '  ' }, 'NOTE_INVALID', /title/],
      [{ title: 'x'.repeat(201) }, 'NOTE_INVALID', /title/],
      [{ title: 7 }, 'NOTE_INVALID', /title/],
      [{ title: 'a\0b' }, 'NOTE_INVALID', /NUL/],
      [{ title: 'a', content: 7 }, 'NOTE_INVALID', /content/],
      [{ content: {} }, 'NOTE_INVALID', /content|title/],
      [{ title: 'a', content: 'x'.repeat(262_145) }, 'NOTE_TOO_LARGE', /too large/],
      [{ title: 'a', type: 'No Type' }, 'NOTE_INVALID', /type/],
      [{ title: 'a', status: '' }, 'NOTE_INVALID', /status/],
      [{ title: 'a', tags: 'x' }, 'NOTE_INVALID', /tags/],
      [{ title: 'a', tags: [7] }, 'NOTE_INVALID', /tag/],
      [{ title: 'a', tags: Array.from({ length: 33 }, (_, index) => String(index)) }, 'NOTE_INVALID', /tags/],
      [{ title: 'a', priority: 4 }, 'NOTE_INVALID', /priority/],
      [{ title: 'a', priority: 1.5 }, 'NOTE_INVALID', /priority/],
      [{ title: 'a', due: 'soon' }, 'NOTE_INVALID', /due/],
      [{ title: 'a', due: '2026-02-30' }, 'NOTE_INVALID', /due/],
      [{ title: 'a', due: '2026-02-03T25:00' }, 'NOTE_INVALID', /due/],
      [{ title: 'a', reminder: 1 }, 'NOTE_INVALID', /reminder/],
      [{ title: 'a', parentPath: 'a//b' }, 'NOTE_PATH_INVALID', /path/],
      [{ title: 'a', parse: true, timeZone: 'Nowhere/Land' }, 'NOTE_INVALID', /timeZone/],
      [{ title: 'a', id: '' }, 'NOTE_INVALID', /id/],
    ]
    for (const [input, code, message] of wrong) {
      const call = notes.create(input as CreateNote)
      await expect(call, JSON.stringify(input).slice(0, 80)).rejects.toMatchObject({ code })
      await expect(call).rejects.toThrow(message)
    }
    expect(await notes.list(everything)).toEqual([])
  })

  test.each([
    '../x',
    'notes/../x',
    'notes/..',
    '/notes/x',
    'notes//x',
    'notes%2fx',
    'a\0b',
    'a\\b',
    '',
    'x'.repeat(513),
  ])('has no path like %j', async (path) => {
    await using runtime = await runtimeAt()
    const refused = { code: 'NOTE_PATH_INVALID', kind: 'bad_request' }
    await expect(runtime.client.notes.get({ path })).rejects.toMatchObject(refused)
    await expect(runtime.client.notes.update({ path, title: 'x' })).rejects.toMatchObject(refused)
  })

  test.each([
    '2026-11-23',
    '2026-11-23T09:00',
    '2026-11-23 09:00:00',
    '2026-11-23T09:00:00.123456+0100',
    '2026-11-23T09:00Z',
  ])('may be due %s', async (due) => {
    await using runtime = await runtimeAt()
    expect((await runtime.client.notes.create({ title: 'a', due })).due).toBe(due)
  })
})

describe('search', () => {
  test('looks for a part of title, path or tags only when no word is found', async () => {
    await using runtime = await runtimeAt()
    const { notes } = runtime.client
    await notes.create({ title: 'Alpha', content: 'the body', tags: ['100%'] })
    await notes.create({ title: 'Lphabet' })
    const found = async (query: string) => (await notes.search({ query })).map(({ title }) => title)
    expect(await found('lpha')).toEqual(['Lphabet'])
    expect(await found('pha')).toHaveLength(2)
    expect(await found('ALPH  bo')).toEqual(['Alpha'])
    expect(await found('ody')).toEqual([])
    expect(await found('%')).toEqual(['Alpha'])
    expect(await found('_')).toEqual([])
    expect(await found('  ')).toEqual([])
    expect(await found('"alpha')).toEqual(['Alpha'])
  })

  test('keeps to type, status, limit and offset', async () => {
    await using runtime = await runtimeAt()
    const { notes } = runtime.client
    for (let count = 0; count < 60; count += 1)
      await notes.create({ title: 'Alpha', type: count % 2 ? 'task' : 'note' })
    expect(await notes.search({ query: 'alpha' })).toHaveLength(50)
    expect(await notes.search({ query: 'alpha', limit: 5, offset: 58 })).toHaveLength(2)
    expect(await notes.search({ query: 'alpha', type: 'task', limit: 100 })).toHaveLength(30)
    expect(await notes.search({ query: 'lph', type: 'task', limit: 100 })).toHaveLength(30)
  })

  test('refuses what is no text, or too long', async () => {
    await using runtime = await runtimeAt()
    for (const query of [7, null, 'x'.repeat(1_025)]) {
      const call = runtime.client.notes.search({ query: query as string })
      await expect(call).rejects.toMatchObject({ code: 'NOTE_QUERY_INVALID' })
    }
  })
})

describe('a note that is parsed', () => {
  // A Sunday, 14:30 UTC.
  test.each<[string, object]>([
    ['Buy milk #Shopping #to-do, #shopping', { type: 'note', tags: ['shopping', 'to-do'], due: null, reminder: false }],
    ['issue #12 and a#b', { tags: [] }],
    ['TODO: call Ann', { type: 'task', status: 'open', title: 'call Ann', parentPath: 'notes' }],
    ['- [ ] call Ann', { type: 'task', title: 'call Ann' }],
    ['todos are many', { type: 'note' }],
    ['call Ann tomorrow', { type: 'task', due: '2026-11-23', reminder: false, parentPath: 'tasks' }],
    ['call Ann tomorrow at 9', { due: '2026-11-23T09:00:00Z', reminder: true }],
    ['tomorrow 5pm call', { due: '2026-11-23T17:00:00Z' }],
    ['tomorrow at 12am', { due: '2026-11-23T00:00:00Z' }],
    ['tomorrow 5 people come', { due: '2026-11-23', reminder: false }],
    ['Anna anrufen morgen um 9:30 Uhr', { due: '2026-11-23T09:30:00Z' }],
    ['Guten Morgen', { type: 'note', due: null }],
    ['übermorgen um 8', { due: '2026-11-24T08:00:00Z' }],
    ['day after tomorrow', { due: '2026-11-24' }],
    ['I wrote this today', { due: null }],
    ['today at 18:00', { due: '2026-11-22T18:00:00Z' }],
    ['in 20 minutes tea', { due: '2026-11-22T14:50:00Z', reminder: true, type: 'task' }],
    ['in 2 Stunden anrufen', { due: '2026-11-22T16:30:00Z', reminder: true }],
    ['in einer Stunde', { due: '2026-11-22T15:30:00Z' }],
    ['in 3 days', { due: '2026-11-25', reminder: false }],
    ['in 2 Wochen', { due: '2026-12-06' }],
    ['am 24.12. feiern', { due: '2026-12-24' }],
    ['am 1.3. um 10 Uhr', { due: '2027-03-01T10:00:00Z' }],
    ['am 24.12.2027', { due: '2027-12-24' }],
    ['am 3. März 2027 um 7', { due: '2027-03-03T07:00:00Z' }],
    ['version 1.2.3 is out', { due: null }],
    ['31.02. never', { due: null }],
    ['due 2026-12-01', { due: '2026-12-01' }],
    ['due 2026-12-01 16:00', { due: '2026-12-01T16:00:00Z', reminder: true }],
    ['remind me to call', { type: 'task', reminder: true, due: null, parentPath: 'tasks' }],
    ['Erinnere mich morgen um 9', { reminder: true, due: '2026-11-23T09:00:00Z' }],
  ])('%s', async (content, expected) => {
    await using runtime = await runtimeAt()
    expect(await runtime.client.notes.create({ content, parse: true })).toMatchObject(expected)
  })

  test('means hours in the zone of its author, also across a change of time', async () => {
    await using runtime = await runtimeAt({ ...clock, now: () => Date.UTC(2027, 2, 27, 23, 30) })
    const dueIn = async (timeZone: string, content: string) =>
      (await runtime.client.notes.create({ content, parse: true, timeZone })).due
    expect(await dueIn('Europe/Berlin', 'tomorrow at 9')).toBe('2027-03-29T09:00:00+02:00')
    expect(await dueIn('Europe/Berlin', 'today at 1')).toBe('2027-03-28T01:00:00+01:00')
    expect(await dueIn('America/New_York', 'tomorrow at 9')).toBe('2027-03-28T09:00:00-04:00')
    expect(await dueIn('Asia/Kolkata', 'in 90 minutes')).toBe('2027-03-28T06:30:00+05:30')
    expect(await dueIn('UTC', 'tomorrow at 9')).toBe('2027-03-28T09:00:00Z')
  })

  test('has what is given besides, and is left alone unless asked', async () => {
    await using runtime = await runtimeAt()
    const { notes } = runtime.client
    const content = 'TODO tomorrow #home'
    const given = { type: 'fact', status: 'done', tags: ['mine'], due: null, reminder: false, title: 'Mine' } as const
    expect(await notes.create({ content, parse: true, ...given })).toMatchObject(given)
    expect(await notes.create({ content })).toMatchObject({ type: 'note', status: 'active', tags: [], due: null })
  })

  test('takes no longer for a text made to be slow', async () => {
    await using runtime = await runtimeAt()
    for (const piece of ['in ', '1.', '#a', 'tomorrow at ', ' ', '2026-', '- ']) {
      const content = `x${piece.repeat(60_000 / piece.length)}`
      await runtime.client.notes.create({ title: 'x', content, parse: true })
    }
  }, 5_000)
})
