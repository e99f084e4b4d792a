import type { TurnEvent } from '@keelson/core'
import { settle } from '@keelson/core/testing'
import { describe, expect, test } from 'vitest'
import { LiveTurn } from '../../src/capabilities/realtime/live-turn.ts'
import { lastOf, replay } from '../../src/capabilities/realtime/turn-log.ts'
import { collect, shownText } from './scene.ts'

const at = 1

describe('the events of a turn while it runs', () => {
  test('stay few in memory however many pieces an answer has, and lose nothing', async () => {
    const live = new LiveTurn('t')
    let text = ''
    let most = 0
    live.stage({ type: 'step.started', step: 1, model: 'm', at })
    live.publish()
    for (let index = 0; index < 100_000; index += 1) {
      const piece = String(index % 10)
      text += piece
      live.delta('text.delta', 1, piece)
      most = Math.max(most, live.size)
    }
    live.end()
    expect(most).toBeLessThanOrEqual(1_025)
    expect(shownText(await collect(live.read(0)))).toBe(text)
    for (const after of [1, 2, 500, 99_000, 99_999, 100_000, 100_001]) {
      expect(shownText(await collect(live.read(after)))).toBe(text.slice(after - 1))
    }
  })

  test('stay few although 500 readers are slow, stop in the middle or leave', async () => {
    const live = new LiveTurn('t')
    const readers = Array.from({ length: 500 }, (_, index) => ({ events: live.read(0), every: index + 1, text: '' }))
    const read = async (reader: (typeof readers)[number]) => {
      const { value } = await reader.events.next()
      if (value?.type === 'text.delta') reader.text += value.text
    }
    let text = ''
    let most = 0
    for (let index = 0; index < 20_000; index += 1) {
      live.delta('text.delta', 1, 'abc')
      text += 'abc'
      most = Math.max(most, live.size)
      if (index % 100 === 0) {
        await Promise.all(readers.filter(({ every }) => index % every === 0).map(read))
      }
    }
    expect(most).toBeLessThanOrEqual(1_025)
    live.end()
    const leaving = readers.splice(0, 100)
    for (const { events } of leaving) await events.return?.()
    for (const { events } of leaving) expect(await events.next()).toEqual({ done: true, value: undefined })
    for (const reader of readers) reader.text += shownText(await collect(reader.events))
    expect(readers.every((reader) => reader.text === text)).toBe(true)
  })

  test('that cannot be merged are all kept, in their order', async () => {
    const live = new LiveTurn('t')
    const reading = collect(live.read(0))
    for (let index = 0; index < 20_000; index += 1) {
      live.stage({ type: 'tool.started', step: 1, call: `${index}`, tool: 'x', arguments: '{}' })
      live.publish()
      if (index % 50 === 0) await settle()
    }
    live.end()
    const calls = (await reading).map((event) => (event.type === 'tool.started' ? event.call : ''))
    expect(calls).toEqual(Array.from({ length: 20_000 }, (_, index) => `${index}`))
  })

  test('are shown in the order of their positions, staged ones when they are published', async () => {
    const live = new LiveTurn('t')
    const events: TurnEvent[] = []
    const reading = (async () => {
      for await (const event of live.read(0)) events.push(event)
    })()
    live.delta('text.delta', 1, 'abc')
    live.stage({ type: 'turn.waiting', at })
    await settle()
    expect(events.map(({ type }) => type)).toEqual(['text.delta'])
    live.publish()
    await settle()
    expect(events.map(({ sequence }) => sequence)).toEqual([3, 4])
    live.end()
    await reading
  })

  test('reject for readers when nobody goes on with the turn', async () => {
    const live = new LiveTurn('t')
    live.delta('text.delta', 1, 'abc')
    const reading = collect(live.read(0))
    live.fail(new Error('stopped'))
    await expect(reading).rejects.toThrow('stopped')
    await expect(collect(live.read(3))).rejects.toThrow('stopped')
  })

  test('let a reader go that waits for the next one', async () => {
    const live = new LiveTurn('t')
    const events = live.read(0)
    const waiting = events.next()
    await events.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    const gone = new AbortController()
    const aborted = live.read(0, gone.signal).next()
    gone.abort()
    expect(await aborted).toEqual({ done: true, value: undefined })
  })
})

describe('the stored log', () => {
  test('holds the pieces between two writes as one, and is read back from any position', () => {
    const live = new LiveTurn('t')
    let log = ''
    let text = ''
    live.stage({ type: 'step.started', step: 1, model: 'm', at })
    for (let index = 0; index < 300; index += 1) {
      const piece = ['a', 'bc', '😀', '"\n\u2028', '\u0000'][index % 5] ?? ''
      live.delta(index % 30 < 25 ? 'text.delta' : 'reasoning.delta', 1, piece)
      if (index % 30 < 25) text += piece
      if (index % 7 === 0) log += live.takeLog()
    }
    log += live.takeLog()
    expect(live.hasUnstored).toBe(false)
    const all = [...replay('t', log, 0)]
    expect(shownText(all)).toBe(text)
    expect(all.length).toBeLessThan(80)
    const end = all.at(-1)?.sequence ?? 0
    const whole = all.flatMap((event) => ('text' in event ? event.text : '\u0001')).join('')
    expect(whole).toHaveLength(end)
    for (let after = 0; after <= end; after += 1) {
      const rest = [...replay('t', log, after)].map((event) => ('text' in event ? event.text : '\u0001')).join('')
      expect(rest).toBe(whole.slice(after))
    }
    expect(lastOf('t', log)).toEqual(all.at(-1))
    expect(lastOf('t', '')).toBeUndefined()
  })

  test('takes lines back that could not be stored, in their place', () => {
    const live = new LiveTurn('t')
    live.delta('text.delta', 1, 'one ')
    const lost = live.takeLog()
    live.delta('text.delta', 1, 'two')
    live.putBack(lost)
    expect(shownText(replay('t', live.takeLog(), 0))).toBe('one two')
  })

  test('that holds a piece twice shows it once', () => {
    const live = new LiveTurn('t')
    live.delta('text.delta', 1, 'one ')
    const first = live.takeLog()
    live.delta('text.delta', 1, 'two')
    const second = live.takeLog()
    expect(shownText(replay('t', first + first + second + second, 0))).toBe('one two')
    expect(shownText(replay('t', first + first + second + second, 2))).toBe('e two')
  })

  test('goes on, when a turn is taken over, at positions that nobody can have been shown', async () => {
    const live = new LiveTurn('t')
    live.delta('text.delta', 1, 'stored')
    const log = live.takeLog()
    live.delta('text.delta', 1, ' and shown, never stored')
    const seen = await (async () => {
      const events: TurnEvent[] = []
      for await (const event of live.read(0)) {
        events.push(event)
        if (events.length === 2) break
      }
      return events.at(-1)?.sequence ?? 0
    })()
    const next = new LiveTurn('t', lastOf('t', log)?.sequence, 2)
    expect(next.first).toBe(6)
    next.stage({ type: 'turn.resumed', reason: 'takeover', at })
    next.publish()
    next.delta('text.delta', 1, 'anew')
    next.end()
    const last = new LiveTurn('t', lastOf('t', log)?.sequence, 3)
    last.delta('text.delta', 1, 'and again')
    last.end()
    expect(shownText(await collect(last.read((await collect(next.read(0))).at(-1)?.sequence ?? 0)))).toBe('and again')
    for (const after of [6, 7, seen]) {
      expect((await collect(next.read(after))).map(({ type }) => type)).toEqual(['turn.resumed', 'text.delta'])
    }
  })
})
