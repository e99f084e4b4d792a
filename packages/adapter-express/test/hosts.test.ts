import { request } from 'node:http'
import { createGunzip, gunzipSync } from 'node:zlib'
import { type AnyRoute, answerEvents, type Surface, statusOf } from '@keelson/core/http'
import compression from 'compression'
import cors from 'cors'
import helmet from 'helmet'
import { describe, expect, it } from 'vitest'
import { keelson } from '../src/index.ts'
import { type Express, listen, versions } from './host.ts'

type Handle = AnyRoute<null>['handle']

const large = 'x'.repeat(20_000)

const anything: AnyRoute<null>['response'] = {
  '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) },
}

function api(events: Handle): Surface<null> {
  const get = (path: string, handle: Handle): AnyRoute<null> => ({
    method: 'GET',
    path,
    section: 'test',
    summary: 'test',
    open: true,
    response: anything,
    handle,
  })
  return {
    id: 'test',
    bodyLimit: 1_000,
    headers: { 'Content-Security-Policy': "default-src 'none'" },
    authenticate: () => null,
    encodeError: (error) => ({ status: statusOf(error), body: { code: error.code } }),
    routes: [
      get('/json', () => ({ json: { large } })),
      get('/fail', () => Promise.reject(new Error('secret'))),
      get('/events', events),
    ],
  }
}

const two: Handle = () =>
  answerEvents(async ({ send }) => {
    await send({ data: 'first' })
    await send({ data: 'second' })
  })

/** The body as it came over the wire: `fetch` would decompress it. */
const getRaw = (url: string, headers: Record<string, string>) =>
  new Promise<{ headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
    request(url, { headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks) }))
      response.on('error', reject)
    })
      .on('error', reject)
      .end()
  })

describe.each(versions)('%s', (_name, express) => {
  const hosting = (use: (app: ReturnType<Express>) => void, events = two) => {
    const app = express()
    use(app)
    app.use(keelson({ as: () => null }, { mounts: [{ prefix: '/ai', surface: api(events) }] }))
    app.get('/own', (_request, response) => void response.json({ large }))
    return listen(app)
  }

  it('helmet puts its headers on answers, errors and event streams, where the surface has none of its own', async () => {
    const { origin, close } = await hosting((app) => void app.use(helmet()))
    for (const path of ['/ai/json', '/ai/fail', '/ai/events']) {
      const { headers } = await getRaw(origin + path, {})
      expect(headers, path).toMatchObject({
        'strict-transport-security': expect.any(String),
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'",
      })
    }
    expect((await getRaw(`${origin}/own`, {})).headers['content-security-policy']).toContain("default-src 'self'")
    await close()
  })

  it('cors puts its headers on answers and event streams, and answers preflight requests', async () => {
    const { origin, close } = await hosting((app) => void app.use(cors({ origin: ['https://a.example'] })))
    const from = { origin: 'https://a.example' }
    for (const path of ['/ai/json', '/ai/fail', '/ai/events']) {
      const { headers } = await getRaw(origin + path, from)
      expect(headers, path).toMatchObject({ 'access-control-allow-origin': 'https://a.example', vary: 'Origin' })
    }
    const asked = { ...from, 'access-control-request-method': 'POST' }
    expect((await fetch(`${origin}/ai/json`, { method: 'OPTIONS', headers: asked })).status).toBe(204)
    await close()
  })

  it('compression compresses JSON, ours as well as the host’s', async () => {
    const { origin, close } = await hosting((app) => void app.use(compression()))
    for (const path of ['/ai/json', '/own']) {
      const { headers, body } = await getRaw(origin + path, { 'accept-encoding': 'gzip' })
      expect([headers['content-encoding'], headers['content-length'], headers['vary']], path).toEqual([
        'gzip',
        undefined,
        'Accept-Encoding',
      ])
      expect(JSON.parse(gunzipSync(body).toString())).toEqual({ large })
      expect((await getRaw(origin + path, {})).body.toString()).toBe(JSON.stringify({ large }))
    }
    await close()
  })

  it('compression holds no event back, even where it compresses events', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const events: Handle = () =>
      answerEvents(async ({ send }) => {
        await send({ data: 'first' })
        await released
        await send({ data: 'second' })
      })
    const { origin, close } = await hosting((app) => void app.use(compression({ filter: () => true })), events)
    const text = await new Promise<string>((resolve, reject) => {
      request(`${origin}/ai/events`, { headers: { 'accept-encoding': 'gzip' } }, (response) => {
        expect(response.headers['content-encoding']).toBe('gzip')
        let text = ''
        response
          .pipe(createGunzip())
          .on('data', (chunk: Buffer) => {
            text += chunk.toString()
            // The second event is made only once the first has come through.
            if (text === 'data: first\n\n') release()
          })
          .on('end', () => resolve(text))
          .on('error', reject)
      })
        .on('error', reject)
        .end()
    })
    expect(text).toBe('data: first\n\ndata: second\n\n')
    await close()
  })

  it('all of them together leave an event stream whole', async () => {
    const { origin, close } = await hosting((app) => void app.use(helmet(), cors(), compression()))
    const response = await fetch(`${origin}/ai/events`)
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(await response.text()).toBe('data: first\n\ndata: second\n\n')
    await close()
  })
})
