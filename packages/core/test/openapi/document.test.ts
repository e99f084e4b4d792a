import { type AnyRoute, type Mount, type Surface, statusOf } from '@keelson/core/http'
import { type OpenApiOperation, openapiOf } from '@keelson/core/openapi'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { lint } from './lint.ts'

type Definition = Partial<AnyRoute<unknown>>

const error = z.object({ oops: z.string() })

const surface = (
  routes: Readonly<Record<string, Definition>>,
  more: Partial<Surface<unknown>> = {},
): Surface<unknown> => ({
  id: 'test',
  bodyLimit: 1_000,
  headers: {},
  authenticate: () => null,
  encodeError: (failure) => ({ status: statusOf(failure), body: { oops: failure.message } }),
  security: { key: { type: 'apiKey', in: 'header', name: 'x-key' } },
  errorSchema: error,
  routes: Object.entries(routes).map(([target, definition]) => {
    const [method, path = ''] = target.split(' ')
    return {
      method: method as 'GET',
      path,
      section: 'Things',
      summary: 'A route',
      response: z.object({ ok: z.boolean() }),
      handle: () => ({ empty: true }),
      ...definition,
    }
  }),
  ...more,
})

const mount = (routes: Readonly<Record<string, Definition>>, prefix = '/', more: Partial<Surface<unknown>> = {}) => ({
  prefix,
  surface: surface(routes, more),
})

const options = { title: 'Test', version: '1' }
const documentOf = (...mounts: readonly Mount<unknown>[]) => openapiOf(mounts, options)

/** The one operation of a document with one route. */
function operationOf(definition: Definition, target = 'POST /things'): OpenApiOperation {
  const document = documentOf(mount({ [target]: definition }))
  const [operation] = Object.values(Object.values(document.paths)[0] ?? {})
  if (!operation) throw new Error('no operation')
  return operation
}

describe('what a route takes', () => {
  const schema = z.object({ count: z.string().transform(Number), note: z.string().default('none') })

  test('is described as it is sent, not as it is parsed', () => {
    const { requestBody } = operationOf({ body: schema })
    expect(requestBody).toEqual({
      required: true,
      content: {
        'application/json': {
          schema: {
            type: 'object',
            properties: { count: { type: 'string' }, note: { type: 'string', default: 'none' } },
            required: ['count'],
          },
        },
      },
    })
  })

  test('may be left out where the route says so, and is not there where it reads none', () => {
    expect(operationOf({ body: schema, bodyOptional: true }).requestBody).toMatchObject({ required: false })
    expect(operationOf({})).not.toHaveProperty('requestBody')
  })

  test('has every parameter of the path and of the query', () => {
    const query = z.object({ limit: z.string().regex(/^\d+$/).optional(), after: z.string() })
    expect(operationOf({ query }, 'GET /things/:id/parts/:part').parameters).toEqual([
      { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
      { name: 'part', in: 'path', required: true, schema: { type: 'string' } },
      { name: 'limit', in: 'query', required: false, schema: { type: 'string', pattern: '^\\d+$' } },
      { name: 'after', in: 'query', required: true, schema: { type: 'string' } },
    ])
  })

  test('may be a query of any shape', () => {
    const query = z.union([z.object({ a: z.string() }), z.object({ b: z.string() })])
    const [parameter] = operationOf({ query }, 'GET /things').parameters ?? []
    expect(parameter).toMatchObject({ in: 'query', style: 'form', explode: true, schema: { anyOf: expect.any(Array) } })
  })
})

describe('what a route answers', () => {
  test('is described as it is sent, after what the schema does to it', () => {
    const { responses } = operationOf({ response: z.object({ at: z.string().default('now') }) })
    expect(responses['200']).toMatchObject({
      content: { 'application/json': { schema: { required: ['at'], additionalProperties: false } } },
    })
  })

  test('is a stream of frames where it streams', () => {
    const { responses } = operationOf({ stream: true, response: z.object({ delta: z.string() }) })
    expect(responses['200']).toMatchObject({
      content: { 'text/event-stream': { schema: { properties: { delta: { type: 'string' } } } } },
    })
    expect(responses['200']?.['content']).not.toHaveProperty('application/json')
  })

  test('is an upgrade and its frames where it is a WebSocket', () => {
    const operation = operationOf({ socket: true, response: z.object({ type: z.string() }) }, 'GET /ws')
    expect(Object.keys(operation.responses)).toEqual(['101', '401', '426', 'default'])
    expect(operation['x-websocket-frames']).toMatchObject({ properties: { type: { type: 'string' } } })
  })

  test('includes failures under the statuses that the surface gives them, in its own shape', () => {
    const { responses } = operationOf({ body: z.object({}) }, 'POST /things/:id')
    expect(Object.keys(responses)).toEqual(['200', '400', '401', '404', '413', '415', '422', 'default'])
    for (const status of ['401', '422', 'default']) {
      expect(responses[status]).toMatchObject({
        content: { 'application/json': { schema: { $ref: '#/components/schemas/TestError' } } },
      })
    }
    expect(Object.keys(operationOf({ open: true }, 'GET /things').responses)).toEqual(['200', 'default'])
  })

  test('has no failure of its own where the surface answers failures with 200', () => {
    const document = documentOf(
      mount({ 'GET /things/:id': {} }, '/', { encodeError: () => ({ status: 200, body: {} }) }),
    )
    expect(Object.keys(document.paths['/things/{id}']?.['get']?.responses ?? {})).toEqual(['200', 'default'])
  })

  test('is anything where the schema cannot say it', () => {
    const mute: AnyRoute<unknown>['response'] = {
      '~standard': { version: 1, vendor: 'mute', validate: (value) => ({ value }) },
    }
    const refusing = {
      '~standard': {
        ...mute['~standard'],
        jsonSchema: {
          output() {
            throw new Error('cannot')
          },
        },
      },
    }
    for (const response of [mute, refusing]) {
      expect(operationOf({ response }).responses['200']).toMatchObject({
        content: { 'application/json': { schema: {} } },
      })
    }
    const date = z.object({ at: z.date(), name: z.string() })
    expect(operationOf({ response: date }).responses['200']).toMatchObject({
      content: { 'application/json': { schema: { properties: { at: {}, name: { type: 'string' } } } } },
    })
  })
})

describe('schemas', () => {
  const shared = z.object({ name: z.string() })
  const refOf = (operation: OpenApiOperation | undefined) =>
    JSON.stringify(operation?.responses['200']).match(/"\$ref":"#\/components\/schemas\/(\w+)"/)?.[1]

  test('that are the same object are one component; equal ones that are not, are not', () => {
    const document = documentOf(
      mount({
        'GET /a': { response: shared },
        'GET /b': { response: shared },
        'GET /c': { response: z.object({ name: z.string() }) },
      }),
    )
    const [a, b, c] = ['/a', '/b', '/c'].map((path) => refOf(document.paths[path]?.['get']))
    expect([a, b, c]).toEqual(['GetAResponse', 'GetAResponse', undefined])
    expect(Object.keys(document.components.schemas).sort()).toEqual(['GetAResponse', 'TestError'])
  })

  test('are two components where what is sent differs from what is answered', () => {
    const both = z.object({ note: z.string().default('') })
    const routes = { body: both, response: both }
    const document = documentOf(mount({ 'POST /a': routes, 'POST /b': routes }))
    expect(document.components.schemas).toMatchObject({
      PostABody: { properties: { note: { default: '' } } },
      PostAResponse: { required: ['note'] },
    })
    expect(document.components.schemas['PostABody']).not.toHaveProperty('required')
  })

  test('that have a title or an id are called so', () => {
    const titled = z.object({ a: z.string() }).meta({ title: 'Titled' })
    const part = z.object({ b: z.string() }).meta({ id: 'DocumentTestPart' })
    const document = documentOf(
      mount({
        'GET /a': { response: titled },
        'GET /b': { response: titled },
        'GET /c': { response: z.object({ parts: z.array(part) }) },
        'GET /d': { response: part },
      }),
    )
    expect(Object.keys(document.components.schemas).sort()).toEqual(['DocumentTestPart', 'TestError', 'Titled'])
    expect(refOf(document.paths['/c']?.['get'])).toBe('DocumentTestPart')
    expect(refOf(document.paths['/d']?.['get'])).toBe('DocumentTestPart')
  })

  test('that contain themselves refer to themselves, and the linter can follow', async () => {
    const tree = z.object({
      name: z.string(),
      get children() {
        return z.array(tree)
      },
    })
    const document = documentOf(
      mount({
        'GET /tree': { response: tree },
        'GET /forest': { response: z.object({ trees: z.array(tree) }) },
        'POST /tree': { body: tree },
      }),
    )
    expect(document.components.schemas['GetTreeResponse']).toMatchObject({
      properties: { children: { items: { $ref: '#/components/schemas/GetTreeResponse' } } },
    })
    expect(JSON.stringify(document)).not.toContain('$defs')
    expect(await lint(document)).toEqual([])
  })

  test('that differ never share a name', () => {
    const one = z.object({ a: z.string() }).meta({ title: 'Thing' })
    const two = z.object({ b: z.string() }).meta({ title: 'Thing' })
    const document = documentOf(
      mount({
        'GET /a': { response: one },
        'GET /b': { response: one },
        'GET /c': { response: two },
        'GET /d': { response: two },
      }),
    )
    expect([refOf(document.paths['/a']?.['get']), refOf(document.paths['/d']?.['get'])]).toEqual(['Thing', 'Thing2'])
  })
})

describe('names', () => {
  test('of operations do not change when a mount moves, and are told apart by place when there are several', () => {
    const routes = { 'GET /things/:id': {} }
    const idOf = (document: ReturnType<typeof documentOf>, path: string) => document.paths[path]?.['get']?.operationId
    expect(idOf(documentOf(mount(routes)), '/things/{id}')).toBe('getThingsById')
    expect(idOf(documentOf(mount(routes, '/ai')), '/ai/things/{id}')).toBe('getThingsById')
    const both = documentOf(mount(routes, '/one'), mount(routes, '/two'))
    expect([idOf(both, '/one/things/{id}'), idOf(both, '/two/things/{id}')]).toEqual([
      'getOneThingsById',
      'getTwoThingsById',
    ])
  })

  test('of operations are unique although their paths read the same', () => {
    const document = documentOf(mount({ 'GET /a/:b': {}, 'GET /a/by-b': {}, 'GET /a-by/b': {} }))
    const ids = Object.values(document.paths).map(({ get }) => get?.operationId)
    expect(ids).toEqual(['getAByB', 'getAByB2', 'getAByB3'])
  })

  test('of a path’s parameters are the same for all its methods', async () => {
    const document = documentOf(mount({ 'GET /things/:id': {}, 'PUT /things/:name': {} }))
    expect(Object.keys(document.paths)).toEqual(['/things/{id}'])
    expect(document.paths['/things/{id}']?.['put']?.parameters).toMatchObject([{ name: 'id' }])
    expect(await lint(document)).toEqual([])
  })

  test('of tags are the sections, with the surface where there are several', () => {
    const one = mount({ 'GET /a': { section: 'First' }, 'GET /b': { section: 'Second' } }, '/one')
    expect(documentOf(one).tags).toEqual([{ name: 'First' }, { name: 'Second' }])
    const two = mount({ 'GET /a': { section: 'First' } }, '/two', { id: 'other' })
    expect(documentOf(one, two).tags).toEqual([
      { name: 'test: First' },
      { name: 'test: Second' },
      { name: 'other: First' },
    ])
  })

  test('of security schemes are the surface’s, and are told apart where two mean different things by one', () => {
    const one = mount({ 'GET /a': {} }, '/one')
    const same = mount({ 'GET /a': {} }, '/two', { id: 'same' })
    const other = mount({ 'GET /a': {} }, '/three', {
      id: 'other',
      security: { key: { type: 'http', scheme: 'basic' } },
    })
    const document = documentOf(one, same, other)
    expect(Object.keys(document.components.securitySchemes)).toEqual(['key', 'other-key'])
    const security = ['/one/a', '/two/a', '/three/a'].map((path) => document.paths[path]?.['get']?.security)
    expect(security).toEqual([[{ key: [] }], [{ key: [] }], [{ 'other-key': [] }]])
  })
})

describe('which routes it has', () => {
  test('are those of the mounts, with their prefixes', () => {
    const document = documentOf(mount({ 'GET /': {}, 'GET /a': {} }, '/ai'), mount({ 'GET /b': {} }, '/more/'))
    expect(Object.keys(document.paths)).toEqual(['/ai', '/ai/a', '/more/b'])
  })

  test('are the winner’s where several could answer', () => {
    const one = mount({ 'GET /a': { summary: 'One' } }, '/', { id: 'one' })
    const two = mount({ 'GET /a': { summary: 'Two' } }, '/', { id: 'two' })
    const summaryOf = (winner: string) =>
      openapiOf([one, two], { ...options, resolve: { 'GET /a': winner } }).paths['/a']?.['get']?.summary
    expect([summaryOf('one'), summaryOf('two')]).toEqual(['One', 'Two'])
    expect(() => openapiOf([one, two], options)).toThrow()
  })

  test('leave out those that start processes, unless they are allowed', () => {
    const mounts = [mount({ 'GET /a': {}, 'POST /run': { startsProcesses: true } })]
    expect(Object.keys(openapiOf(mounts, options).paths)).toEqual(['/a'])
    expect(Object.keys(openapiOf(mounts, { ...options, allowProcesses: true }).paths)).toEqual(['/a', '/run'])
  })

  test('begin where the host has mounted them', () => {
    expect(openapiOf([mount({ 'GET /a': {} })], { ...options, base: '/host' }).servers).toEqual([{ url: '/host' }])
  })
})
