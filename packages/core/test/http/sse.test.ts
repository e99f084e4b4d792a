import { describe, expect, it } from 'vitest'
import { answerEvents, eventStream, frameComment, frameEvent } from '../../src/http/sse.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { testSink } from './surfaces.ts'

/** Reads frames as the HTML standard tells clients to. */
function readEvents(text: string) {
  const events: { data: string; id: string; event: string }[] = []
  let data: string[] = []
  let id = ''
  let event = ''
  for (const line of text.split(/\r\n|\r|\n/)) {
    if (line === '') {
      if (data.length > 0) events.push({ data: data.join('\n'), id, event })
      data = []
      event = ''
      continue
    }
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') data.push(value)
    else if (field === 'event') event = value
    else if (field === 'id' && !value.includes('\0')) id = value
  }
  return events
}

function handClock(): Clock & { advance(ms: number): void; timers(): number } {
  let now = 0
  let timers: { at: number; run: () => void }[] = []
  return {
    now: () => now,
    after(ms, run) {
      const timer = { at: now + ms, run }
      timers.push(timer)
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
    advance(ms) {
      const end = now + ms
      for (;;) {
        const due = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (due === undefined) break
        now = due.at
        timers = timers.filter((other) => other !== due)
        due.run()
      }
      now = end
    },
    timers: () => timers.length,
  }
}

describe('frames', () => {
  it('are one event each', () => {
    expect(frameEvent({ data: '{"a":1}' })).toBe('data: {"a":1}\n\n')
    expect(frameEvent({ data: 'x', id: '7', event: 'text.delta' })).toBe('id: 7\nevent: text.delta\ndata: x\n\n')
    expect(frameEvent({ data: '', event: '' })).toBe('data: \n\n')
    expect(frameEvent({ data: 'x', id: '' })).toBe('id: \ndata: x\n\n')
  })

  it.each(['a\nb', 'a\r\nb', 'a\rb', '\n', 'a\n\nevent: fake\ndata: b', ' leading', 'a\n\n\n'])(
    'bring the lines of %j over unchanged',
    (data) => {
      expect(readEvents(frameEvent({ data, id: '1' }))).toEqual([
        { data: data.replace(/\r\n?/g, '\n'), id: '1', event: '' },
      ])
    },
  )

  it.each(['1\ndata: fake', '1\r\n\r\ndata: fake\n\n', '1\rretry: 1', '\n\n', '1\0'])(
    'cannot be broken out of by the id or name %j',
    (evil) => {
      const frame = frameEvent({ data: 'real', id: evil, event: evil })
      expect(frame).not.toContain('\0')
      const events = readEvents(frame)
      expect(events).toHaveLength(1)
      expect(events[0]?.data).toBe('real')
      expect(frame.split('\n').filter((line) => line.startsWith('retry'))).toEqual([])
    },
  )

  it('of comments stay comments', () => {
    expect(readEvents(frameComment('hello\n\ndata: fake\r\rdata: fake'))).toEqual([])
    expect(frameComment('hello')).toBe(': hello\n\n')
  })
})

describe('an event stream', () => {
  it('sends what it is told and ends with its work', async () => {
    const { sink, chunks } = testSink()
    const clock = handClock()
    await eventStream(
      async ({ send, comment }) => {
        expect(send({ data: '1' })).toBeUndefined()
        await comment('c')
        await send({ data: '2' })
      },
      { clock },
    )(sink)
    expect(chunks).toEqual(['data: 1\n\n', ': c\n\n', 'data: 2\n\n'])
    expect(clock.timers()).toBe(0)
  })

  it('hands the back-pressure of its sink on', async () => {
    const to = testSink()
    const steps: string[] = []
    const running = eventStream(async ({ send }) => {
      to.block()
      await send({ data: '1' })
      steps.push('caught up')
    })(to.sink)
    await new Promise(setImmediate)
    expect(steps).toEqual([])
    to.release()
    await running
    expect(steps).toEqual(['caught up'])
  })

  it('has one timer and beats only when idle', async () => {
    const to = testSink()
    const clock = handClock()
    let finish: () => void = () => {}
    let say: (data: string) => void = () => {}
    const running = eventStream(
      ({ send }) => {
        say = (data) => void send({ data })
        return new Promise((resolve) => {
          finish = resolve
        })
      },
      { heartbeatMs: 100, clock },
    )(to.sink)
    for (let event = 0; event < 10; event += 1) {
      clock.advance(50)
      say('x')
      expect(clock.timers()).toBe(1)
    }
    expect(to.chunks.filter((chunk) => chunk.startsWith(':'))).toEqual([])
    clock.advance(99)
    expect(to.chunks).toHaveLength(10)
    clock.advance(1)
    expect(to.chunks.slice(10)).toEqual([':\n\n'])
    clock.advance(200)
    expect(to.chunks.slice(10)).toHaveLength(3)
    finish()
    await running
    expect(clock.timers()).toBe(0)
  })

  it('does not beat on a client that is behind', async () => {
    const to = testSink()
    const clock = handClock()
    let finish: () => void = () => {}
    to.block()
    const running = eventStream(
      ({ send }) => {
        void send({ data: 'x' })
        return new Promise((resolve) => {
          finish = resolve
        })
      },
      { heartbeatMs: 100, clock },
    )(to.sink)
    clock.advance(1_000)
    expect(to.chunks).toEqual(['data: x\n\n'])
    to.release()
    await new Promise(setImmediate)
    clock.advance(200)
    expect(to.chunks.length).toBeGreaterThan(1)
    finish()
    await running
  })

  it('ends when the client leaves, even if its work does not notice, and sends nothing after that', async () => {
    const to = testSink()
    const clock = handClock()
    let fail: (error: Error) => void = () => {}
    let say: () => unknown = () => {}
    const running = eventStream(
      ({ send }) => {
        say = () => send({ data: 'late' })
        return new Promise((_, reject) => {
          fail = reject
        })
      },
      { clock },
    )(to.sink)
    to.leave()
    await running
    expect(clock.timers()).toBe(0)
    expect(say()).toBeUndefined()
    expect(to.chunks).toEqual([])
    fail(new Error('nobody hears this'))
    await new Promise(setImmediate)
  })

  it('rejects with what broke its work', async () => {
    const clock = handClock()
    const broken = eventStream(() => Promise.reject(new Error('broken')), { clock })
    await expect(broken(testSink().sink)).rejects.toThrow('broken')
    expect(clock.timers()).toBe(0)
  })

  it('does not begin for a client that is gone', async () => {
    const to = testSink()
    to.leave()
    await eventStream(() => Promise.reject(new Error('was run')))(to.sink)
  })

  it('is answered with headers that forbid holding it back', () => {
    expect(answerEvents(async () => {})).toMatchObject({
      type: 'text/event-stream',
      headers: { 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
    })
  })
})
