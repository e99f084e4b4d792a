import { say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { mycelosServer, rowTime, type TestServer } from './mycelos-server.ts'

const open = () => mycelosServer({ model: scriptedModel([], { otherwise: say('Hi.') }) })

const write = async (server: TestServer, body: object): Promise<string> => {
  const got = await server.ask('POST', '/api/knowledge/notes', { body })
  expect(got.status).toBe(200)
  return got.json.path
}

const pathsOf = (rows: readonly { readonly path: string }[]) => rows.map(({ path }) => path)
const search = async (server: TestServer, query: string) => {
  const got = await server.ask('POST', '/api/knowledge/search', { body: { query } })
  expect(got.status).toBe(200)
  const listed = await server.ask('GET', `/api/knowledge/notes?query=${encodeURIComponent(query)}`)
  if (query.trim() !== '') expect(listed.json).toEqual(got.json)
  return pathsOf(got.json)
}

describe('notes', () => {
  test('are written, listed, read and changed, field by field', async () => {
    await using server = await open()
    expect((await server.ask('GET', '/api/knowledge/notes')).json).toEqual([])
    const body = { title: 'Alpha note', content: 'On keels.', tags: ['ship'], type: 'note' }
    const made = await server.ask('POST', '/api/knowledge/notes', { body })
    expect(made.json).toEqual({
      path: 'notes/alpha-note',
      parent_path: 'notes',
      type: 'note',
      due: null,
      reminder: false,
      tags: ['ship'],
      organizer_state: 'pending',
    })
    const row = {
      path: 'notes/alpha-note',
      title: 'Alpha note',
      type: 'note',
      status: 'active',
      priority: 0,
      due: null,
      tags: '["ship"]',
      created_at: rowTime,
      updated_at: null,
    }
    expect((await server.ask('GET', '/api/knowledge/notes')).json).toEqual([
      { ...row, parent_path: 'notes', reminder: 0, organizer_state: 'pending' },
    ])
    const change = { content: 'On keels and hulls.', status: 'done', priority: 2, tags: [] }
    for (const path of ['notes/alpha-note', 'notes%2Falpha-note']) {
      const got = await server.ask('PUT', `/api/knowledge/notes/${path}`, { body: change })
      expect(got.json).toEqual({ status: 'updated', path: 'notes/alpha-note' })
      expect((await server.ask('GET', `/api/knowledge/notes/${path}`)).json).toEqual({
        ...row,
        ...change,
        updated_at: rowTime,
        parent_path: 'notes',
        reminder: false,
        organizer_state: 'pending',
      })
    }
    await server.ask('PUT', '/api/knowledge/notes/notes/alpha-note', { body: { archive: true } })
    expect((await server.ask('GET', '/api/knowledge/notes?status=archived')).json).toHaveLength(1)
  })

  test('are understood: tags, tasks and reminders in their text; what is given wins', async () => {
    await using server = await open()
    const path = await write(server, { title: 'TODO call the yard #ship' })
    expect(path).toMatch(/^tasks\//)
    expect((await server.ask('GET', '/api/knowledge/notes?type=task')).json).toMatchObject([{ path, tags: '["ship"]' }])
    expect(await write(server, { title: 'TODO paint #ship', type: 'fact', tags: [] })).toMatch(/^facts\//)
  })

  test('are listed with the last edited first, then those never edited, the newest first', async () => {
    await using server = await open()
    const [one, two, three, four] = [
      await write(server, { title: 'One' }),
      await write(server, { title: 'Two' }),
      await write(server, { title: 'Three' }),
      await write(server, { title: 'Four' }),
    ]
    const listed = async () => pathsOf((await server.ask('GET', '/api/knowledge/notes')).json)
    await server.ask('PUT', `/api/knowledge/notes/${two}`, { body: { content: 'x' } })
    expect((await listed())[0]).toBe(two)
    expect((await listed()).slice(1)).toEqual([four, three, one])
  })

  test('go to the folder of their type, under a number where the name is taken', async () => {
    await using server = await open()
    const made = []
    for (const type of ['note', 'task', 'decision', 'reference', 'fact', 'journal', 'topic']) {
      made.push(await write(server, { title: 'Größe & Maß', type }))
    }
    const slug = made[0]?.split('/')[1]
    expect(slug).toMatch(/^groesse-ma/)
    expect(made.map((path) => path.split('/')[0])).toEqual([
      'notes',
      'tasks',
      'decisions',
      'references',
      'facts',
      'journal',
      'topics',
    ])
    expect(await write(server, { title: 'Größe & Maß' })).toBe(`notes/${slug}-2`)
    expect(await write(server, { title: '???' })).toMatch(/^notes\/[a-z0-9-]+$/)
  })

  test('are filtered, and at most 50 unless more are asked for', async () => {
    await using server = await open()
    await Promise.all(Array.from({ length: 53 }, (_, index) => write(server, { title: `Note ${index}` })))
    const count = async (query: string) => (await server.ask('GET', `/api/knowledge/notes${query}`)).json.length
    expect(await count('')).toBe(50)
    expect(await count('?limit=52')).toBe(52)
    expect(await count('?limit=0')).toBe(0)
    expect(await count('?limit=-1')).toBe(53)
    expect(await count('?limit=99999999999999999999')).toBe(53)
    expect(await count('?type=fact')).toBe(0)
    expect(await count('?type=&status=&search=nothing')).toBe(50)
    expect(await count('?query=note&limit=3')).toBe(3)
    expect(await count('?query=note&status=archived')).toBe(50)
  })
})

describe('a search', () => {
  test('takes every word, by its beginning, without accents; else a piece of a title', async () => {
    await using server = await open()
    const soup = await write(server, { title: 'Soup', content: 'Gemüse und Wasser' })
    const alpha = await write(server, { title: 'Alphabet' })
    expect(await search(server, 'gemuse')).toEqual([soup])
    expect(await search(server, 'GEM was')).toEqual([soup])
    expect(await search(server, 'gemüse bread')).toEqual([])
    expect(await search(server, 'lphab')).toEqual([alpha])
    expect(await search(server, 'nothing')).toEqual([])
  })

  test.each([
    '"',
    '"open',
    '*',
    'NEAR(',
    'a OR b',
    'title:x',
    '-x',
    '(',
    "'; drop table notes; --",
    '\\',
    '%',
    '^',
    '\u{1f600}',
  ])('knows no operators: %j', async (query) => {
    await using server = await open()
    await write(server, { title: 'Plain' })
    expect(await search(server, query)).toEqual([])
    expect((await server.ask('GET', '/api/knowledge/notes')).json).toHaveLength(1)
  })

  test('takes wildcards for what they are', async () => {
    await using server = await open()
    await write(server, { title: 'Plain' })
    const rate = await write(server, { title: 'x100%_y' })
    expect(await search(server, '0%_')).toEqual([rate])
    expect(await search(server, 'P%n')).toEqual([])
    expect(await search(server, 'Pl_in')).toEqual([])
  })

  test('finds what is archived, and keeps to the type', async () => {
    await using server = await open()
    const path = await write(server, { title: 'Alpha keel', type: 'decision' })
    await server.ask('PUT', `/api/knowledge/notes/${path}`, { body: { archive: true } })
    expect(await search(server, 'keel')).toEqual([path])
    const count = async (query: string) => (await server.ask('GET', `/api/knowledge/notes?${query}`)).json.length
    expect(await count('query=keel&type=decision')).toBe(1)
    expect(await count('query=keel&type=note')).toBe(0)
    expect([await count(''), await count('status=active'), await count('status=archived')]).toEqual([1, 0, 1])
  })

  test('for nothing finds nothing', async () => {
    await using server = await open()
    await write(server, { title: 'Plain' })
    expect(await search(server, ' ')).toEqual([])
  })
})

describe('what is wrong is said, and changes nothing', () => {
  const base = '/api/knowledge/notes'
  test.each<[string, string, object | undefined, number]>([
    ['POST', '/api/knowledge/search', {}, 422],
    ['POST', '/api/knowledge/search', { query: 7 }, 422],
    ['POST', '/api/knowledge/search', { query: 'x'.repeat(2_000) }, 400],
    ['GET', `${base}?limit=many`, undefined, 422],
    ['GET', `${base}?limit=1.5`, undefined, 422],
    ['GET', `${base}?type=%00`, undefined, 422],
    ['POST', base, {}, 422],
    ['POST', base, { title: '' }, 422],
    ['POST', base, { title: 7 }, 422],
    ['POST', base, { title: 'x', tags: 'y' }, 422],
    ['POST', base, { title: 'x', type: 'Not A Word' }, 400],
    ['POST', base, { title: 'x', due: '2026-02-30' }, 400],
    ['POST', base, { title: 'x', parent_path: '../../etc' }, 400],
    ['POST', base, { title: 'a\0b' }, 400],
    ['POST', base, { title: 'x', content: 'x'.repeat(300_000) }, 413],
    ['PUT', `${base}/notes/plain`, { priority: 9 }, 400],
    ['PUT', `${base}/notes/plain`, { content: 7 }, 422],
    ['PUT', `${base}/notes/plain`, { parent_path: 'a//b' }, 400],
    ['PUT', `${base}/notes/other`, { content: 'x' }, 404],
    ['GET', `${base}/notes/other`, undefined, 404],
    ['GET', `${base}/..%2f..%2fetc%2fpasswd`, undefined, 400],
    ['GET', `${base}/notes%2F..%2Fplain`, undefined, 400],
    ['GET', `${base}/notes%00/plain`, undefined, 400],
    ['GET', `${base}/notes/plain/more`, undefined, 404],
    ['DELETE', `${base}/notes/plain`, undefined, 405],
    ['GET', '/api/knowledge/search', undefined, 405],
  ])('%s %s %j is a %i', async (method, path, body, status) => {
    await using server = await open()
    await write(server, { title: 'Plain', content: 'As it was.' })
    const before = (await server.ask('GET', `${base}/notes/plain`)).json
    const got = await server.ask(method, path, body === undefined ? {} : { body })
    expect([got.status, typeof (got.json.error ?? got.json.detail)]).toEqual([
      status,
      expect.stringMatching(/string|object/),
    ])
    expect((await server.ask('GET', `${base}/notes/plain`)).json).toEqual(before)
    expect((await server.ask('GET', base)).json).toHaveLength(1)
  })

  test('a note that is not there is named', async () => {
    await using server = await open()
    const got = await server.ask('GET', `${base}/notes/other`)
    expect([got.status, got.json]).toEqual([404, { error: 'not_found', path: 'notes/other' }])
  })
})
