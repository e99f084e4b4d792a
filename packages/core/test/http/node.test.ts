import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { HttpRequest, HttpResponse, HttpSink } from '../../src/http/message.ts'
import { type NodeRequestOptions, nodeRequest, writeNodeResponse } from '../../src/http/node.ts'

type Handler = (req: IncomingMessage, res: ServerResponse) => void | Promise<void>

let handler: Handler
const server = createServer((req, res) => void handler(req, res))
let port = 0

beforeEach(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const wrap = (req: IncomingMessage, res: ServerResponse, more: Partial<NodeRequestOptions> = {}): HttpRequest =>
  nodeRequest(req, res, { path: '/', query: '', native: req, ...more })

const get = () => fetch(`http://127.0.0.1:${port}/`)
const code = (expected: string) => expect.objectContaining({ code: expected })

/** Sends a request head by hand and hands out what the server makes of it. */
function dial<Result>(
  head: string,
  use: (request: HttpRequest, req: IncomingMessage, socket: Socket) => Promise<Result>,
  bodyTimeoutMs = 30_000,
) {
  return new Promise<Result>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    handler = async (req, res) => {
      try {
        resolve(await use(wrap(req, res, { bodyTimeoutMs }), req, socket))
      } catch (error) {
        reject(error)
      } finally {
        res.end()
        socket.destroy()
      }
    }
    socket.write(head)
  })
}

const post = (headers: string, body = '') => `POST / HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n${body}`

describe('a request', () => {
  it('has its headers, its address and its body', async () => {
    const head = post('content-length: 5\r\nx-many: a\r\nX-Many: b\r\nset-cookie: c\r\nset-cookie: d', 'hello')
    const seen = await dial(head, async (request) => ({
      many: request.header('x-many'),
      cookies: request.header('set-cookie'),
      none: request.header('x-none'),
      address: request.remoteAddress,
      body: Buffer.from(await request.bytes(5)).toString(),
    }))
    expect(seen).toEqual({ many: 'a, b', cookies: 'c, d', none: undefined, address: '127.0.0.1', body: 'hello' })
  })

  it('gives the same bytes twice, but never more than asked for', async () => {
    await dial(post('content-length: 5', 'hello'), async (request) => {
      expect(await request.bytes(10)).toBe(await request.bytes(5))
      await expect(request.bytes(4)).rejects.toThrow(code('BODY_TOO_LARGE'))
    })
  })

  it.each(['x-none: 1', 'content-length: 0'])(
    'without a body (%s) has no bytes, and nothing is read',
    async (headers) => {
      const touched = await dial(post(headers), async (request, req) => {
        expect((await request.bytes(0)).byteLength).toBe(0)
        return req.readableDidRead
      })
      expect(touched).toBe(false)
    },
  )

  it('that declares too much is refused unread', async () => {
    const touched = await dial(post('content-length: 11', 'hello'), async (request, req) => {
      await expect(request.bytes(10)).rejects.toThrow(code('BODY_TOO_LARGE'))
      return req.readableDidRead
    })
    expect(touched).toBe(false)
  })

  it('that sends too much in chunks is refused, and nothing of it is kept', async () => {
    const head = post('transfer-encoding: chunked', `5\r\nhello\r\n6\r\n world\r\n`)
    await dial(head, async (request, req) => {
      await expect(request.bytes(10)).rejects.toThrow(code('BODY_TOO_LARGE'))
      await expect(request.bytes(100)).rejects.toThrow(code('BODY_TOO_LARGE'))
      expect(req.isPaused()).toBe(false)
      expect(req.listenerCount('data')).toBe(0)
    })
  })

  it('that stops in the middle is given up', async () => {
    await dial(
      post('content-length: 10', 'hello'),
      async (request) => {
        await expect(request.bytes(10)).rejects.toThrow(code('BODY_TIMEOUT'))
        expect(request.signal.aborted).toBe(false)
      },
      100,
    )
  })

  it('that the host has paused is read all the same', async () => {
    const body = await dial(post('content-length: 5', 'hello'), async (request, req) => {
      req.pause()
      return Buffer.from(await request.bytes(5)).toString()
    })
    expect(body).toBe('hello')
  })

  it('that was given up is answered, and its connection closed soon after', async () => {
    handler = async (req, res) => {
      await expect(wrap(req, res, { bodyTimeoutMs: 50 }).bytes(10)).rejects.toThrow(code('BODY_TIMEOUT'))
      await writeNodeResponse(res, { status: 408, headers: { 'content-length': '0' }, body: undefined })
    }
    const socket = connect(port, '127.0.0.1')
    socket.write(post('content-length: 10', 'hello'))
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    expect(answer).toMatch(/^HTTP\/1.1 408 /)
  })

  it('that trickles is given up too: the time is for all of the body', async () => {
    await dial(
      post('content-length: 1000', 'hello'),
      async (request, _req, socket) => {
        const trickle = setInterval(() => socket.write('x'), 20)
        try {
          await expect(request.bytes(1000)).rejects.toThrow(code('BODY_TIMEOUT'))
        } finally {
          clearInterval(trickle)
        }
      },
      100,
    )
  })

  it('whose client leaves rejects, and says so, however late it is asked', async () => {
    await dial(post('content-length: 10', 'hello'), async (request, req, socket) => {
      const reading = request.bytes(10)
      socket.destroy()
      await expect(reading).rejects.toThrow(code('CLIENT_GONE'))
      expect(req.complete).toBe(false)
    })
    await dial(post('content-length: 10', 'hello'), async (request, req, socket) => {
      const left = new Promise((resolve) => request.signal.addEventListener('abort', resolve))
      socket.destroy()
      await left
      await expect(request.bytes(10)).rejects.toThrow(code('CLIENT_GONE'))
      expect(request.signal.reason).toEqual(code('CLIENT_GONE'))
      expect(req.destroyed).toBe(true)
    })
  })

  it('that somebody else has read says so, unless the bytes were kept', async () => {
    await dial(post('content-length: 5', 'hello'), async (request, req) => {
      for await (const _ of req);
      await expect(request.bytes(10)).rejects.toThrow(code('RAW_BODY_CONSUMED'))
    })
    const kept = new Uint8Array(5)
    const request = wrap({ headers: {} } as IncomingMessage, { on: () => {} } as never, { rawBody: kept })
    expect(await request.bytes(5)).toBe(kept)
    await expect(request.bytes(4)).rejects.toThrow(code('BODY_TOO_LARGE'))
  })

  it('is not aborted by its own end', async () => {
    let signal: AbortSignal | undefined
    const closed = new Promise((resolve) => {
      handler = async (req, res) => {
        signal = wrap(req, res).signal
        res.on('close', resolve)
        await writeNodeResponse(res, { status: 204, headers: {}, body: undefined })
      }
    })
    await get()
    await closed
    expect(signal?.aborted).toBe(false)
  })
})

describe('a response', () => {
  const answer = (
    response: HttpResponse,
    onError?: (error: unknown) => void,
    before?: (res: ServerResponse) => void,
  ) => {
    handler = async (_req, res) => {
      before?.(res)
      await writeNodeResponse(res, response, onError)
    }
    return get()
  }
  const streaming = (body: (sink: HttpSink) => Promise<void>): HttpResponse => ({ status: 200, headers: {}, body })

  it('keeps the headers of the host and replaces its own', async () => {
    const response = await answer(
      { status: 201, headers: { 'content-length': '2', 'x-own': 'ours', vary: 'B' }, body: 'ok' },
      undefined,
      (res) => {
        res.setHeader('X-Host', '1')
        res.setHeader('X-Own', 'theirs')
        res.setHeader('Vary', ['A', 'C'])
      },
    )
    expect([response.status, await response.text()]).toEqual([201, 'ok'])
    expect(Object.fromEntries(response.headers)).toMatchObject({ 'x-host': '1', 'x-own': 'ours', vary: 'A, C, B' })
  })

  it('may be bytes', async () => {
    const response = await answer({ status: 200, headers: {}, body: Uint8Array.of(1, 2, 255) })
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(Uint8Array.of(1, 2, 255))
  })

  it('streams to its end', async () => {
    const response = await answer(
      streaming(async (sink) => {
        for (const chunk of ['a', 'é', 'c']) await sink.write(chunk)
      }),
    )
    expect(await response.text()).toBe('aéc')
  })

  it('is begun before the first chunk', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const response = await answer(streaming(() => released))
    release()
    expect(await response.text()).toBe('')
  })

  it('whose stream throws is cut off, so that nobody takes it for whole', async () => {
    const response = await answer(
      streaming(async (sink) => {
        await sink.write('half')
        throw new Error('broken')
      }),
    )
    await expect(response.text()).rejects.toThrow()
    expect((await answer({ status: 200, headers: {}, body: 'alive' })).status).toBe(200)
  })

  it('that has a header no one can send is a bare 500', async () => {
    const onError = vi.fn()
    const response = await answer(
      { status: 200, headers: { 'content-length': '2', 'x-a': 'a\nb' }, body: 'ok' },
      onError,
      (res) => res.setHeader('x-host', '1'),
    )
    expect([response.status, await response.text(), response.headers.get('x-host')]).toEqual([500, '', '1'])
    expect(onError).toHaveBeenCalledOnce()
  })

  it('is not written over one that was sent', async () => {
    const sent = vi.fn(async () => {})
    const onError = vi.fn()
    const response = await answer(streaming(sent), onError, (res) => void res.end('first'))
    expect(await response.text()).toBe('first')
    expect(onError).not.toHaveBeenCalled()
    expect(sent).not.toHaveBeenCalled()
  })

  it('waits for its reader, and lets go of the writer when the reader leaves', async () => {
    const { promise: waiting, resolve: waited } = Promise.withResolvers<void>()
    const written = new Promise<{ aborted: boolean; late: unknown }>((resolve, reject) => {
      handler = (_req, res) =>
        writeNodeResponse(
          res,
          streaming(async (sink) => {
            const chunk = 'x'.repeat(256 * 1024)
            let full = sink.write(chunk)
            // Two writers that wait are released together.
            for (let count = 0; full === undefined && count < 1_000; count += 1) full = sink.write(chunk)
            if (full === undefined) return reject(new Error('never pushed back'))
            expect(sink.write(chunk)).toBe(full)
            waited()
            while (!sink.signal.aborted) {
              await full
              full = sink.write(chunk)
            }
            resolve({ aborted: sink.signal.aborted, late: sink.write('late') })
          }),
        )
    })
    const client = request({ port, host: '127.0.0.1' }, (response) => response.pause())
    client.on('error', () => {})
    client.end()
    await waiting
    client.destroy()
    expect(await written).toEqual({ aborted: true, late: undefined })
  })

  it('does not write after its end', async () => {
    let sink: HttpSink | undefined
    const response = await answer(
      streaming(async (to) => {
        sink = to
        await to.write('all')
      }),
    )
    expect(await response.text()).toBe('all')
    expect(sink?.write('more')).toBeUndefined()
  })
})
