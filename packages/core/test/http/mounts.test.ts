import { describe, expect, it } from 'vitest'
import { matchRoute } from '../../src/http/match.ts'
import type { HttpRequest } from '../../src/http/message.ts'
import { createRouteTable, routesOf } from '../../src/http/mounts.ts'
import type { Method, Mount, MountRules } from '../../src/http/surface.ts'
import { testRequest, testSurface } from './surfaces.ts'

const surface = (id: string, ...targets: string[]) =>
  testSurface(
    id,
    targets.map((target) => {
      const [method, path = ''] = target.split(' ')
      return { method: method as Method, path }
    }),
  )

const at = (prefix: string, id: string, ...targets: string[]): Mount<unknown> => ({
  prefix,
  surface: surface(id, ...targets),
})

/** Which surface answers, by which of its routes, with which parameters. */
const answerer = (mounts: readonly Mount<unknown>[], rules: MountRules = {}) => {
  const table = createRouteTable(mounts, rules)
  return (method: string, path: string, request?: HttpRequest) => {
    const match = matchRoute(table, method, path)
    const settled = request && match?.decide ? match.decide(request) : match
    return settled?.route && [settled.mount.surface.id, settled.path, { ...settled.params }]
  }
}

const codeOf = (run: () => unknown): unknown => {
  try {
    run()
    return 'nothing thrown'
  } catch (error) {
    return (error as { code?: string }).code
  }
}

describe('mounts in conflict', () => {
  const one = ['GET /api/models/:name'] as const

  it.each([
    ['/api/models/available', 'GET /ai/api/models/available'],
    ['/api/models/:id', 'GET /ai/api/models/:name'],
    ['/api/:kind/x', 'GET /ai/api/models/x'],
  ])('%s of a second surface is refused', (path, key) => {
    const mounts = [at('/ai', 'one', ...one), at('/ai/', 'two', `GET ${path}`)]
    expect(() => createRouteTable(mounts)).toThrow(`"${key}": "one"`)
    expect(() => createRouteTable(mounts.toReversed())).toThrow('"GET /ai/api/models/')
    expect(codeOf(() => createRouteTable(mounts))).toBe('MOUNT_CONFLICT')
  })

  it('are told all at once, with the routes that meet', () => {
    const mounts = [at('/', 'one', ...one, 'POST /chat'), at('/', 'two', 'GET /api/models/available', 'POST /chat')]
    expect(() => createRouteTable(mounts)).toThrow(
      '\n  "GET /api/models/available": "one" (GET /api/models/:name) or "two"\n  "POST /chat": "one" or "two"',
    )
  })

  it('across two prefixes are refused too', () => {
    expect(() => createRouteTable([at('/', 'one', ...one), at('/api', 'two', 'GET /models/x')])).toThrow(
      '"GET /api/models/x": "one" (GET /api/models/:name) or "two"',
    )
  })

  it('are none where method, path or prefix differ', () => {
    const mounts = [
      at('/ai', 'one', ...one),
      at('/ai', 'two', 'POST /api/models/:name', 'GET /api/models/:name/files'),
      at('/one', 'one', ...one),
    ]
    expect(createRouteTable(mounts).routes).toHaveLength(4)
  })

  it('of one surface with itself are a mistake, and no name helps', () => {
    expect(() => createRouteTable([at('/', 'twice', 'GET /a/:id', 'GET /a/:name/')])).toThrow('are the same route')
    const mounts = [at('/', 'one', 'GET /a'), at('/', 'one', 'GET /a')]
    expect(() => createRouteTable(mounts, { resolve: { 'GET /a': 'one' } })).toThrow('two mounts of one surface')
  })

  it('with what is below an exclusive prefix are refused when the shorter one can never answer', () => {
    const owner = { ...at('/ai', 'owner'), exclusive: true }
    expect(() => createRouteTable([at('/', 'one', 'GET /ai/x'), owner])).toThrow(
      '"GET /ai/x" of surface "one" is below "/ai", which surface "owner" has to itself',
    )
    expect(createRouteTable([at('/', 'one', 'GET /:any/x'), owner]).routes).toHaveLength(1)
  })
})

describe('winners', () => {
  const models = ['GET /api/models', 'GET /api/models/:name'] as const
  const mounts = [at('/', 'one', ...models), at('/', 'two', 'GET /api/models/available', 'GET /api/models/:id/files')]

  it('answer the requests of their conflict and no others', () => {
    const answer = answerer(mounts, { resolve: { 'GET /api/models/available': 'two' } })
    expect(answer('GET', '/api/models/available')).toEqual(['two', '/api/models/available', {}])
    expect(answer('GET', '/api/models/x')).toEqual(['one', '/api/models/:name', { name: 'x' }])
    expect(answer('GET', '/api/models/x/files')).toEqual(['two', '/api/models/:id/files', { id: 'x' }])
  })

  it('may be the parameter over the static path, which then gets its value', () => {
    const answer = answerer(mounts, { resolve: { 'GET /api/models/available': 'one' } })
    expect(answer('GET', '/api/models/available')).toEqual(['one', '/api/models/:name', { name: 'available' }])
    expect(answer('HEAD', '/api/models/available/')).toEqual(['one', '/api/models/:name', { name: 'available' }])
  })

  it('are named by any names of parameters', () => {
    const twins = [at('/ai', 'one', 'PUT /s/:id'), at('/ai', 'two', 'PUT /s/:session')]
    for (const key of ['PUT /ai/s/:id', 'PUT /ai/s/:session', 'PUT /ai/s/:x/']) {
      expect(answerer(twins, { resolve: { [key]: 'two' } })('PUT', '/ai/s/1')).toEqual([
        'two',
        '/ai/s/:session',
        { session: '1' },
      ])
    }
  })

  it('may be decided by each request', () => {
    const chats = [at('/', 'one', 'POST /chat/:id'), at('/', 'two', 'POST /chat/:name')]
    const byAccept = (request: HttpRequest) => (request.header('accept') === 'text/event-stream' ? 'two' : 'one')
    const answer = answerer(chats, { resolve: { 'POST /chat/:id': byAccept } })
    const accepting = (accept: string) => testRequest({ headers: { accept } })
    expect(answer('POST', '/chat/1', accepting('text/event-stream'))).toEqual(['two', '/chat/:name', { name: '1' }])
    expect(answer('POST', '/chat/1', accepting('application/json'))).toEqual(['one', '/chat/:id', { id: '1' }])
  })

  it('hold for each meeting of three surfaces apart', () => {
    const three = [at('/', 'a', 'GET /x/:p', 'GET /:q/y'), at('/', 'b', 'GET /x/y'), at('/', 'c', 'GET /x/:r')]
    const resolve = { 'GET /x/:p': 'c', 'GET /x/y': 'a' }
    const answer = answerer(three, { resolve })
    expect(answer('GET', '/x/1')).toEqual(['c', '/x/:r', { r: '1' }])
    // Within a surface the static segment further left is preferred.
    expect(answer('GET', '/x/y')).toEqual(['a', '/x/:p', { p: 'y' }])
    expect(answer('GET', '/z/y')).toEqual(['a', '/:q/y', { q: 'z' }])
    expect(() => createRouteTable(three, { resolve: { 'GET /x/:p': 'c' } })).toThrow(
      '"GET /x/y": "a" (GET /x/:p) or "b" or "c" (GET /x/:r)',
    )
  })

  it.each([
    [
      { 'GET /api/models/available': 'three' },
      'resolve names "three" as the winner of "GET /api/models/available"; there is: one, two',
    ],
    [{ 'GET /api/models/available': 'one', 'GET /api/models': 'one' }, 'nothing is in conflict'],
    [{ 'GET /api/models/available': 'one', 'GET /nowhere': 'one' }, 'nothing is in conflict'],
    [{ 'GET /api/models/available': 'one', '/api/models': 'one' }, 'not a method and a path'],
    [{ 'HEAD /api/models/available': 'one' }, 'not a method and a path'],
    [{ 'GET /api/models/available': 'one', 'GET /api/models/available/': 'one' }, 'twice'],
  ])('%j are refused', (resolve, message) => {
    const refused = () => createRouteTable(mounts, { resolve: resolve as Record<string, string> })
    expect(refused).toThrow(message)
    expect(codeOf(refused)).toBe('MOUNT_INVALID')
  })

  it('answer as a search through all routes would, whatever meets whatever', () => {
    const random = randomFrom(7)
    const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item
    const paths = ['/a', '/b', '/:x'].flatMap((first) => ['', '/a', '/b', '/:y'].map((second) => first + second))
    const targets = () => paths.filter(() => random() < 0.3).map((path) => `GET ${path}`)
    let compared = 0
    for (let round = 0; round < 500; round += 1) {
      const mounts = [
        at('/', 'one', ...targets()),
        at('/', 'two', ...targets()),
        { ...at(pick(['/', '/a', '/b']), 'three', ...targets()), exclusive: random() < 0.3 },
      ]
      const resolve = resolveAll(mounts, () => pick(['one', 'two', 'three']))
      if (resolve === undefined) continue
      compared += 1
      const answer = answerer(mounts, { resolve })
      for (const path of [
        '/a',
        '/b',
        '/c',
        '/a/a',
        '/a/b',
        '/a/c',
        '/b/c',
        '/c/a',
        '/c/c',
        '/a/a/b',
        '/b/c/b',
        '/c/c/c',
      ]) {
        expect(answer('GET', path), `${JSON.stringify(resolve)} ${path}`).toEqual(searched(mounts, resolve, path))
      }
    }
    expect(compared).toBeGreaterThan(250)
  })
})

/** A stream of numbers below 1 that is the same in each run. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

/** Names winners until nothing is in conflict; undefined when no name helps. */
function resolveAll(mounts: readonly Mount<unknown>[], pick: () => string): Record<string, string> | undefined {
  const resolve: Record<string, string> = {}
  for (;;) {
    try {
      createRouteTable(mounts, { resolve })
      return resolve
    } catch (error) {
      const { message } = error as Error
      if (message.includes('has to itself')) return undefined
      const [, key = ''] = / {2}"(.+?)": /.exec(message) ?? [undefined, /winner of "(.+?)"/.exec(message)?.[1]]
      resolve[key] = pick()
    }
  }
}

/** Of each surface the route that is most particular from the left; between them whoever is named for what they share. */
function searched(mounts: readonly Mount<unknown>[], resolve: Record<string, string>, path: string) {
  const parts = path.split('/').slice(1)
  const owner = mounts.find(
    ({ prefix, exclusive }) => exclusive && prefix !== '/' && `${path}/`.startsWith(`${prefix}/`),
  )
  const reaching = owner === undefined ? mounts : [owner]
  const found = reaching.flatMap(({ prefix, surface: { id, routes } }) => {
    const matching = routes
      .map((route) => ((prefix === '/' ? '' : prefix) + route.path).split('/').slice(1))
      .filter((pattern) => pattern.length === parts.length)
      .filter((pattern) => pattern.every((segment, index) => segment.startsWith(':') || segment === parts[index]))
      .sort((a, b) => rank(a).localeCompare(rank(b)))
    return matching[0] ? [{ id, pattern: matching[0] }] : []
  })
  const shared = parts.map((part, index) =>
    found.every(({ pattern }) => pattern[index]?.startsWith(':')) ? ':' : part,
  )
  const key = Object.keys(resolve).find((each) => each.replaceAll(/:\w+/g, ':') === `GET /${shared.join('/')}`)
  const winner = found.length > 1 ? found.find(({ id }) => id === resolve[key ?? '']) : found[0]
  if (winner === undefined) return undefined
  const params = winner.pattern.flatMap((segment, index) =>
    segment.startsWith(':') ? [[segment.slice(1), parts[index]]] : [],
  )
  return [winner.id, `/${winner.pattern.join('/')}`, Object.fromEntries(params)]
}

const rank = (pattern: readonly string[]): string =>
  pattern.map((segment) => (segment.startsWith(':') ? '1' : '0')).join('')

describe('routes that start processes', () => {
  const plugins = testSurface('plugins', [
    { method: 'GET', path: '/plugins' },
    { method: 'POST', path: '/plugins', startsProcesses: true },
    { method: 'POST', path: '/plugins/:name', startsProcesses: true },
  ])
  const mounts: Mount<unknown>[] = [{ prefix: '/', surface: plugins, exclusive: true }]

  it('are not there unless the host allows them', () => {
    const table = createRouteTable(mounts)
    expect(matchRoute(table, 'POST', '/plugins/x')?.failure?.code).toBe('NOT_FOUND')
    expect(matchRoute(table, 'POST', '/plugins')?.failure?.details).toEqual({ allow: 'GET, HEAD' })
    expect(matchRoute(createRouteTable([{ prefix: '/', surface: plugins }]), 'POST', '/plugins')).toBeUndefined()
    const allowed = createRouteTable(mounts, { allowProcesses: true })
    expect(matchRoute(allowed, 'POST', '/plugins/x')?.params).toEqual({ name: 'x' })
  })

  it('are in nobody’s way while they are not mounted', () => {
    const both = [...mounts, at('/', 'other', 'POST /plugins/:name')]
    expect(matchRoute(createRouteTable(both), 'POST', '/plugins/x')?.mount.surface.id).toBe('other')
    expect(() => createRouteTable(both, { allowProcesses: true })).toThrow(
      '"POST /plugins/:name": "plugins" or "other"',
    )
  })
})

describe('the list of routes', () => {
  it('says of each route where it is, whose it is and what it is for', () => {
    const api = testSurface('api', [
      { method: 'GET', path: '/health', section: 'Health', summary: 'Says that it is there', open: true },
      { method: 'POST', path: '/run', startsProcesses: true },
      { method: 'GET', path: '/things/:id/', section: 'Things', summary: 'One thing' },
    ])
    const mounts = [{ prefix: '/ai', surface: api }, at('/', 'root', 'GET /')]
    expect(routesOf(mounts)).toEqual([
      {
        method: 'GET',
        path: '/ai/health',
        surface: 'api',
        section: 'Health',
        summary: 'Says that it is there',
        open: true,
      },
      { method: 'GET', path: '/ai/things/:id', surface: 'api', section: 'Things', summary: 'One thing', open: false },
      { method: 'GET', path: '/', surface: 'root', section: 'test', summary: 'test', open: false },
    ])
    expect(routesOf(mounts, { allowProcesses: true }).map(({ path }) => path)).toContain('/ai/run')
  })

  it('can be had of mounts in conflict', () => {
    expect(routesOf([at('/', 'one', 'GET /x'), at('/', 'two', 'GET /x')]).map(({ surface }) => surface)).toEqual([
      'one',
      'two',
    ])
  })
})

describe('prefixes and paths', () => {
  it.each(['ai', '/a b', '/:x', '/a//b', '/..', '/a/../b', '//', '/*'])('the prefix %j is refused', (prefix) => {
    expect(() => createRouteTable([at(prefix, 'one', 'GET /x')])).toThrow('plain segments')
  })

  it.each([
    'x',
    '/a//b',
    '/*',
    '/**',
    '/a/:b?',
    '/a/:b(\\d+)',
    '/a-:b',
    '/{a}',
    '/:0',
    '/a b',
    '/%61',
    '//',
    '/a/../b',
    '/.',
  ])('the path %j is refused', (path) => {
    expect(() => createRouteTable([{ prefix: '/', surface: testSurface('one', [{ method: 'GET', path }]) }])).toThrow(
      'plain segments',
    )
  })
})
