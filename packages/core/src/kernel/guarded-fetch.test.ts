import dns from 'node:dns'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { addressSet, isPublicAddress } from './addresses.ts'
import { type GuardedFetchOptions, guardedFetch } from './guarded-fetch.ts'

const code = (error: string) => expect.objectContaining({ code: error })

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The name `inside.test` means these addresses, one list after the other. */
function naming(...answers: readonly string[][]): { readonly asked: () => number } {
  let asked = 0
  vi.spyOn(dns, 'lookup').mockImplementation(((...args: unknown[]) => {
    const callback = args.at(-1) as (error: null, found: readonly dns.LookupAddress[]) => void
    const found = answers[Math.min(asked, answers.length - 1)] ?? []
    asked += 1
    callback(
      null,
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }) as never)
  return { asked: () => asked }
}

describe('an address', () => {
  it('is public or not, however it is written', () => {
    const inside = ['127.0.0.1', '10.1.2.3', '172.31.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0']
    inside.push(
      '::1',
      '::',
      'fe80::1',
      'fe80::1%eth0',
      'fd00::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '64:ff9b::7f00:1',
    )
    inside.push('2002:7f00:1::', '224.0.0.1', '255.255.255.255', '::127.0.0.1', 'ff02::1', 'no address', '')
    expect(inside.filter(isPublicAddress)).toEqual([])
    const outside = ['1.1.1.1', '93.184.216.34', '172.32.0.1', '2606:4700::1111', '::ffff:1.1.1.1']
    expect(outside.filter((address) => !isPublicAddress(address))).toEqual([])
  })

  it('may be one of a set of networks, which is checked when it is made', () => {
    const has = addressSet(['10.1.0.0/16', '192.168.7.7', 'fd00::/8'])
    expect(['10.1.255.1', '192.168.7.7', 'fd12::1'].every(has)).toBe(true)
    expect(['10.2.0.1', '192.168.7.8', 'fe80::1', 'nonsense'].some(has)).toBe(false)
    for (const wrong of ['localhost', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '', '::/129', '1.2.3.4/']) {
      expect(() => addressSet([wrong])).toThrow(RangeError)
    }
  })
})

describe('guarded fetch', () => {
  const local: GuardedFetchOptions = { allow: ['127.0.0.1'] }

  it('refuses every way to write an address inside, before anything is sent', async () => {
    let requests = 0
    const url = await serve((_, answer) => {
      requests += 1
      answer.end()
    })
    const { port } = new URL(url)
    const hosts = [
      '127.0.0.1',
      '127.1',
      '0x7f000001',
      '2130706433',
      '017700000001',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '0.0.0.0',
    ]
    const fetch = guardedFetch()
    for (const host of [...hosts, 'localhost']) {
      await expect(fetch(`http://${host}:${port}/`)).rejects.toThrow(code('OUTGOING_ADDRESS_REFUSED'))
    }
    expect(requests).toBe(0)
    expect(await (await guardedFetch({ allow: ['127.0.0.1', '::1'] })(`http://127.1:${port}/`)).text()).toBe('')
  })

  it('refuses other schemes, and credentials in the address', async () => {
    const fetch = guardedFetch({ allow: 'any' })
    for (const url of [
      'file:///etc/passwd',
      'ftp://example.test/',
      'data:,x',
      'http://u:p@example.test/',
      'nonsense',
    ]) {
      await expect(fetch(url)).rejects.toThrow(code('OUTGOING_INVALID'))
    }
  })

  it('checks the address that is connected to, not one that was looked up before', async () => {
    const url = await serve((_, answer) => answer.end('reached'))
    const { port } = new URL(url)
    const names = naming(['127.0.0.1'], ['10.0.0.1'])
    const fetch = guardedFetch(local)
    expect(await (await fetch(`http://inside.test:${port}/`)).text()).toBe('reached')
    await expect(fetch(`http://inside.test:${port}/`)).rejects.toThrow(code('OUTGOING_ADDRESS_REFUSED'))
    expect(names.asked()).toBe(2)
  })

  it('refuses a name that has one address inside among others', async () => {
    naming(['1.1.1.1', '127.0.0.1'])
    await expect(guardedFetch()('http://inside.test/')).rejects.toThrow(code('OUTGOING_ADDRESS_REFUSED'))
  })

  it('checks each redirect, and takes no credentials to another origin', async () => {
    const seen: (string | undefined)[] = []
    const other = await serve((request, answer) => {
      seen.push(request.headers.authorization, request.headers['x-key'] as string | undefined)
      answer.end(`${request.method} arrived`)
    })
    const url = await serve((request, answer) => {
      seen.push(request.headers.authorization)
      const to: Record<string, string> = {
        '/inside': 'http://10.0.0.1/',
        '/away': other,
        '/here': '/away',
        '/loop': '/loop',
        '/file': 'file:///etc/passwd',
      }
      answer.writeHead(request.method === 'POST' ? 303 : 302, { location: to[request.url ?? ''] ?? '/' }).end()
    })
    const fetch = guardedFetch(local)
    const headers = { authorization: 'Bearer secret', 'x-key': 'secret' }
    await expect(fetch(`${url}/inside`)).rejects.toThrow(code('OUTGOING_ADDRESS_REFUSED'))
    await expect(fetch(`${url}/loop`)).rejects.toThrow(code('OUTGOING_REDIRECTS'))
    await expect(fetch(`${url}/file`)).rejects.toThrow(code('OUTGOING_INVALID'))
    await expect(fetch(`${url}/away`, { redirect: 'error' })).rejects.toThrow(code('OUTGOING_REDIRECTS'))
    expect((await fetch(`${url}/away`, { redirect: 'manual' })).status).toBe(302)
    seen.length = 0
    expect(await (await fetch(`${url}/here`, { headers })).text()).toBe('GET arrived')
    expect(seen).toEqual(['Bearer secret', 'Bearer secret', undefined, undefined])
    expect(await (await fetch(`${url}/away`, { method: 'POST', body: 'x' })).text()).toBe('GET arrived')
  })

  it('sends what it is given and gives back what comes', async () => {
    const url = await serve(async (request, answer) => {
      let body = ''
      for await (const chunk of request) body += chunk
      answer.writeHead(201, { 'x-one': '1', 'set-cookie': ['a=1', 'b=2'] })
      answer.end(JSON.stringify([request.method, request.headers['x-given'], request.headers['accept-encoding'], body]))
    })
    const answer = await guardedFetch(local)(url, { method: 'post', headers: { 'X-Given': 'yes' }, body: 'Grüße' })
    expect([answer.status, answer.headers.get('x-one'), answer.headers.getSetCookie()]).toEqual([
      201,
      '1',
      ['a=1', 'b=2'],
    ])
    expect(await answer.json()).toEqual(['POST', 'yes', 'identity', 'Grüße'])
    const empty = await serve((_, response) => response.writeHead(204).end())
    expect((await guardedFetch(local)(empty)).body).toBeNull()
  })

  it('bounds size and silence, and says so when nobody is there', async () => {
    const url = await serve((request, answer) => {
      if (request.url === '/large') answer.end('x'.repeat(10_000))
      if (request.url === '/stalls') answer.write('some')
    })
    const fetch = guardedFetch({ ...local, maxBytes: 9_999, idleMs: 100 })
    await expect((await fetch(`${url}/large`)).text()).rejects.toThrow(code('OUTGOING_TOO_LARGE'))
    await expect(fetch(`${url}/silent`)).rejects.toThrow(code('OUTGOING_TIMEOUT'))
    await expect((await fetch(`${url}/stalls`)).text()).rejects.toThrow(code('OUTGOING_TIMEOUT'))
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as AddressInfo
    closed.close()
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow(code('OUTGOING_FAILED'))
  })

  it('ends with its signal, before, while it waits, and while it reads', async () => {
    const url = await serve((request, answer) => {
      if (request.url === '/stream') answer.write('begun')
    })
    const fetch = guardedFetch(local)
    const reason = new Error('enough')
    await expect(fetch(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const waiting = new AbortController()
    const pending = fetch(url, { signal: waiting.signal })
    setTimeout(() => waiting.abort(reason), 20)
    await expect(pending).rejects.toBe(reason)
    const reading = new AbortController()
    const answer = await fetch(`${url}/stream`, { signal: reading.signal })
    const text = answer.text()
    reading.abort(reason)
    await expect(text).rejects.toThrow()
  })
})
