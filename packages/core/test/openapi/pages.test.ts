import { createServer } from 'node:http'
import Module from 'node:module'
import type { AddressInfo } from 'node:net'
import { keelson } from '@keelson/adapter-express'
import type { Mount } from '@keelson/core/http'
import { openapiSurface } from '@keelson/core/openapi'
import { roboticus } from '@keelson/core/surfaces/roboticus'
import { createTestRuntime, scriptedModel } from '@keelson/core/testing'
import express from 'express'
import { afterEach, describe, expect, test } from 'vitest'
import { assistant } from '../surfaces/roboticus-server.ts'

type Client = Parameters<ReturnType<typeof roboticus>['routes'][number]['handle']>[0]['client']

/** A server with the roboticus surface at a prefix, its documentation there too, the whole below `base` in the host. */
async function documented({ prefix = '/', base = '', withPages = true } = {}) {
  const runtime = await createTestRuntime({ agents: [assistant()], model: scriptedModel([]) })
  const api: Mount<Client>[] = [{ prefix, surface: roboticus({ apiKey: 'secret-key' }), exclusive: true }]
  const pages = openapiSurface(api, { title: 'The <API> & more', version: '1', base })
  const app = express()
  app.use(base || '/', keelson(runtime, { mounts: withPages ? [...api, { prefix, surface: pages }] : api }))
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    get: (path: string) => fetch(new URL(path, `http://127.0.0.1:${port}`)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await runtime.stop()
    },
  }
}

describe('the document', () => {
  test.each([
    ['/', '', '/openapi.json', '/api/health'],
    ['/ai', '', '/ai/openapi.json', '/ai/api/health'],
    ['/ai', '/host', '/host/ai/openapi.json', '/ai/api/health'],
  ])('is served to anybody below its mount (%s, %s)', async (prefix, base, address, path) => {
    await using host = await documented({ prefix, base })
    const response = await host.get(address)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
    const document = (await response.json()) as { paths: object; servers: { url: string }[] }
    expect(document.paths).toHaveProperty([path])
    const [server] = document.servers
    const health = await host.get((server?.url === '/' ? '' : (server?.url ?? '')) + path)
    expect(health.status).toBe(200)
  })

  test('and the page are there only when they are mounted', async () => {
    await using host = await documented({ withPages: false })
    for (const path of ['/openapi.json', '/swagger', '/swagger/swagger-ui.css']) {
      expect((await host.get(path)).status, path).toBe(404)
    }
  })

  test('is refused at once for mounts that cannot be mounted', () => {
    const surface = roboticus()
    expect(() => openapiSurface([{ prefix: 'no slash', surface }], { title: 'x', version: '1' })).toThrow('not a path')
  })
})

describe('the page', () => {
  test.each([
    ['/', '', '/swagger'],
    ['/', '', '/swagger/'],
    ['/ai', '/host', '/host/ai/swagger'],
    ['/ai', '/host', '/host/ai/swagger/'],
  ])('finds everything it needs from where it is (%s %s %s)', async (prefix, base, address) => {
    await using host = await documented({ prefix, base })
    const response = await host.get(address)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    const html = await response.text()
    const needed = [...html.matchAll(/(?:href|src|data-document)="(?!data:)([^"]+)"/g)].map(([, found = '']) => found)
    expect(needed).toHaveLength(4)
    const types: (string | null)[] = []
    for (const each of needed) {
      const file = await host.get(new URL(each, response.url).pathname)
      expect(file.status, each).toBe(200)
      types.push(file.headers.get('content-type'))
    }
    expect(types).toEqual([
      'text/css; charset=utf-8',
      'application/json',
      'text/javascript; charset=utf-8',
      'text/javascript; charset=utf-8',
    ])
  })

  test('runs under a policy that lets in its own files and nothing else', async () => {
    await using host = await documented()
    const response = await host.get('/swagger')
    const policy = Object.fromEntries(
      (response.headers.get('content-security-policy') ?? '').split('; ').map((rule) => rule.split(/ (.*)/)),
    )
    expect(policy).toMatchObject({
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': "'self'",
      'connect-src': "'self'",
      'frame-ancestors': "'none'",
    })
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    const html = await response.text()
    expect(html).not.toMatch(/<script>|<style|style=|\son\w+=|https?:/)
    expect(html).toContain('<title>The &#60;API&#62; &#38; more</title>')
    expect(html).not.toContain('secret-key')
  })

  test.each([
    '/swagger/index.html',
    '/swagger/package.json',
    '/swagger/..%2fpackage.json',
    '/swagger/%2e%2e%2fpackage.json',
    '/swagger/swagger-ui.css%00',
    '/swagger/toString',
  ])('gives out no other file of its package (%s)', async (path) => {
    await using host = await documented()
    expect([400, 404]).toContain((await host.get(path)).status)
  })
})

describe('without swagger-ui-dist', () => {
  const loader = Module as unknown as { _resolveFilename: (request: string, ...rest: unknown[]) => string }
  const original = loader._resolveFilename
  afterEach(() => {
    loader._resolveFilename = original
  })

  test('the page says what is missing, without a path, and the document is served', async () => {
    loader._resolveFilename = (request, ...rest) => {
      if (request.startsWith('swagger-ui-dist')) throw new Error(`Cannot find module '/some/where/${request}'`)
      return original.call(loader, request, ...rest)
    }
    await using host = await documented()
    for (const path of ['/swagger', '/swagger/swagger-ui.css']) {
      const response = await host.get(path)
      expect(response.status).toBe(503)
      expect(await response.json()).toEqual({ error: expect.stringMatching(/^swagger-ui-dist is not installed/) })
    }
    expect((await host.get('/openapi.json')).status).toBe(200)
  })
})
