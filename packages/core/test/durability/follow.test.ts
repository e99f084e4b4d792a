import type { Client, TurnEvent } from '@keelson/core'
import {
  callTool,
  createTestRuntime,
  delay,
  hang,
  respond,
  say,
  scriptedModel,
  settle,
  think,
  virtualClock,
} from '@keelson/core/testing'
import { sqliteStore } from '@keelson/store-sqlite'
import { describe, expect, test } from 'vitest'
import {
  agentOf,
  codeOf,
  collect,
  databaseFile,
  ends,
  followed,
  gate,
  noteTool,
  shownText,
  transcript,
  typesOf,
} from './scene.ts'

const echo = noteTool('echo', ({ note }) => note)

const words = ['Once ', 'upon ', 'a time', ' there was 😀', ' nothing', '.']

/** What one reader has been shown: the text of each step, taken back where it starts over. */
function stepTexts(events: readonly TurnEvent[], from: Map<number, string> = new Map()): Map<number, string> {
  for (const event of events) {
    if (event.type === 'step.started' || event.type === 'step.restarted') from.set(event.step, '')
    if (event.type === 'text.delta') from.set(event.step, (from.get(event.step) ?? '') + event.text)
  }
  return from
}

/** A seeded source of numbers, so that a failure can be had again. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

describe('following a turn', () => {
  test('begins in the middle, from the last position that was seen', async () => {
    const half = gate()
    const model = scriptedModel([
      callTool('echo', { note: 'x' }),
      [say(words.slice(0, 3)), respond(async () => half.passed.then(() => say(words.slice(3))))],
    ])
    await using runtime = await createTestRuntime({ agents: [agentOf([echo])], model })
    const { client } = runtime
    const turn = client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    const seen: TurnEvent[] = []
    for await (const event of turn.events()) {
      seen.push(event)
      if (event.type === 'text.delta' && event.text === 'a time') break
    }
    const late = followed(client, id, seen.at(-1)?.sequence)
    const whole = followed(client, id)
    half.open()
    const rest = await late
    expect(shownText([...seen, ...rest])).toBe(words.join(''))
    expect(await whole).toEqual([...seen, ...rest])
    expect(rest.at(-1)).toMatchObject({ type: 'turn.completed' })
  })

  test('gives readers of different speed the same, one event at a time or late in one piece', async () => {
    const many = Array.from({ length: 5_000 }, (_, index) => `${index} `)
    const model = scriptedModel([say(many)])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const turn = runtime.client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    const slow = async (every: number) => {
      const events: TurnEvent[] = []
      for await (const event of turn.events()) {
        events.push(event)
        if (events.length % every === 0) await settle()
      }
      return events
    }
    const readings = [...(await Promise.all([1, 7, 100, 10_000].map(slow))), await followed(runtime.client, id)]
    for (const events of readings) {
      expect(shownText(events)).toBe(many.join(''))
      expect(events.at(-1)).toMatchObject({ type: 'turn.completed' })
    }
  })

  test('of a queued turn begins when that does', async () => {
    const first = gate()
    const model = scriptedModel([respond(async () => first.passed.then(() => say('one'))), say('two')])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model, clock: virtualClock() })
    const { client } = runtime
    const { id: session } = await client.sessions.create({ agent: 'clerk' })
    const one = client.run('clerk', { session, message: 'a' })
    const two = client.run('clerk', { session, message: 'b' })
    const { id } = await two.accepted
    const reading = followed(client, id)
    await settle()
    first.open()
    expect(shownText(await reading)).toBe('two')
    expect((await one.result).text).toBe('one')
  })

  test('after the end gives the stored events, and nothing after the last of them', async () => {
    const model = scriptedModel([[think('hm'), say(words)]])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { client } = runtime
    const turn = client.run('clerk', { message: 'hi' })
    const live = await collect(turn)
    const { id } = await turn.accepted
    const stored = await followed(client, id)
    expect(shownText(stored)).toBe(shownText(live))
    expect(stored.at(-1)).toEqual(live.at(-1))
    expect(await followed(client, id, stored.at(-1)?.sequence)).toEqual([])
    expect(await followed(client, id, 10 ** 9)).toEqual([])
  })

  test('shows a stranger nothing, while it runs and after', async () => {
    const model = scriptedModel([hang()])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const turn = runtime.caller('ada').run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    const strangers: Client[] = [
      runtime.caller('bob'),
      runtime.caller('ada', { tenant: 'other' }),
      runtime.caller('root', { tenant: 'other', roles: ['operator'] }),
    ]
    const refused = async () => {
      for (const stranger of strangers) {
        expect(await codeOf(stranger.turns.follow({ id }))).toBe('TURN_NOT_FOUND')
        expect(await codeOf(stranger.attach(id).accepted)).toBe('TURN_NOT_FOUND')
        expect(await codeOf(collect(stranger.attach(id)))).toBe('TURN_NOT_FOUND')
      }
    }
    await refused()
    await runtime.client.turns.cancel({ id })
    await turn.outcome
    await refused()
    expect((await followed(runtime.caller('ada'), id)).at(-1)).toMatchObject({ type: 'turn.cancelled' })
  })

  test('stops for a reader that leaves, and for nobody else', async () => {
    const model = scriptedModel([[say('some'), hang()]])
    await using runtime = await createTestRuntime({ agents: [agentOf()], model })
    const { client } = runtime
    const turn = client.run('clerk', { message: 'hi' })
    const { id } = await turn.accepted
    const gone = new AbortController()
    const leaving = collect(turn.events({ signal: gone.signal }))
    const pending = turn.events()
    for (let event = await pending.next(); event.value?.type !== 'text.delta'; event = await pending.next());
    const staying = followed(client, id)
    await settle()
    gone.abort()
    expect(shownText(await leaving)).toBe('some')
    expect(await client.sessions.turn({ id })).toMatchObject({ status: 'running', cancelRequested: false })
    await client.turns.cancel({ id })
    expect((await staying).at(-1)).toMatchObject({ type: 'turn.cancelled' })
  })
})

describe('a turn that went through everything', () => {
  /** Two steps with tools, a taken-back answer and a crash in the middle of the third. */
  async function recorded() {
    const file = databaseFile()
    const clock = virtualClock()
    const options = { agents: [agentOf([echo])], clock, limits: { backoffMs: 1, flushMs: 10 } }
    const model = scriptedModel(
      [
        [say(['first ', 'step']), callTool('echo', { note: 'x' })],
        [think('well'), say(['half ', 'an answ']), respond(() => Promise.reject(new Error('cut')))],
        [think('so'), say(['second ', 'step 😀']), callTool('echo', { note: 'y' })],
        [say(['never ']), delay(12), say(['fini']), hang()],
        [say(['third ', 'step'])],
      ],
      { clock },
    )
    const first = await createTestRuntime({ ...options, model, store: sqliteStore(file) })
    const turn = first.client.run('clerk', { message: 'hi' })
    const { id, session } = await turn.accepted
    const live: TurnEvent[] = []
    const reading = (async () => {
      for await (const event of turn) live.push(event)
    })()
    // What was said before the tenth millisecond is stored, the rest is not.
    await clock.advance(15)
    await Promise.all([first.stop(), codeOf(reading)])
    const second = await createTestRuntime({ ...options, model, store: sqliteStore(file) })
    const stored = await followed(second.client, id)
    return { second, live, stored, id, session }
  }

  test('is replayed from any position as the rest of what a reader had seen', async () => {
    const { second, live, stored, id, session } = await recorded()
    await using runtime = second
    const answer = 'third step'
    expect((await transcript(runtime.client, session)).at(-1)).toBe(`assistant: ${answer}`)
    expect(stored.at(-1)).toMatchObject({ type: 'turn.completed' })
    const texts = new Map([
      [1, 'first step'],
      [2, 'second step 😀'],
      [3, answer],
    ])
    expect(stepTexts(stored)).toEqual(texts)
    expect(stepTexts(live).get(3)).toBe('never fini')
    const flushed = stored.slice(
      0,
      stored.findIndex(({ type }) => type === 'turn.resumed'),
    )
    expect(stepTexts(flushed).get(3)).toBe('never ')

    // Every prefix of the live events, cut at any position inside of a delta, and then the rest from the store.
    for (let count = 0; count <= live.length; count += 1) {
      const before = live.slice(0, count)
      const rest = await followed(runtime.client, id, before.at(-1)?.sequence ?? 0)
      expect(stepTexts(rest, stepTexts(before))).toEqual(texts)
      expect(ends(rest)).toHaveLength(1)
    }
  })

  test('has positions that only rise, and pieces that never overlap', async () => {
    const { second, live, stored, id } = await recorded()
    await using runtime = second
    for (const events of [live, stored]) {
      let position = 0
      for (const event of events) {
        const length = event.type === 'text.delta' || event.type === 'reasoning.delta' ? event.text.length : 1
        expect(event.sequence - length).toBeGreaterThanOrEqual(position)
        position = event.sequence
      }
    }
    const random = numbers(4)
    for (let round = 0; round < 200; round += 1) {
      const target = stored[random(stored.length)]
      if (!target) continue
      const after = Math.max(0, target.sequence - random(12))
      const rest = await followed(runtime.client, id, after)
      const expected = stored.flatMap((event): TurnEvent[] => {
        if (event.sequence <= after) return []
        const isDelta = event.type === 'text.delta' || event.type === 'reasoning.delta'
        if (!isDelta || event.sequence - event.text.length >= after) return [event]
        return [{ ...event, text: event.text.slice(after - event.sequence) }]
      })
      expect(rest).toEqual(expected)
    }
    expect(typesOf(await followed(runtime.client, id)).filter((type) => type === 'turn.resumed')).toHaveLength(1)
  })
})
