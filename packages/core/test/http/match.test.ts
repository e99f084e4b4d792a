import { describe, expect, it } from 'vitest'
import { matchRoute } from '../../src/http/match.ts'
import { createRouteTable } from '../../src/http/mounts.ts'
import type { Mount } from '../../src/http/surface.ts'
import { testSurface } from './surfaces.ts'

const surface = testSurface('one', [
  { method: 'GET', path: '/api/models' },
  { method: 'GET', path: '/api/models/:name' },
  { method: 'GET', path: '/api/models/available' },
  { method: 'PUT', path: '/api/models/:name' },
  { method: 'GET', path: '/api/plugins/:name/execute/:tool' },
  { method: 'GET', path: '/' },
])

const mounted = (...mounts: Mount<unknown>[]) => {
  const table = createRouteTable(mounts)
  return (method: string, path: string) => {
    const match = matchRoute(table, method, path)
    return match && { path: match.path, params: { ...match.params }, failure: match.failure?.code, route: match.route }
  }
}

describe('matching', () => {
  const match = mounted({ prefix: '/ai', surface })

  it('finds a route below its prefix and gives its parameters', () => {
    expect(match('GET', '/ai/api/plugins/git/execute/commit')).toMatchObject({
      path: '/ai/api/plugins/:name/execute/:tool',
      params: { name: 'git', tool: 'commit' },
    })
  })

  it('prefers the static path over the parameter, in whatever order they were written', () => {
    expect(match('GET', '/ai/api/models/available')?.path).toBe('/ai/api/models/available')
    expect(match('PUT', '/ai/api/models/available')).toMatchObject({
      path: '/ai/api/models/:name',
      params: { name: 'available' },
    })
  })

  it('answers HEAD with the route of GET and nothing else', () => {
    expect(match('HEAD', '/ai/api/models')?.route?.method).toBe('GET')
    expect(
      mounted({ prefix: '/', surface: testSurface('p', [{ method: 'POST', path: '/x' }]) })('HEAD', '/x'),
    ).toBeUndefined()
  })

  it('finds the root of a surface at its prefix', () => {
    expect(match('GET', '/ai')?.route).toBeDefined()
    expect(match('GET', '/ai/')?.route).toBeDefined()
    expect(mounted({ prefix: '/', surface })('GET', '/')?.path).toBe('/')
  })

  it.each([
    '/',
    '/api/models',
    '/aix/api/models',
    '/AI/api/models',
    '/ai/API/models',
    '/ai/api',
    'ai/api/models',
    '*',
    '',
  ])('leaves %j to the host', (path) => {
    expect(match('GET', path)).toBeUndefined()
  })

  it('leaves an unknown method on a known path to the host', () => {
    for (const method of ['POST', 'OPTIONS', 'get', 'constructor', '__proto__', '']) {
      expect(match(method, '/ai/api/models')).toBeUndefined()
    }
  })
})

describe('parameters', () => {
  const match = mounted({ prefix: '/', surface })
  const nameIn = (segment: string) => match('GET', `/api/models/${segment}`)

  it.each([
    ['a%20b', 'a b'],
    ['caf%C3%A9', 'café'],
    ['a%2Fb', 'a/b'],
    ['%2e%2e%2fetc', '../etc'],
    ['%252F', '%2F'],
    ['%2561', '%61'],
    ['a+b', 'a+b'],
    ['__proto__', '__proto__'],
    ['a%5Cb', 'a\\b'],
  ])('%s is decoded exactly once', (raw, name) => {
    expect(nameIn(raw)).toMatchObject({ path: '/api/models/:name', params: { name }, failure: undefined })
  })

  it.each(['%', '%4', '%zz', 'a%2', '%C3', '%C3%28', '%ED%A0%80', '%00', 'a%00b', '%FF'])('%s is refused', (raw) => {
    expect(nameIn(raw)?.failure).toBe('INVALID_PATH')
  })

  it('have no prototype', () => {
    const table = createRouteTable([{ prefix: '/', surface }])
    expect(Object.getPrototypeOf(matchRoute(table, 'GET', '/api/models/x')?.params)).toBeNull()
  })
})

describe('paths that others may read differently', () => {
  it.each([
    '//api/models',
    '/api//models',
    '/api/models//',
    '/api/./models',
    '/api/x/../models',
    '/api/models/..',
    '/api/models/.',
    '/api/models/%2e%2e',
    '/api/models/%2E.',
    '/api/models/.%2e/',
    '/api/%6dodels',
    '/api\\models',
    '/api/models\\',
    '/api/models/\\..',
    '/api/models/a\\b',
    '/api/models/a#b',
    '/api/models/a b',
    '/api/models/a\u0000',
    '/api/models/caf\u00e9',
    '/api/models/..;/x',
  ])('%j matches nothing', (path) => {
    expect(mounted({ prefix: '/', surface })('GET', path)).toBeUndefined()
    expect(mounted({ prefix: '/', surface, exclusive: true })('GET', path)).toMatchObject({
      failure: 'NOT_FOUND',
      route: undefined,
    })
  })

  it('dots inside a name are only dots', () => {
    for (const name of ['...', 'gpt-4.1', '.env', 'a..b', '..a']) {
      expect(mounted({ prefix: '/', surface })('GET', `/api/models/${name}`)?.params).toEqual({ name })
    }
  })
})

describe('exclusive mounts', () => {
  const other = testSurface('other', [{ method: 'GET', path: '/x' }])
  const table = createRouteTable([
    { prefix: '/', surface: other, exclusive: true },
    { prefix: '/ai', surface, exclusive: true },
  ])

  it('answer unknown paths below their prefix as not found', () => {
    const match = matchRoute(table, 'GET', '/ai/api/nothing')
    expect(match?.failure?.code).toBe('NOT_FOUND')
    expect(match?.mount.surface.id).toBe('one')
    expect(matchRoute(table, 'GET', '/aix')?.mount.surface.id).toBe('other')
  })

  it('hide what a shorter prefix has below theirs', () => {
    const wide = testSurface('wide', [{ method: 'GET', path: '/:kind/list' }])
    const narrow = testSurface('narrow', [{ method: 'GET', path: '/:what' }])
    const table = createRouteTable([
      { prefix: '/', surface: wide },
      { prefix: '/ai', surface: testSurface('empty', []), exclusive: true },
      { prefix: '/me', surface: narrow, exclusive: true },
    ])
    expect(matchRoute(table, 'GET', '/x/list')?.mount.surface.id).toBe('wide')
    expect(matchRoute(table, 'GET', '/ai/list')).toMatchObject({ failure: { code: 'NOT_FOUND' }, route: undefined })
    expect(matchRoute(table, 'GET', '/me/list')).toMatchObject({ path: '/me/:what', params: { what: 'list' } })
  })

  it('that share a prefix each say which methods they know', () => {
    const surfaces = [
      testSurface('one', [{ method: 'GET', path: '/a' }]),
      testSurface('two', [{ method: 'PUT', path: '/b' }]),
    ]
    const table = createRouteTable(surfaces.map((each) => ({ prefix: '/', surface: each, exclusive: true })))
    const refused = (path: string) => {
      const match = matchRoute(table, 'DELETE', path)
      return [match?.mount.surface.id, match?.failure?.code, match?.failure?.details?.['allow']]
    }
    expect(refused('/a')).toEqual(['one', 'METHOD_NOT_ALLOWED', 'GET, HEAD'])
    expect(refused('/b')).toEqual(['two', 'METHOD_NOT_ALLOWED', 'PUT'])
    expect(refused('/c')).toEqual(['one', 'NOT_FOUND', undefined])
  })

  it('answer unknown methods with the ones that are allowed', () => {
    const match = matchRoute(table, 'DELETE', '/ai/api/models/x')
    expect(match?.failure?.code).toBe('METHOD_NOT_ALLOWED')
    expect(match?.failure?.details).toEqual({ allow: 'GET, PUT, HEAD' })
  })
})
