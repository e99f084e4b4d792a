import { describe, expect, it } from 'vitest'
import type { ModelPart } from '../../src/capabilities/models/index.ts'
import { answerReader } from '../../src/providers/openai-compatible/answer.ts'
import { usageOf } from '../../src/providers/openai-compatible/usage.ts'

function readAll(toolDeltas: readonly unknown[], reason = 'tool_calls'): readonly ModelPart[] {
  const reader = answerReader()
  const parts: ModelPart[] = []
  for (const tool_calls of toolDeltas) reader.take({ choices: [{ index: 0, delta: { tool_calls } }] }, parts)
  reader.take({ choices: [{ index: 0, delta: {}, finish_reason: reason }] }, parts)
  return [...parts, ...reader.end()]
}

const callsIn = (parts: readonly ModelPart[]) =>
  parts.flatMap((part) => (part.type === 'tool-call' ? [[part.call, part.tool, part.arguments]] : []))

const piece = (more: Record<string, unknown>, name?: string, args?: unknown) => ({
  ...more,
  function: { ...(name === undefined ? {} : { name }), ...(args === undefined ? {} : { arguments: args }) },
})

describe('tool calls', () => {
  it('are put together by index, in whatever order the pieces come', () => {
    const parts = readAll([
      [piece({ index: 0, id: 'a' }, 'one', '')],
      [piece({ index: 1, id: 'b' }, 'two', '{"y"')],
      [piece({ index: 0 }, undefined, '{"x":'), piece({ index: 1 }, undefined, ':2}')],
      [piece({ index: 0 }, undefined, '1}')],
    ])
    expect(callsIn(parts)).toEqual([
      ['a', 'one', '{"x":1}'],
      ['b', 'two', '{"y":2}'],
    ])
  })

  it('are put together by id when there is no index', () => {
    const parts = readAll([
      [piece({ id: 'a' }, 'one', '{"x":')],
      [piece({ id: 'a' }, undefined, '1}')],
      [piece({ id: 'b' }, 'one', '{}')],
    ])
    expect(callsIn(parts)).toEqual([
      ['a', 'one', '{"x":1}'],
      ['b', 'one', '{}'],
    ])
  })

  it('are put together in order when there is neither, and get ids of their own', () => {
    const parts = readAll([
      [piece({}, 'one', '{"x":')],
      [piece({}, undefined, '1')],
      [piece({}, 'one', '}')],
      [piece({}, 'one', '{"x":2}')],
    ])
    const calls = callsIn(parts)
    expect(calls.map(([, ...rest]) => rest)).toEqual([
      ['one', '{"x":1}'],
      ['one', '{"x":2}'],
    ])
    expect(new Set(calls.map(([id]) => id)).size).toBe(2)
    for (const [id] of calls) expect(id).toMatch(/^call_.{8,}/)
  })

  it('stay apart when the server numbers them all 0, or gives them all one id', () => {
    const numbered = readAll([[piece({ index: 0, id: 'a' }, 'one', '{}'), piece({ index: 0, id: 'b' }, 'two', '{}')]])
    expect(callsIn(numbered)).toEqual([
      ['a', 'one', '{}'],
      ['b', 'two', '{}'],
    ])
    const named = callsIn(
      readAll([[piece({ index: 0, id: 'a' }, 'one', '{}'), piece({ index: 1, id: 'a' }, 'two', '{}')]]),
    )
    expect(named.map(([, tool]) => tool)).toEqual(['one', 'two'])
    expect(named[0]?.[0]).not.toBe(named[1]?.[0])
  })

  it('are not doubled when the server repeats id and name in every piece', () => {
    const parts = readAll([[piece({ index: 0, id: 'a' }, 'one', '{"x"')], [piece({ index: 0, id: 'a' }, 'one', ':1}')]])
    expect(callsIn(parts)).toEqual([['a', 'one', '{"x":1}']])
  })

  it('may give their arguments as an object, or none at all; broken ones are passed on', () => {
    const parts = readAll([
      [
        piece({ index: 0, id: 'a' }, 'one', { x: 1 }),
        piece({ index: 1, id: 'b' }, 'two'),
        piece({ index: 2, id: 'c' }, 'three', '{oops'),
      ],
    ])
    expect(callsIn(parts).map(([, , args]) => args)).toEqual(['{"x":1}', '{}', '{oops'])
  })

  it('cannot fill the memory', () => {
    const megabyte = 'x'.repeat(2 ** 20)
    const run = () => readAll(Array.from({ length: 20 }, () => [piece({ index: 0, id: 'a' }, 'one', megabyte)]))
    expect(run).toThrow(expect.objectContaining({ failure: 'malformed' }))
  })

  it.each([
    ['stop', true, 'tool-calls'],
    ['function_call', true, 'tool-calls'],
    ['tool_calls', false, 'stop'],
    ['length', true, 'length'],
    ['content_filter', false, 'content-filter'],
    ['eos', false, 'stop'],
    ['end_turn', true, 'tool-calls'],
    ['MAX_TOKENS', false, 'length'],
    ['abort', false, 'other'],
    ['toString', false, 'other'],
  ])('turn the reason %s into what it means (%s, %s)', (reason, called, expected) => {
    const parts = readAll(called ? [[piece({ index: 0, id: 'a' }, 'one', '{}')]] : [], reason)
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: expected })
  })
})

describe('usage', () => {
  const none = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 }

  it('is divided into buckets that add up to what was counted', () => {
    expect(
      usageOf({
        prompt_tokens: 1000,
        completion_tokens: 50,
        total_tokens: 1050,
        prompt_tokens_details: { cached_tokens: 600, cache_write_tokens: 100 },
        completion_tokens_details: { reasoning_tokens: 20 },
      }),
    ).toEqual({ input: 300, cacheRead: 600, cacheWrite: 100, output: 30, reasoning: 20 })
  })

  it('may count reasoning beside the completion', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 115 }
    expect(usageOf({ ...usage, completion_tokens_details: { reasoning_tokens: 100 } })).toEqual({
      ...none,
      input: 10,
      output: 5,
      reasoning: 100,
    })
  })

  it('may name cached tokens at the top', () => {
    expect(usageOf({ prompt_tokens: 10, completion_tokens: 1, prompt_cache_hit_tokens: 4 })).toEqual({
      ...none,
      input: 6,
      cacheRead: 4,
      output: 1,
    })
  })

  it.each([
    ['nothing', undefined],
    ['no object', 'many'],
    ['negative counts', { prompt_tokens: -5, completion_tokens: -1 }],
    ['fractions', { prompt_tokens: 1.5, completion_tokens: Number.NaN }],
    ['absurd counts', { prompt_tokens: 1e18, completion_tokens: Number.POSITIVE_INFINITY }],
    ['texts', { prompt_tokens: '5', completion_tokens: '7' }],
    ['details without a whole', { prompt_tokens_details: { cached_tokens: 50 }, completion_tokens_details: null }],
  ])('is nothing for %s', (_, value) => expect(usageOf(value)).toEqual(none))

  it('never makes a bucket negative', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 99 } }
    expect(usageOf({ ...usage, completion_tokens_details: { reasoning_tokens: 99 } })).toEqual({
      ...none,
      cacheRead: 10,
      reasoning: 5,
    })
  })
})
