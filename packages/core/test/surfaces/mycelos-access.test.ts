import { createHash } from 'node:crypto'
import { accessErrors, type Principal } from '@keelson/core'
import type { HttpRequest } from '@keelson/core/http'
import { type MycelosOptions, mycelos } from '@keelson/core/surfaces/mycelos'
import { say, scriptedModel } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { createLoginCookies } from '../../src/surfaces/mycelos/login-cookie.ts'
import { createPasswordCheck } from '../../src/surfaces/mycelos/password.ts'
import { virtualClock } from '../../src/testing/virtual-clock.ts'
import { basic, mycelosServer, password } from './mycelos-server.ts'

const model = () => scriptedModel([], { otherwise: say('Hi.') })
const refused = { error: 'Authentication required' }

describe('the password', () => {
  test.each<[string, Record<string, string>, number]>([
    ['nothing', {}, 401],
    ['the right one', { authorization: basic(password) }, 200],
    ['the right one under no name', { authorization: basic(password, '') }, 200],
    ['the right one under any name', { authorization: basic(password, 'rööt') }, 200],
    ['the scheme in another case', { authorization: basic(password).replace('Basic', 'bAsIc') }, 200],
    ['a wrong one', { authorization: basic('wrong') }, 401],
    ['its beginning', { authorization: basic(password.slice(0, -1)) }, 401],
    ['one that goes on', { authorization: basic(`${password}0`) }, 401],
    ['an empty one', { authorization: basic('') }, 401],
    ['no colon', { authorization: `Basic ${btoa(password)}` }, 401],
    ['no base64', { authorization: `Basic ${password}` }, 401],
    ['a bearer token', { authorization: `Bearer ${password}` }, 401],
    ['a very long one', { authorization: basic('p'.repeat(6_000)) }, 401],
  ])('%s', async (_, headers, status) => {
    await using server = await mycelosServer({ model: model() })
    const got = await server.ask('GET', '/api/sessions', { password: null, headers })
    expect(got.status).toBe(status)
    if (status === 401) {
      expect(got.json).toEqual(refused)
      expect(got.headers['www-authenticate']).toBe('Basic realm="Mycelos"')
    }
  })

  test.each<[string, string, string, number]>([
    ['in UTF-8', 'pässwört-\u{1f511}', `x:pässwört-\u{1f511}`, 200],
    ['in UTF-8, in the alphabet for addresses', 'pass?word>~~~', 'x:pass?word>~~~', 200],
    ['decomposed, which is another text', 'pässwort', 'x:pa\u0308sswort', 401],
    ['with a NUL after it', 'password', 'x:password\0', 401],
    ['with a blank after it', 'password', 'x:password ', 401],
  ])('%s', async (_, expected, credentials, status) => {
    await using server = await mycelosServer({ model: model(), surface: { password: expected } })
    for (const encoding of ['base64', 'base64url'] as const) {
      const authorization = `Basic ${Buffer.from(credentials).toString(encoding)}`
      const got = await server.ask('GET', '/api/agents', { password: null, headers: { authorization } })
      expect(got.status).toBe(status)
    }
  })

  test('in Latin-1 is not the one in UTF-8', async () => {
    await using server = await mycelosServer({ model: model(), surface: { password: 'pässwort' } })
    const authorization = `Basic ${Buffer.from('x:pässwort', 'latin1').toString('base64')}`
    expect((await server.ask('GET', '/api/agents', { password: null, headers: { authorization } })).status).toBe(401)
  })

  test.each([
    'Basic',
    'Basic ',
    'Basic =',
    'Basic ====',
    'Basic \u00e9',
    'Basic Og== Og==',
    `Basic ${'A'.repeat(12_000)}`,
    'Negotiate x, Basic y',
  ])('is not in %j', async (authorization) => {
    await using server = await mycelosServer({ model: model() })
    const got = await server.ask('GET', '/api/agents', { password: null, headers: { authorization } })
    expect([got.status, got.json]).toEqual([401, refused])
  })

  test('may hold colons', async () => {
    await using server = await mycelosServer({ model: model(), surface: { password: 'a:b:c' } })
    expect((await server.ask('GET', '/api/agents', { password: 'a:b:c' })).status).toBe(200)
    expect((await server.ask('GET', '/api/agents', { password: 'b:c' })).status).toBe(401)
  })

  test.each(['/api/health', '/healthz', '/api/i18n'])('%s needs none', async (path) => {
    await using server = await mycelosServer({ model: model() })
    expect((await server.ask('GET', path, { password: null })).status).toBe(200)
    expect((await server.ask('GET', path, { password: 'wrong' })).status).toBe(200)
  })

  test('a browser is led to the login, wherever it asks', async () => {
    await using server = await mycelosServer({ model: model() })
    const headers = { accept: 'text/html,*/*' }
    const got = await server.ask('GET', '/api/sessions', { password: null, headers })
    expect([got.status, got.headers['location']]).toEqual([302, '/login?next=%2Fapi%2Fsessions'])
    expect((await server.ask('POST', '/api/sessions', { password: null, headers })).status).toBe(401)
  })

  test('the login is a page below the same mount point, whose policy lets its own script run and no other', async () => {
    await using server = await mycelosServer({
      model: model(),
      surface: { password, user: { name: 'A', language: 'de' } },
    })
    const got = await server.ask('GET', '/login?next=/notes', { password: null })
    expect([got.status, got.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(got.text).toContain('<html lang="de">')
    const policy = got.headers['content-security-policy']
    for (const tag of ['script', 'style']) {
      const [, inside = ''] = new RegExp(`<${tag}>([^]*)</${tag}>`).exec(got.text) ?? []
      expect(policy).toContain(`${tag}-src 'sha256-${createHash('sha256').update(inside).digest('base64')}'`)
    }
    const request = { method: 'GET', path: '/ai/api/notes', header: () => 'text/html' } as unknown as HttpRequest
    const error = accessErrors.UNAUTHENTICATED()
    expect(mycelos({ password }).encodeError(error, request).headers).toEqual({
      location: '/ai/login?next=%2Fai%2Fapi%2Fnotes',
    })
  })

  test('that is left out leaves every route open to this machine', async () => {
    await using server = await mycelosServer({ model: model(), surface: {} })
    expect((await server.ask('GET', '/api/sessions', { password: null })).status).toBe(200)
    expect((await server.ask('POST', '/api/auth/login', { password: null, body: { password: 'x' } })).status).toBe(405)
  })

  test.each<[string, MycelosOptions]>([
    ['a blank password', { password: '  ' }],
    ['an address that others reach, without a password', { bindHost: '0.0.0.0' }],
    ['an origin with a path', { origins: ['https://app.example/x'] }],
    ['an origin that is none', { origins: ['app.example'] }],
    ['a misspelt option', { pasword: 'secret' } as MycelosOptions],
  ])('%s is refused as an option', (_, options) => {
    expect(() => mycelos(options)).toThrowError(expect.objectContaining({ code: 'SURFACE_OPTIONS_INVALID' }))
    expect(() => mycelos({ bindHost: '0.0.0.0', allowUnprotected: true })).not.toThrow()
  })
})

describe('whoever guesses', () => {
  test('waits longer and longer, and is let in with the right password after that', async () => {
    const clock = virtualClock()
    const check = createPasswordCheck('right', clock)
    const wrong = () => check.matches('wrong', '10.0.0.1')
    for (let count = 0; count < 5; count += 1) expect(wrong()).toBe(false)
    expect(wrong).toThrowError(expect.objectContaining({ code: 'TOO_MANY_TRIES', retryAfterMs: 1_000 }))
    expect(() => check.matches('right', '10.0.0.1')).toThrow()
    expect(check.matches('right', '10.0.0.2')).toBe(true)
    await clock.advance(1_000)
    expect(wrong()).toBe(false)
    expect(wrong).toThrowError(expect.objectContaining({ retryAfterMs: 2_000 }))
    await clock.advance(2_000)
    expect(check.matches('right', '10.0.0.1')).toBe(true)
    for (let count = 0; count < 5; count += 1) expect(wrong()).toBe(false)
  })

  test('is counted by network: an IPv6 host has as many addresses as it likes', () => {
    const check = createPasswordCheck('right', virtualClock())
    const blocked = (address: string) => {
      try {
        check.matches('right', address)
        return false
      } catch {
        return true
      }
    }
    for (let count = 0; count < 5; count += 1) check.matches('wrong', `2001:db8:1:2:a:b:c:${count}`)
    expect(blocked('2001:db8:1:2::1')).toBe(true)
    expect(blocked('2001:db8:1:3::1')).toBe(false)
    for (let count = 0; count < 5; count += 1) check.matches('wrong', '::ffff:10.0.0.7')
    expect([blocked('10.0.0.7'), blocked('::ffff:10.0.0.8'), blocked('::1')]).toEqual([true, false, false])
  })

  test('is forgotten after an hour of rest, and one of many when there are too many', async () => {
    const clock = virtualClock()
    const check = createPasswordCheck('right', clock)
    for (let count = 0; count < 4; count += 1) check.matches('wrong', '10.0.0.1')
    await clock.advance(3_600_000)
    for (let count = 0; count < 5; count += 1) expect(check.matches('wrong', '10.0.0.1')).toBe(false)
    expect(() => check.matches('right', '10.0.0.1')).toThrow()
    for (let count = 0; count < 10_000; count += 1) check.matches('wrong', `11.${count >> 8}.${count & 255}.1`)
    expect(check.matches('right', '10.0.0.1')).toBe(true)
  })

  test('keeps nobody waiting who has a cookie, or another address as the host tells it', async () => {
    const clientAddress: MycelosOptions['clientAddress'] = (request) => request.header('x-forwarded-for')
    await using server = await mycelosServer({ model: model(), surface: { password, clientAddress } })
    const from = (address: string) => ({ 'x-forwarded-for': address })
    const login = await server.ask('POST', '/api/auth/login', { password: null, body: { password } })
    const cookie = String(login.headers['set-cookie']).split(';', 1)[0] ?? ''
    for (let count = 0; count < 6; count += 1) {
      await server.ask('GET', '/api/agents', { password: 'wrong', headers: from('203.0.113.9') })
    }
    const status = async (headers: Record<string, string>, given: string | null = password) =>
      (await server.ask('GET', '/api/agents', { password: given, headers })).status
    expect(await status(from('203.0.113.9'))).toBe(429)
    expect(await status(from('203.0.113.8'))).toBe(200)
    expect(await status({ ...from('203.0.113.9'), cookie }, null)).toBe(200)
  })

  test('is told to wait by a 429', async () => {
    await using server = await mycelosServer({ model: model() })
    const statuses: number[] = []
    for (let count = 0; count < 7; count += 1) {
      statuses.push((await server.ask('GET', '/api/sessions', { password: `guess ${count}` })).status)
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429])
    const got = await server.ask('GET', '/api/sessions', { password: 'once more' })
    expect(got.json).toEqual({ error: expect.any(String) })
    expect(Number(got.headers['retry-after'])).toBeGreaterThan(0)
  })
})

describe('the login cookie', () => {
  const login = async (server: Awaited<ReturnType<typeof mycelosServer>>, body: object) => {
    const got = await server.ask('POST', '/api/auth/login', { password: null, body: { password, ...body } })
    return { ...got, cookie: String(got.headers['set-cookie']) }
  }
  const withCookie = (cookie: string) => ({ password: null, headers: { cookie: cookie.split(';', 1)[0] ?? '' } })

  test('lets in, and is worthless once it is given back', async () => {
    await using server = await mycelosServer({ model: model() })
    const { json, cookie } = await login(server, { next: '/notes?x=1' })
    expect(json).toEqual({ ok: true, next: '/notes?x=1' })
    expect(cookie).toMatch(/^mycelos_session=[\w.-]+; HttpOnly; SameSite=Lax; Path=\/$/)
    expect((await server.ask('GET', '/api/sessions', withCookie(cookie))).status).toBe(200)
    const out = await server.ask('POST', '/api/auth/logout', withCookie(cookie))
    expect(out.json).toEqual({ ok: true })
    expect(String(out.headers['set-cookie'])).toContain('Max-Age=0')
    expect((await server.ask('GET', '/api/sessions', withCookie(cookie))).status).toBe(401)
  })

  test('is refused for a wrong password, in the system’s words', async () => {
    await using server = await mycelosServer({ model: model() })
    const got = await login(server, { password: 'wrong' })
    expect([got.status, got.json]).toEqual([401, { error: 'Wrong password' }])
    expect(got.headers['set-cookie']).toBeUndefined()
  })

  test.each(['//evil.example', 'https://evil.example', '/\\evil.example', '/\\/evil', 'javascript:x', '/a\nb', ''])(
    'leads nowhere else: %j',
    async (next) => {
      await using server = await mycelosServer({ model: model() })
      expect((await login(server, { next })).json.next).toBe('/')
    },
  )

  test('lasts 90 days and a restart when it is to be remembered, else 7 days until then', async () => {
    const clock = virtualClock()
    const cookies = createLoginCookies('secret', clock)
    const [short, long] = [cookies.issue(false), cookies.issue(true)]
    expect(long).toContain('Max-Age=7776000')
    const restarted = createLoginCookies('secret', clock)
    expect([restarted.accepts(short), restarted.accepts(long)]).toEqual([false, true])
    expect(createLoginCookies('changed', clock).accepts(long)).toBe(false)
    await clock.advance(7 * 86_400_000)
    expect([cookies.accepts(short), cookies.accepts(long)]).toEqual([false, true])
    await clock.advance(83 * 86_400_000)
    expect(cookies.accepts(long)).toBe(false)
  })

  test('that is changed in any place is no cookie', () => {
    const cookies = createLoginCookies('secret', virtualClock())
    const [pair = ''] = cookies.issue(true).split(';', 1)
    expect(cookies.accepts(`other=1; ${pair}; more=2`)).toBe(true)
    for (let at = 'mycelos_session='.length; at < pair.length - 1; at += 1) {
      const changed = pair.slice(0, at) + (pair[at] === 'A' ? 'B' : 'A') + pair.slice(at + 1)
      expect(cookies.accepts(changed), changed).toBe(false)
    }
    for (const odd of ['', '.', 'l.9.x', 'l..', '=']) expect(cookies.accepts(`mycelos_session=${odd}`)).toBe(false)
  })
})

describe('a page of another origin', () => {
  const origins: [string, (port: number) => Record<string, string>, number][] = [
    ['none', () => ({}), 200],
    ['its own', (port) => ({ origin: `http://127.0.0.1:${port}` }), 200],
    ['another port of this machine', () => ({ origin: 'http://localhost:3000' }), 200],
    ['one that is listed', () => ({ origin: 'https://app.example' }), 200],
    ['a referer of its own', (port) => ({ referer: `http://127.0.0.1:${port}/x` }), 200],
    ['another', () => ({ origin: 'http://evil.example' }), 403],
    ['another referer', () => ({ referer: 'http://evil.example/localhost' }), 403],
    ['a name that begins like this machine’s', () => ({ origin: 'http://localhost.evil.example' }), 403],
    ['the listed one without TLS', () => ({ origin: 'http://app.example' }), 403],
    ['null', () => ({ origin: 'null' }), 403],
    ['null, whatever the referer', (port) => ({ origin: 'null', referer: `http://127.0.0.1:${port}/` }), 403],
    ['its own name at another port', () => ({ host: 'box.example:3000', origin: 'http://box.example:4000' }), 403],
    ['its own name', () => ({ host: 'box.example:3000', origin: 'http://box.example:3000' }), 200],
    ['its own name, behind TLS', () => ({ host: 'Box.example', origin: 'https://box.example' }), 200],
    ['its own name with the usual port', () => ({ host: 'box.example:443', origin: 'https://box.example' }), 200],
    ['its own IPv6 address', () => ({ host: '[2001:db8::1]:99', origin: 'http://[2001:db8::1]:99' }), 200],
    ['another IPv6 address', () => ({ host: '[2001:db8::1]:99', origin: 'http://[2001:db8::2]:99' }), 403],
    ['this machine by IPv6', () => ({ origin: 'http://[::1]:5173' }), 200],
    [
      'its own, as a proxy tells it',
      () => ({ origin: 'http://evil.example', 'x-forwarded-host': 'evil.example' }),
      403,
    ],
    ['a file', () => ({ origin: 'file://' }), 403],
    ['another scheme at its own address', (port) => ({ origin: `ftp://127.0.0.1:${port}` }), 403],
    ['two', (port) => ({ origin: `http://127.0.0.1:${port}, http://evil.example` }), 403],
    ['nonsense', () => ({ origin: 'x' }), 403],
  ]
  test.each(origins)('may write only when it is trusted: %s', async (_, headersOf, status) => {
    const scripted = model()
    const surface = { password, origins: ['https://app.example'] }
    await using server = await mycelosServer({ model: scripted, surface })
    const headers = headersOf(server.port)
    const writes = [
      await server.ask('POST', '/api/sessions', { headers }),
      await server.ask('POST', '/api/chat', { headers, body: { message: 'Hi' } }),
      await server.ask('POST', '/api/auth/login', { headers, password: null, body: { password } }),
    ]
    for (const got of writes) {
      expect(got.status).toBe(status)
      if (status === 403) expect(got.json).toEqual({ error: 'Cross-origin request blocked (CSRF)' })
    }
    if (status === 403) expect(scripted.calls).toEqual([])
    expect((await server.ask('GET', '/api/sessions', { headers })).status).toBe(200)
  })
})

describe('a server on loopback', () => {
  const request = (remoteAddress: string | undefined, path = '/api/health') =>
    ({ header: () => undefined, method: 'GET', path, remoteAddress }) as unknown as Parameters<
      NonNullable<ReturnType<typeof mycelos>['admit']>
    >[0]

  test.each([
    ['127.0.0.1', true],
    ['127.9.8.7', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['10.0.0.1', false],
    ['fe80::1', false],
    ['127.0.0.1.example.org', false],
  ])('admits the peer %s: %s', (address, admitted) => {
    const admit = () => mycelos({ password }).admit?.(request(address))
    if (admitted) expect(admit).not.toThrow()
    else expect(admit).toThrowError(expect.objectContaining({ code: 'NOT_LOOPBACK', kind: 'forbidden' }))
    expect(() => mycelos({ password, bindHost: '0.0.0.0' }).admit?.(request(address))).not.toThrow()
  })
})

describe('a server without a password', () => {
  const statuses = async (headers: Record<string, string>, surface: MycelosOptions = {}) => {
    await using server = await mycelosServer({ model: model(), surface })
    const asked = { password: null, headers }
    const got = await server.ask('GET', '/api/sessions', asked)
    if (got.status !== 200) expect(got.json).toEqual({ error: expect.stringContaining('password') })
    const created = await server.ask('POST', '/api/sessions', asked)
    const listed = await server.ask('GET', '/api/sessions', { password: null })
    expect(listed.json).toHaveLength(created.status === 200 ? 1 : 0)
    // What an open route tells anybody, and no more.
    const probe = await server.ask('GET', '/api/health', asked)
    expect([probe.status, probe.json.user.name]).toEqual([200, 'Owner'])
    return [got.status, created.status]
  }

  test.each([
    ['localhost', 'localhost:9100'],
    ['a name that is written otherwise', 'LOCALHOST'],
    ['an IPv4 address of this machine', '127.0.0.1:9100'],
    ['an IPv6 address of this machine', '[::1]:9100'],
    ['a name that the host lists', 'box.example:8443'],
  ])('answers under %s', async (_, host) => {
    expect(await statuses({ host }, { origins: ['https://box.example:8443'] })).toEqual([200, 200])
  })

  test.each<[string, Record<string, string>]>([
    ['a name of somebody’s that leads here', { host: 'evil.example:9100' }],
    ['such a name with its own origin', { host: 'evil.example:9100', origin: 'http://evil.example:9100' }],
    ['a name that begins like this machine’s', { host: 'localhost.evil.example' }],
    ['a name that ends like it', { host: 'evil-localhost' }],
    ['a user', { host: 'evil.example@127.0.0.1' }],
    ['no name', { host: ' ' }],
    ['a proxy', { 'x-forwarded-for': '203.0.113.9' }],
    ['another proxy', { forwarded: 'for=203.0.113.9' }],
  ])('answers nothing under %s', async (_, headers) => {
    expect(await statuses(headers)).toEqual([403, 403])
  })

  test('leaves the host’s own callers alone, and whoever was let in from elsewhere', async () => {
    const users = { ada: person('ada', ['operator']) }
    await using server = await mycelosServer({ model: model(), surface: {}, users })
    const headers = { host: 'app.example', 'x-forwarded-for': '203.0.113.9' }
    expect((await server.ask('GET', '/api/sessions', { user: 'ada', password: null, headers })).status).toBe(200)
    expect(await statuses(headers, { bindHost: '0.0.0.0', allowUnprotected: true })).toEqual([200, 200])
  })
})

describe('HEAD', () => {
  test.each(['/api/sessions', '/api/health', '/healthz', '/api/agents/assistant'])(
    'is GET without its body: %s',
    async (path) => {
      await using server = await mycelosServer({ model: model() })
      const [head, get] = [await server.ask('HEAD', path), await server.ask('GET', path)]
      expect([head.status, head.text, get.status]).toEqual([200, '', 200])
      expect(head.headers['content-type']).toBe('application/json')
    },
  )

  test('needs what GET needs, and finds what GET finds', async () => {
    await using server = await mycelosServer({ model: model() })
    expect((await server.ask('HEAD', '/api/sessions', { password: null })).status).toBe(401)
    expect((await server.ask('HEAD', '/api/sessions/none/messages')).status).toBe(404)
    for (const path of ['/api/chat', '/api/knowledge/search', '/api/config/rollback', '/api/nothing']) {
      expect([path, (await server.ask('HEAD', path)).status]).toEqual([path, 404])
    }
  })

  test('and OPTIONS do nothing where another method is meant', async () => {
    await using server = await mycelosServer({ model: model() })
    const headers = { origin: 'http://evil.example', 'access-control-request-method': 'POST' }
    const got = await server.ask('OPTIONS', '/api/chat', { password: null, headers })
    expect([got.status, got.headers['access-control-allow-origin']]).toEqual([405, undefined])
    expect((await server.ask('GET', '/api/sessions')).json).toEqual([])
  })
})

const person = (subject: string, roles: readonly string[] = []): Principal => ({
  tenant: 'acme',
  subject,
  roles,
  via: 'test',
  ambient: false,
})

describe('with callers of the host’s', () => {
  test('each sees and reaches their own sessions, operators those of all', async () => {
    const users = { ada: person('ada'), bob: person('bob'), op: person('op', ['operator']) }
    await using server = await mycelosServer({ model: model(), users })
    const ask = (user: string, method: string, path: string, body?: object) =>
      server.ask(method, path, { user, password: null, ...(body ? { body } : {}) })
    await ask('ada', 'POST', '/api/chat', { message: 'Hi', session_id: 'hers' })
    expect((await ask('bob', 'GET', '/api/sessions')).json).toEqual([])
    expect((await ask('op', 'GET', '/api/sessions')).json).toMatchObject([{ session_id: 'hers', user_id: 'ada' }])
    const theirs: [string, string, object?][] = [
      ['GET', '/api/sessions/hers/messages'],
      ['PATCH', '/api/sessions/hers', { title: 'Mine now' }],
      ['POST', '/api/chat', { message: 'Hi', session_id: 'hers' }],
      ['POST', '/api/chat', { message: '/help', session_id: 'hers' }],
    ]
    for (const [method, path, body] of theirs) {
      const got = await ask('bob', method, path, body)
      expect([got.status, Object.keys(got.json)]).toEqual([got.status === 409 ? 409 : 404, ['error']])
    }
    expect((await ask('ada', 'GET', '/api/sessions/hers/messages')).json.messages).toHaveLength(2)
    expect((await ask('ada', 'GET', '/api/sessions')).json).toMatchObject([{ title: 'Hi', message_count: 2 }])
    expect((await ask('bob', 'GET', '/api/agents')).json[0].system_prompt).toBeNull()
    expect((await ask('op', 'GET', '/api/agents')).json[0].system_prompt).toBe('You help.')
    expect((await ask('nobody', 'GET', '/api/sessions')).status).toBe(401)
  })
})
