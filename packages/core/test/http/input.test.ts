import { describe, expect, it } from 'vitest'
import { checkJson, parseJson, readJson } from '../../src/http/body.ts'
import { parseQuery } from '../../src/http/query.ts'
import { testRequest } from './surfaces.ts'

const code = (expected: string) => expect.objectContaining({ code: expected })
const bytesOf = (text: string) => new TextEncoder().encode(text)

describe('a query', () => {
  it('is decoded as forms are', () => {
    expect({ ...parseQuery('a=1&b=x%20y+z&hub.mode=subscribe&empty=&bare') }).toEqual({
      a: '1',
      b: 'x y z',
      'hub.mode': 'subscribe',
      empty: '',
      bare: '',
    })
  })

  it('keeps the first value of a repeated key, an empty one too', () => {
    expect({ ...parseQuery('role=user&role=admin&x=&x=1') }).toEqual({ role: 'user', x: '' })
  })

  it('has no prototype and no special keys', () => {
    const query = parseQuery('__proto__=p&constructor=c&toString=t')
    expect(Object.getPrototypeOf(query)).toBeNull()
    expect(Object.entries(query)).toEqual([
      ['__proto__', 'p'],
      ['constructor', 'c'],
      ['toString', 't'],
    ])
    expect(parseQuery('')['toString']).toBeUndefined()
  })

  it('survives escapes that are not valid', () => {
    expect({ ...parseQuery('a=%&b=%zz&c=%FF') }).toEqual({ a: '%', b: '%zz', c: '\ufffd' })
  })

  it('with more than 256 parameters is refused', () => {
    const pairs = (count: number) => Array.from({ length: count }, (_, index) => `k${index}=1`).join('&')
    expect(Object.keys(parseQuery(pairs(256)))).toHaveLength(256)
    expect(() => parseQuery(pairs(257))).toThrow(code('INVALID_QUERY'))
    expect(() => parseQuery('&'.repeat(10_000))).toThrow(code('INVALID_QUERY'))
  })
})

describe('JSON', () => {
  it('is parsed from UTF-8, with or without a byte order mark', () => {
    expect(parseJson(bytesOf('{"a":[1,"é"]}'))).toEqual({ a: [1, 'é'] })
    expect(parseJson(bytesOf('\ufeff{}'))).toEqual({})
  })

  it.each(['', '{', '{"a":}', "{'a':1}", 'NaN', '{"a":1}x', '[1,]', 'undefined'])('%j is malformed', (text) => {
    expect(() => parseJson(bytesOf(text))).toThrow(code('MALFORMED_JSON'))
  })

  it('in bytes that are not UTF-8 is malformed', () => {
    expect(() => parseJson(Uint8Array.of(0x22, 0xc3, 0x28, 0x22))).toThrow(code('MALFORMED_JSON'))
    expect(() => parseJson(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22))).toThrow(code('MALFORMED_JSON'))
  })

  it('may be nested 64 levels and no more', () => {
    const nested = (levels: number) => bytesOf('['.repeat(levels) + ']'.repeat(levels))
    expect(() => parseJson(nested(64))).not.toThrow()
    expect(() => parseJson(nested(65))).toThrow(code('JSON_TOO_DEEP'))
    expect(() => parseJson(bytesOf(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`))).toThrow(code('JSON_TOO_DEEP'))
  })

  it('nested a million levels does not overflow the stack', () => {
    const levels = 1_000_000
    expect(() => parseJson(bytesOf('['.repeat(levels) + ']'.repeat(levels)))).toThrow(code('JSON_TOO_DEEP'))
  })

  it.each(['{"__proto__":{"admin":true}}', '{"a":[{"\\u005f_proto__":1}]}', '{"constructor":{"prototype":{"x":1}}}'])(
    '%s is refused',
    (text) => {
      expect(() => parseJson(bytesOf(text))).toThrow(code('MALFORMED_JSON'))
      expect(() => checkJson(JSON.parse(text))).toThrow(code('MALFORMED_JSON'))
    },
  )

  it('may speak of constructors and prototypes', () => {
    const text = '{"constructor":"x","prototype":{"constructor":{"name":"y"}},"text":"__proto__"}'
    expect(parseJson(bytesOf(text))).toEqual(JSON.parse(text))
  })
})

describe('a body', () => {
  const read = (headers: Record<string, string>, body: string, optional = false) =>
    readJson(testRequest({ headers, body }), 100, optional)

  it.each([
    'application/json',
    'Application/JSON; charset=UTF-8',
    'application/json;charset="utf-8"',
    'application/vnd.api+json',
    'application/json; boundary=x',
  ])('of type %s is read', async (type) => {
    expect(await read({ 'content-type': type }, '{"a":1}')).toEqual({ a: 1 })
  })

  it.each([
    'text/plain',
    'text/json',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json; charset=iso-8859-1',
    'multipart/form-data; boundary=application/json',
    '',
  ])('of type %j is refused unread', async (type) => {
    const request = testRequest({
      headers: { 'content-type': type },
      bytes: () => Promise.reject(new Error('was read')),
    })
    await expect(readJson(request, 100, false)).rejects.toThrow(code('UNSUPPORTED_MEDIA_TYPE'))
  })

  it('without a type, or compressed, is refused', async () => {
    await expect(read({}, '{}')).rejects.toThrow(code('UNSUPPORTED_MEDIA_TYPE'))
    await expect(read({ 'content-type': 'application/json', 'content-encoding': 'gzip' }, '{}')).rejects.toThrow(
      code('UNSUPPORTED_MEDIA_TYPE'),
    )
  })

  it('that is missing is {} where it is optional, and an error where it is not', async () => {
    expect(await read({}, '', true)).toEqual({})
    expect(await read({ 'content-type': 'application/json' }, '', true)).toEqual({})
    await expect(read({}, '{}', true)).rejects.toThrow(code('UNSUPPORTED_MEDIA_TYPE'))
    await expect(read({ 'content-type': 'application/json' }, '')).rejects.toThrow(code('MALFORMED_JSON'))
    await expect(read({ 'content-type': 'application/json' }, '{', true)).rejects.toThrow(code('MALFORMED_JSON'))
  })

  it('that the host has parsed is taken as it is, after the same checks', async () => {
    const headers = { 'content-type': 'application/json', 'content-length': '7' }
    const parsed = (parsedBody: unknown, more = {}) =>
      readJson(testRequest({ headers: { ...headers, ...more }, parsedBody }), 100, false)
    expect(await parsed({ a: 1 })).toEqual({ a: 1 })
    expect(await parsed({ a: 1 }, { 'content-encoding': 'gzip' })).toEqual({ a: 1 })
    await expect(parsed(JSON.parse('{"__proto__":1}'))).rejects.toThrow(code('MALFORMED_JSON'))
    await expect(parsed(JSON.parse('['.repeat(70) + ']'.repeat(70)))).rejects.toThrow(code('JSON_TOO_DEEP'))
    await expect(parsed({ a: 1 }, { 'content-length': '101' })).rejects.toThrow(code('BODY_TOO_LARGE'))
    await expect(parsed({ a: 1 }, { 'content-type': 'text/plain' })).rejects.toThrow(code('UNSUPPORTED_MEDIA_TYPE'))
  })

  it('that a parser saw but did not find is missing', async () => {
    expect(await readJson(testRequest({ parsedBody: {} }), 100, true)).toEqual({})
    const typeless = testRequest({ parsedBody: {}, headers: { 'content-length': '5' } })
    await expect(readJson(typeless, 100, true)).rejects.toThrow(code('UNSUPPORTED_MEDIA_TYPE'))
  })
})
