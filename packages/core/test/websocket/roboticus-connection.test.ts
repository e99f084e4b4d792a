import { delay, say, scriptedModel, virtualClock } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { until } from '../surfaces/roboticus-server.ts'
import { pushServer } from './push-server.ts'

const model = () => scriptedModel([])

describe('what a client sends', () => {
  test('is acknowledged, message by message, whatever it is', async () => {
    await using server = await pushServer({ model: model() })
    const push = await server.connect()
    for (const text of ['{"type":"subscribe"}', '', 'x'.repeat(4096)]) push.socket.send(text)
    await until(() => push.frames.length === 4, 'three acknowledgements')
    expect(push.frames.slice(1)).toEqual([{ type: 'ack' }, { type: 'ack' }, { type: 'ack' }])
  })

  test('ends the connection when it is longer than 4096 bytes', async () => {
    await using server = await pushServer({ model: model() })
    const push = await server.connect()
    push.socket.send('é'.repeat(2049))
    expect((await push.closed).code).toBe(1009)
    await until(() => server.sockets.size === 0, 'no socket is left')
  })

  test('is left unanswered when it is binary', async () => {
    await using server = await pushServer({ model: model() })
    const push = await server.connect()
    push.socket.send(Buffer.from('x'))
    push.socket.send('x')
    await push.first('ack')
    expect(push.frames).toHaveLength(2)
  })
})

describe('a connection', () => {
  test('is pinged, and stays open as long as the client answers', async () => {
    const socketClock = virtualClock()
    await using server = await pushServer({ model: model(), socketClock })
    const push = await server.connect()
    let pings = 0
    push.socket.on('ping', () => {
      pings += 1
    })
    for (let times = 1; times <= 10; times += 1) {
      await socketClock.advance(30_000)
      await until(() => pings === times, 'a ping')
      push.socket.send('alive')
      await until(() => push.frames.length === times + 1, 'the server has heard of it')
    }
    expect(server.sockets.size).toBe(1)
  })

  test('is closed when nothing is heard for 90 seconds', async () => {
    const socketClock = virtualClock()
    await using server = await pushServer({ model: model(), socketClock })
    const push = await server.connect()
    // It answers no ping, as a client whose network is gone.
    push.socket.pong = () => {}
    await socketClock.advance(89_999)
    expect(server.sockets.size).toBe(1)
    await socketClock.advance(1)
    expect((await push.closed).code).toBe(1001)
  })

  test('of a client that stops reading is closed with 1013 while others go on', async () => {
    const chunk = 'x'.repeat(32_768)
    const count = 600
    // Between two chunks everybody who reads has the time to.
    const script = scriptedModel([Array.from({ length: count }, () => [say([chunk]), delay(1)]).flat()])
    const limits = { answerLength: count * chunk.length }
    // Of a clock that stands still: the slow client is not cut off before it has read why.
    await using server = await pushServer({ model: script, limits, socketClock: virtualClock() })
    const [slow, quick] = await Promise.all([server.connect(), server.connect()])
    slow.socket.pause()
    await server.runtime.client.run('assistant', { message: 'Go on' }).outcome
    slow.socket.resume()
    expect(await slow.closed).toEqual({ code: 1013, reason: 'the client reads too slowly' })
    await until(() => quick.frames.at(-1)?.['done'] === true, 'the end of the turn')
    const heard = ({ frames }: typeof slow) => frames.filter(({ delta }) => delta === chunk).length
    expect(heard(quick)).toBe(count)
    expect(heard(slow)).toBeLessThan(count)
  })

  test('is one of 200 that all hear everything', async () => {
    const chunks = Array.from({ length: 50 }, (_, index) => `${index} `)
    await using server = await pushServer({ model: scriptedModel([say(chunks)]) })
    const all = await Promise.all(Array.from({ length: 200 }, () => server.connect()))
    expect(server.sockets.size).toBe(200)
    await server.say('Count')
    await until(() => all.every(({ frames }) => frames.at(-1)?.['done'] === true), 'everybody has heard the end')
    for (const { frames } of all) expect(frames.map(({ delta }) => delta ?? '').join('')).toBe(chunks.join(''))
    for (const { socket } of all) socket.close()
    await until(() => server.sockets.size === 0, 'all are gone')
  })

  test('ends when the runtime stops', async () => {
    await using server = await pushServer({ model: model() })
    const push = await server.connect()
    await server.runtime.stop()
    expect(await push.closed).toEqual({ code: 1001, reason: 'the server stops' })
    expect((await server.refusal()).status).toBe(503)
  })

  test('ends when the sockets are closed, and no other one opens', async () => {
    await using server = await pushServer({ model: model() })
    const push = await server.connect()
    await server.sockets.close()
    expect(await push.closed).toEqual({ code: 1001, reason: 'the server stops' })
    expect((await server.refusal()).status).toBe(426)
  })
})
