import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ann, type Connection, headOf, json, oneConnection, openRaw, postChunked } from './client.ts'
import { bodyLimit, type Probe } from './surface.ts'

/** Requests with bodies: read, refused, given up. */
export function describeBodies(
  { send, post, origin }: Connection,
  probe: Probe,
  bodies: 'untouched' | 'parsed' | 'parsed and kept',
  serve: (bodyTimeoutMs: number) => Promise<{ readonly origin: string; close(): Promise<void> }>,
): void {
  describe('bodies', () => {
    it('are echoed', async () => {
      const response = await post('/ai/echo', '{ "a": [1, "é"] }')
      expect([response.status, await response.json()]).toEqual([201, { body: { a: [1, 'é'] } }])
    })

    it('may be missing where they are optional', async () => {
      const response = await send('POST', '/ai/optional')
      expect(await response.json()).toEqual({ body: {} })
    })

    it('that do not fit are refused by kind', async () => {
      const refuse = async (body: string, headers = json) => {
        const response = await post('/ai/echo', body, headers)
        return [response.status, ((await response.json()) as { kit: string }).kit]
      }
      expect(await refuse('[1]')).toEqual([422, 'INVALID_BODY'])
      expect(await refuse('{}', { 'content-type': 'text/plain' })).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE'])
      expect(await refuse('{"__proto__":{"a":1}}')).toEqual([400, 'MALFORMED_JSON'])
      expect(await refuse(`{"a":${'['.repeat(100)}${']'.repeat(100)}}`)).toEqual([400, 'JSON_TOO_DEEP'])
      expect(await refuse(JSON.stringify({ text: 'x'.repeat(bodyLimit) }))).toEqual([413, 'BODY_TOO_LARGE'])
      if (bodies === 'untouched') expect(await refuse('{')).toEqual([400, 'MALFORMED_JSON'])
    })

    it('of other types arrive byte by byte', async () => {
      const bytes = Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 31) % 256)
      const response = await post('/ai/raw', bytes, { 'content-type': 'application/octet-stream' })
      expect(await response.json()).toEqual({ length: 1_000_000, sha256: sha256(bytes) })
    })

    it(
      bodies === 'parsed' ? 'of JSON are gone, and the error says why' : 'of JSON arrive as they were signed',
      async () => {
        const text = '{ "spaces" :\t"kept" ,\n"é":1 }'
        const response = await post('/ai/raw', text)
        const answer = await response.json()
        if (bodies === 'parsed') {
          expect([response.status, answer]).toMatchObject([500, { kit: 'RAW_BODY_CONSUMED' }])
        } else expect(answer).toEqual({ length: Buffer.byteLength(text), sha256: sha256(text) })
      },
    )

    it('past the limit without a length are refused, and the connection goes on', async () => {
      const agent = oneConnection()
      const binary = { ...ann, 'content-type': 'application/octet-stream' }
      const chunks = Array.from({ length: 48 }, () => 'x'.repeat(64 * 1024))
      const refused = await postChunked(`${origin()}/ai/raw`, agent, binary, chunks)
      expect([refused.status, JSON.parse(refused.body)]).toMatchObject([413, { kit: 'BODY_TOO_LARGE' }])
      const next = await postChunked(`${origin()}/ai/raw`, agent, binary, ['y'])
      expect(JSON.parse(next.body)).toEqual({ length: 1, sha256: sha256('y') })
      expect(next.reusedSocket).toBe(true)
      agent.destroy()
    })

    it('that stop in the middle are given up', async () => {
      const impatient = await serve(200)
      const { socket, answer } = openRaw(impatient.origin)
      socket.write(`${headOf('POST /ai/raw', 'application/octet-stream')}content-length: 100\r\n\r\nhalf`)
      const { status, body } = await answer
      expect([status, JSON.parse(body)]).toMatchObject([408, { kit: 'BODY_TIMEOUT' }])
      await impatient.close()
    })

    it('of a client that leaves are given up at once, and nobody is blamed', async () => {
      const before = probe.reported.length
      const { socket, answer } = openRaw(origin())
      socket.write(`${headOf('POST /ai/abandoned/b1', 'application/octet-stream')}content-length: 100\r\n\r\nhalf`)
      await probe.until('reading b1')
      socket.destroy()
      await expect(answer).rejects.toThrow()
      await Promise.all([probe.until('rejected b1'), probe.until('signal b1')])
      expect(probe.reported.slice(before)).toEqual([])
    })
  })
}

const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
