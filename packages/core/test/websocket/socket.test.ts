import { virtualClock } from '@keelson/core/testing'
import { describe, expect, test, vi } from 'vitest'
import { openSocket, type Socket, type SocketHandlers } from '../../src/http/websocket.ts'

/** A connection whose reader takes nothing until it is told to. */
class Line {
  bufferedAmount = 0
  pings = 0
  closed: [number, string] | null = null
  terminated = false
  readonly sent: string[] = []
  readonly #waiting: { readonly text: string; readonly left: () => void }[] = []
  /** Takes everything at once. */
  quick = false

  send(text: string, left: () => void): void {
    this.sent.push(text)
    if (this.quick) return
    this.bufferedAmount += text.length
    this.#waiting.push({ text, left })
  }

  /** Lets so many frames leave. */
  read(count: number): void {
    for (const { text, left } of this.#waiting.splice(0, count)) {
      this.bufferedAmount -= text.length
      left()
    }
  }

  ping(): void {
    this.pings += 1
  }

  close(code: number, reason: string): void {
    this.closed = [code, reason]
  }

  terminate(): void {
    this.terminated = true
  }
}

function scene(handlers: (socket: Socket) => SocketHandlers = () => ({})) {
  const line = new Line()
  const clock = virtualClock()
  const errors: unknown[] = []
  let socket: Socket | undefined
  const open = openSocket(
    {
      mostMessageBytes: 10,
      open(given) {
        socket = given
        return handlers(given)
      },
    },
    line,
    { clock, onError: (error) => errors.push(error) },
  )
  if (!socket) throw new Error('not opened')
  return { line, clock, errors, open, socket }
}

const tooSlow = [1013, 'the client reads too slowly']

describe('what waits for a slow client', () => {
  test('is at most 256 frames', () => {
    const { line, socket } = scene()
    for (let count = 0; count < 256; count += 1) socket.send('x')
    expect(line.closed).toBeNull()
    socket.send('x')
    expect(line.closed).toEqual(tooSlow)
    expect(line.sent).toHaveLength(256)
  })

  test('is at most 1 MiB', () => {
    const { line, socket } = scene()
    for (let count = 0; count < 16; count += 1) socket.send('x'.repeat(65_536))
    expect(line.closed).toBeNull()
    socket.send('x')
    expect(line.closed).toEqual(tooSlow)
  })

  test('may be one longer frame, when nothing else waits', () => {
    const { line, socket } = scene()
    socket.send('x'.repeat(2_000_000))
    expect([line.sent.length, line.closed]).toEqual([1, null])
    socket.send('x')
    expect(line.closed).toEqual(tooSlow)
  })

  test('does not count what has left: a client that keeps up, always a little behind, is never closed', () => {
    const { line, socket } = scene()
    for (let count = 0; count < 200; count += 1) socket.send('x')
    for (let count = 0; count < 10_000; count += 1) {
      socket.send('x')
      line.read(1)
    }
    expect(line.closed).toBeNull()
  })

  test('does not count what left before anybody said so', () => {
    const { line, socket } = scene()
    line.quick = true
    for (let count = 0; count < 10_000; count += 1) socket.send('x')
    expect([line.sent.length, line.closed]).toEqual([10_000, null])
  })

  test('is given up together with the client: nothing more is sent, and it is cut off if it does not answer', async () => {
    const closed = vi.fn()
    const { clock, line, socket } = scene(() => ({ closed }))
    for (let count = 0; count < 300; count += 1) socket.send('x')
    expect(line.sent).toHaveLength(256)
    expect(closed).toHaveBeenCalledOnce()
    await clock.advance(4_999)
    expect(line.terminated).toBe(false)
    await clock.advance(1)
    expect(line.terminated).toBe(true)
  })
})

describe('a connection', () => {
  test('is pinged every 30 seconds', async () => {
    const { clock, line, open } = scene()
    for (let times = 1; times <= 20; times += 1) {
      await clock.advance(30_000)
      expect(line.pings).toBe(times)
      open.heard()
    }
    expect(line.closed).toBeNull()
  })

  test('is closed 90 seconds after the last sign of life, to the millisecond', async () => {
    const { clock, line, open } = scene()
    await clock.advance(50_123)
    open.heard()
    await clock.advance(89_999)
    expect(line.closed).toBeNull()
    await clock.advance(1)
    expect(line.closed?.[0]).toBe(1001)
  })

  test('lives no longer because the clock was set back', async () => {
    const { clock, line } = scene()
    clock.shift(-3_600_000)
    await clock.advance(120_000)
    expect(line.closed?.[0]).toBe(1001)
  })

  test('leaves no timer when it has ended', async () => {
    const { clock, line, open, socket } = scene()
    socket.close(1000, 'enough')
    expect([line.closed, clock.pending]).toEqual([[1000, 'enough'], 1])
    open.closed()
    expect(clock.pending).toBe(0)
  })
})

describe('a surface', () => {
  test('is told once that the connection closes, however it does', () => {
    const closed = vi.fn()
    const { open, socket } = scene(() => ({ closed }))
    socket.close(1000, '')
    socket.close(1000, '')
    open.close(1001, '')
    open.closed()
    expect(closed).toHaveBeenCalledOnce()
  })

  test('is told also when it closes the connection while it opens', () => {
    const closed = vi.fn()
    const { line } = scene((socket) => {
      socket.close(1001, 'no')
      return { closed }
    })
    expect(line.closed).toEqual([1001, 'no'])
    expect(closed).toHaveBeenCalledOnce()
  })

  test('gets no text after the end', () => {
    const texts: string[] = []
    const { open, socket } = scene(() => ({ text: (text) => void texts.push(text) }))
    open.text('one')
    socket.close(1000, '')
    open.text('two')
    expect(texts).toEqual(['one'])
  })

  test.each([
    ['opens', () => fail()],
    ['gets a text', () => ({ text: fail })],
  ])('that throws when it %s is reported, and the client sees 1011 without a word of it', (_when, handlers) => {
    const { errors, line, open } = scene(handlers)
    open.text('x')
    expect(line.closed).toEqual([1011, 'internal error'])
    expect(errors).toEqual([new Error('broken')])
  })

  test('that throws when it is told of the end is reported', () => {
    const { errors, open } = scene(() => ({ closed: fail }))
    open.closed()
    expect(errors).toHaveLength(1)
  })
})

function fail(): never {
  throw new Error('broken')
}
