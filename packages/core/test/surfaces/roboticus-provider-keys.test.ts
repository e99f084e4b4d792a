import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRuntime, type Provider, type RuntimeOptions, singleOwner } from '@keelson/core'
import { openaiCompatible } from '@keelson/core/providers/openai-compatible'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openai } from '../../src/providers/openai.ts'
import { storeWithoutKey } from '../config/scene.ts'
import { chatWire } from '../providers/fake-openai.ts'
import { apiKey, assistant, serve } from './roboticus-server.ts'

const usage = { input: 1, cacheRead: 0, cacheWrite: 0, output: 1, reasoning: 0 }
const rotated = 'sk-rotated-0123456789'

/** A vendor that answers everybody, and remembers who asked. */
async function vendor(status = 200) {
  const keys: (string | undefined)[] = []
  const server = createServer((request, response) => {
    keys.push(request.headers.authorization)
    request.resume()
    if (status !== 200) {
      const error = {
        message: `Incorrect API key provided: ${request.headers.authorization}`,
        type: 'invalid_request_error',
      }
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
    } else if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[{"id":"m"}]}')
    } else {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const piece of chatWire.stream([{ type: 'text', chunks: ['hi'] }], { reason: 'stop', usage }))
        response.write(piece)
      response.end('data: [DONE]\n\n')
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { keys, baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }
}

async function office(provider: Provider, more: Partial<RuntimeOptions> = {}) {
  const errors: unknown[] = []
  const runtime = createRuntime({
    store: sqliteStore(':memory:'),
    agents: [assistant({ models: ['vendor/m'] })],
    providers: [provider],
    onError: (error) => errors.push(error),
    ...more,
  })
  const server = await serve(runtime, { apiKey })
  const client = runtime.as(singleOwner('code'))
  const say = () => client.run('assistant', { message: 'hello' }).result
  return { ...server, client, runtime, errors, say }
}

describe('a key that is set over HTTP', () => {
  test.each([
    ['openai-compatible', (baseURL: string) => openaiCompatible({ id: 'vendor', baseURL, apiKey: 'sk-of-the-host' })],
    [
      'openai',
      (baseURL: string) => openai({ id: 'vendor', api: 'chat', baseURL, apiKey: async () => 'sk-of-the-host' }),
    ],
  ])('is that of the next call of %s, and the option counts again once it is removed', async (_, make) => {
    const { keys, baseURL } = await vendor()
    await using server = await office(make(baseURL))
    await server.say()
    await server.ask('PUT', '/api/providers/vendor/key', { body: { api_key: rotated } })
    await server.say()
    await server.client.models.complete({ models: ['vendor/m'], instructions: '', prompt: 'x', maxOutputTokens: 5 })
    await server.client.models.available({ provider: 'vendor' })
    await server.ask('DELETE', '/api/providers/vendor/key')
    await server.say()
    const [host, set] = ['Bearer sk-of-the-host', `Bearer ${rotated}`]
    expect(keys).toEqual([host, set, set, set, host])
  })

  test('is of its tenant alone', async () => {
    const { keys, baseURL } = await vendor()
    await using server = await office(openaiCompatible({ id: 'vendor', baseURL, apiKey: 'sk-of-the-host' }))
    await server.client.providerKeys.set({ provider: 'vendor', key: rotated })
    const other = server.runtime.as({ tenant: 'other', subject: 's', roles: [], via: 'code', ambient: false })
    await other.run('assistant', { message: 'hello' }).result
    expect(keys).toEqual(['Bearer sk-of-the-host'])
  })

  test('is in no error, although the vendor says it again', async () => {
    const { baseURL } = await vendor(401)
    await using server = await office(openaiCompatible({ id: 'vendor', baseURL, apiKey: 'sk-of-the-host' }))
    await server.client.providerKeys.set({ provider: 'vendor', key: rotated })
    await server.say().catch(() => {})
    const texts = server.errors.map((error) => `${String(error)} ${JSON.stringify(error)}`).join('\n')
    expect(texts).toContain('Incorrect API key')
    expect(texts).not.toContain(rotated)
  })

  test('that cannot be read from the vault fails the call: nobody else pays for it', async () => {
    const { keys, baseURL } = await vendor()
    const store = sqliteStore(':memory:')
    const vault = { ...store.vault, get: async () => Promise.reject(new Error('the disk is gone')) }
    const provider = openaiCompatible({ id: 'vendor', baseURL, apiKey: 'sk-of-the-host' })
    await using server = await office(provider, { store: { ...store, vault } })
    expect(await server.say().catch((error) => error)).toMatchObject({ code: 'TURN_FAILED' })
    expect(keys).toEqual([])
  })

  test('is not missed where the vault has no key', async () => {
    const { keys, baseURL } = await vendor()
    const provider = openaiCompatible({ id: 'vendor', baseURL, apiKey: 'sk-of-the-host' })
    await using server = await office(provider, { store: storeWithoutKey() })
    await server.say()
    expect(keys).toEqual(['Bearer sk-of-the-host'])
  })
})
