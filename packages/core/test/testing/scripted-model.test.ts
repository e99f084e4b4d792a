import { describe, expect, it } from 'vitest'
import type { ModelPart, ModelRequest, Provider } from '../../src/capabilities/models/index.ts'
import {
  callTool,
  cut,
  delay,
  fail,
  finish,
  hang,
  respond,
  say,
  scriptedModel,
  think,
} from '../../src/testing/scripted-model.ts'

const requestOf = (text: string): ModelRequest => ({
  instructions: 'be brief',
  messages: [{ role: 'user', parts: [{ type: 'text', text }] }],
  tools: [{ name: 'add', description: 'adds', parameters: { type: 'object' } }],
  maxOutputTokens: 100,
})

async function ask(model: Provider, text = 'hi', signal = new AbortController().signal): Promise<ModelPart[]> {
  const parts: ModelPart[] = []
  for await (const part of model.stream('any', requestOf(text), signal)) parts.push(part)
  return parts
}

const usage = { input: 10, cacheRead: 0, cacheWrite: 0, output: 5, reasoning: 0 }

describe('a scripted model', () => {
  it('does one step per call, in order', async () => {
    const model = scriptedModel([say('Hello there, friend.'), callTool('add', { a: 1 }), say(['a', 'b'])])
    expect(await ask(model)).toEqual([
      { type: 'text', text: 'Hello' },
      { type: 'text', text: ' there,' },
      { type: 'text', text: ' friend.' },
      { type: 'finish', reason: 'stop', usage },
    ])
    expect(await ask(model)).toEqual([
      { type: 'tool-call', call: 'call_2_1', tool: 'add', arguments: '{"a":1}' },
      { type: 'finish', reason: 'tool-calls', usage },
    ])
    expect((await ask(model)).slice(0, 2)).toEqual([
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ])
    model.assertComplete()
  })

  it('keeps every character of a text it splits', async () => {
    for (const text of ['', ' ', 'a', ' a  b\n\nc ', 'word\n']) {
      const parts = await ask(scriptedModel([say(text)]))
      expect(parts.map((part) => (part.type === 'text' ? part.text : '')).join('')).toBe(text)
    }
  })

  it('thinks, speaks and makes parallel calls in one step', async () => {
    const step = [
      think('hm'),
      say(['now']),
      callTool('a', {}, { call: 'x' }),
      callTool('b', '{broken'),
      finish({ usage: { output: 9 } }),
    ]
    expect(await ask(scriptedModel([step]))).toEqual([
      { type: 'reasoning', text: 'hm' },
      { type: 'text', text: 'now' },
      { type: 'tool-call', call: 'x', tool: 'a', arguments: '{}' },
      { type: 'tool-call', call: 'call_1_2', tool: 'b', arguments: '{broken' },
      { type: 'finish', reason: 'tool-calls', usage: { ...usage, output: 9 } },
    ])
  })

  it('fails with the class, the wait and the text it was told', async () => {
    const model = scriptedModel([fail('rate-limit', { retryAfterMs: 1500, status: 429, afterText: 'so far' })])
    const parts: ModelPart[] = []
    const run = async () => {
      for await (const part of model.stream('m', requestOf('x'), new AbortController().signal)) parts.push(part)
    }
    await expect(run()).rejects.toMatchObject({ failure: 'rate-limit', retryAfterMs: 1500, status: 429 })
    expect(parts).toEqual([
      { type: 'text', text: 'so' },
      { type: 'text', text: ' far' },
    ])
  })

  it('ends without a finish when it is cut', async () => {
    expect(await ask(scriptedModel([[say(['a']), cut()]]))).toEqual([{ type: 'text', text: 'a' }])
  })

  it('hangs until it is aborted, and throws the reason', async () => {
    const controller = new AbortController()
    const running = ask(scriptedModel([[say('a'), hang()]]), 'hi', controller.signal)
    controller.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })

  it('says nothing to a caller that is gone already', async () => {
    await expect(ask(scriptedModel([say('a')]), 'hi', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  })

  it('waits by the clock it was given and stops waiting when aborted', async () => {
    const waits: { ms: number; run: () => void }[] = []
    let cancelled = 0
    const clock = {
      now: () => 0,
      after: (ms: number, run: () => void) => {
        waits.push({ ms, run })
        return () => void cancelled++
      },
    }
    const model = scriptedModel(
      [
        [delay(5000), say('late')],
        [delay(7000), say('never')],
      ],
      { clock },
    )
    const running = ask(model)
    await Promise.resolve()
    expect(waits.map(({ ms }) => ms)).toEqual([5000])
    waits[0]?.run()
    expect((await running)[0]).toEqual({ type: 'text', text: 'late' })

    const controller = new AbortController()
    const second = ask(model, 'hi', controller.signal)
    await Promise.resolve()
    controller.abort(new Error('enough'))
    await expect(second).rejects.toThrow('enough')
    expect(cancelled).toBe(1)
  })

  it('decides by the request when told to', async () => {
    const model = scriptedModel([respond(async ({ tools }) => [say([tools[0]?.name ?? '']), callTool('add')])])
    expect(await ask(model)).toMatchObject([{ text: 'add' }, { tool: 'add' }, { reason: 'tool-calls' }])
  })

  it('remembers what it was asked, unchanged by what happens later', async () => {
    const model = scriptedModel([say('a'), say('b')])
    const messages: ModelRequest['messages'][number][] = [{ role: 'user', parts: [{ type: 'text', text: 'one' }] }]
    const request = { ...requestOf(''), messages }
    for await (const _ of model.stream('m1', request, new AbortController().signal));
    messages.push({ role: 'assistant', parts: [] })
    for await (const _ of model.stream('m2', request, new AbortController().signal));
    expect(model.calls.map((call) => [call.model, call.request.messages.length])).toEqual([
      ['m1', 1],
      ['m2', 2],
    ])
    expect(() => Object.assign(messages[0]?.parts[0] ?? {}, { text: 'other' })).toThrow(TypeError)
  })

  it('fails loudly on a call that was not foreseen, even if the caller hides it', async () => {
    const model = scriptedModel([say('a')])
    await ask(model)
    await expect(ask(model, 'book a flight')).rejects.toThrow(/call 2 .*the script has 1 step\..*"book a flight"/)
    expect(() => model.assertComplete()).toThrow('call 2')
  })

  it('repeats the fallback step for as long as it is called', async () => {
    const model = scriptedModel([say('first')], { otherwise: say(['again']) })
    await ask(model)
    for (const _ of [1, 2, 3]) expect((await ask(model))[0]).toEqual({ type: 'text', text: 'again' })
    model.push(say(['pushed']))
    expect((await ask(model))[0]).toEqual({ type: 'text', text: 'pushed' })
    model.assertComplete()
  })

  it('names the steps that were not used', () => {
    const model = scriptedModel([say('Hello world'), [callTool('add', { a: 1 }), hang()], fail('overload')])
    expect(() => model.assertComplete()).toThrow(
      '3 of 3 steps were not used:\n  1. say "Hello world"\n  2. call add({"a":1}), then hang\n  3. fail with overload',
    )
  })
})
