import { describe, expect, it } from 'vitest'
import { ann, type Connection, headOf, openRaw } from './client.ts'
import { floodLimit, type Probe } from './surface.ts'

/** Answers that are written piece by piece, to clients that read slowly, stop or leave. */
export function describeStreams({ get, origin }: Connection, probe: Probe): void {
  describe('streams', () => {
    it('arrive whole and in order', async () => {
      const response = await get('/ai/events/500')
      expect(response.headers.get('content-type')).toBe('text/event-stream')
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(response.headers.get('x-host')).toBe('host')
      const frames = (await response.text()).split('\n\n').slice(0, -1)
      expect(frames).toEqual(Array.from({ length: 500 }, (_, n) => `id: ${n}\ndata: event\ndata: ${n}`))
    })

    it('arrive while they are made, and are told when the client leaves', async () => {
      const client = new AbortController()
      const response = await fetch(`${origin()}/ai/endless/s1`, { headers: ann, signal: client.signal })
      const reader = response.body?.getReader()
      const first = await reader?.read()
      expect(new TextDecoder().decode(first?.value)).toContain('data: 0\n\n')
      client.abort()
      await Promise.all([probe.until('signal s1'), probe.until('ended s1')])
    })

    it('that break end the connection, so that the client can tell, and are reported', async () => {
      const response = await get('/ai/broken')
      expect(response.status).toBe(200)
      await expect(response.text()).rejects.toThrow()
      expect(probe.reported.map(({ where }) => where)).toContainEqual(expect.stringContaining('GET /ai/broken'))
      expect((await get('/ai/open')).status).toBe(200)
    })

    it('wait for a client that does not read, and are let go when it leaves', async () => {
      const sockets = ['f1', 'f2', 'f3'].map((id) => {
        const { socket, answer } = openRaw(origin())
        answer.catch(() => {})
        socket.pause()
        socket.write(`${headOf(`GET /ai/flood/${id}`)}\r\n`)
        return { id, socket }
      })
      await Promise.all(sockets.map(({ id }) => probe.until(`full ${id}`)))
      for (const { socket } of sockets) socket.destroy()
      await Promise.all(sockets.map(({ id }) => probe.until(`left ${id}`)))
      for (const { id } of sockets) expect(probe.flooded.get(id)).toBeLessThan(floodLimit / 2)
    })

    it('go on when the client has caught up', async () => {
      const response = await get('/ai/flood/g1')
      await probe.until('full g1')
      let bytes = 0
      for await (const chunk of response.body ?? []) bytes += chunk.byteLength
      expect(bytes).toBe(floodLimit)
      await probe.until('done g1')
    })

    it('run side by side', async () => {
      const bodies = await Promise.all(
        Array.from({ length: 50 }, async () => (await (await get('/ai/events/20')).text()).split('\n\n').length - 1),
      )
      expect(bodies).toEqual(Array.from({ length: 50 }, () => 20))
    })
  })
}
