import { describe, expect, it } from 'vitest'
import type { ModelMessage, ModelPart, ModelRequest, ToolDescription } from '../../src/capabilities/models/index.ts'
import type { Part } from '../../src/capabilities/sessions/index.ts'
import { type RequestWriter, requestWriter, type WireOptions } from '../../src/providers/anthropic/request.ts'
import { endOfThought } from '../../src/providers/anthropic/thought.ts'

const options: WireOptions = {
  by: 'anthropic',
  thinking: undefined,
  showThinking: undefined,
  effort: undefined,
  cache: 'off',
  extraBody: {},
}

const writerOf = (more: Partial<WireOptions> = {}): RequestWriter =>
  requestWriter({ ...options, ...more }, (schema) => ({ ...schema, fitted: true }))

const user = (text: string): ModelMessage => ({ role: 'user', parts: [{ type: 'text', text }] })
const assistant = (...parts: Part[]): ModelMessage => ({ role: 'assistant', parts })
const called = (...calls: string[]): ModelMessage =>
  assistant(...calls.map((call): Part => ({ type: 'tool-call', call, tool: 'look', arguments: '{"x":1}' })))
const results = (...calls: string[]): ModelMessage => ({
  role: 'tool',
  parts: calls.map((call): Part => ({ type: 'tool-result', call, tool: 'look', output: 'seen' })),
})
const requestOf = (messages: readonly ModelMessage[], more: Partial<ModelRequest> = {}): ModelRequest => ({
  instructions: '',
  messages,
  tools: [],
  maxOutputTokens: 4_000,
  ...more,
})
const written = (messages: readonly ModelMessage[], more: Partial<WireOptions> = {}, model = 'claude-opus-4-6') =>
  writerOf(more).write(model, requestOf(messages))
const toolsOf = (...names: string[]): ToolDescription[] =>
  names.map((name) => ({ name, description: `does ${name}`, parameters: { type: 'object', properties: {} } }))

/** A thought as the loop stores it. */
const thought = (text: string, end: ModelPart): Part => {
  if (end.type !== 'reasoning' || !end.state) throw new Error('no thought')
  return { type: 'reasoning', text, state: end.state }
}
const signed = (text: string, signature: string, place = { text: 0, calls: 0 }, by = 'anthropic') =>
  thought(text, endOfThought(by, place, { signature }))

describe('a message on the wire', () => {
  it('of a user has texts and images', () => {
    const message: ModelMessage = {
      role: 'user',
      parts: [
        { type: 'text', text: 'look' },
        { type: 'image', mediaType: 'image/png', data: 'AAAA' },
        { type: 'image', url: 'https://example.test/a.png' },
      ],
    }
    expect(written([message]).messages).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'look' },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
          { type: 'image', source: { type: 'url', url: 'https://example.test/a.png' } },
        ],
      },
    ])
  })

  it('of a tool says what came of each call, and what failed', () => {
    const message: ModelMessage = {
      role: 'tool',
      parts: [
        { type: 'tool-result', call: 'a', tool: 'one', output: 'plain' },
        { type: 'tool-result', call: 'b', tool: 'one', output: { rows: [1] } },
        { type: 'tool-result', call: 'c', tool: 'one', output: 'no such row', isError: true },
        { type: 'tool-result', call: 'd', tool: 'one', output: '', isError: true },
      ],
    }
    expect(written([message]).messages).toEqual([
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'a', content: 'plain' },
          { type: 'tool_result', tool_use_id: 'b', content: '{"rows":[1]}' },
          { type: 'tool_result', tool_use_id: 'c', content: 'no such row', is_error: true },
          { type: 'tool_result', tool_use_id: 'd', content: 'failed', is_error: true },
        ],
      },
    ])
  })

  it.each([['{broken'], ['"text"'], ['[1]'], ['null'], ['']])(
    'replaces the arguments %j by an empty object',
    (args) => {
      const { messages } = written([assistant({ type: 'tool-call', call: 'a', tool: 'one', arguments: args })])
      expect(messages).toEqual([
        { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'one', input: {} }] },
      ])
    },
  )

  it('has ids that the vendor accepts, whoever gave them out, the same for call and result', () => {
    const { messages } = written([called('functions.look:0', 'call_1-x'), results('functions.look:0', 'call_1-x')])
    const ids = messages.flatMap(({ content }) =>
      typeof content === 'string'
        ? []
        : content.map((block) =>
            block.type === 'tool_use' ? block.id : block.type === 'tool_result' ? block.tool_use_id : '',
          ),
    )
    expect(ids[1]).toBe('call_1-x')
    expect(ids.slice(0, 2)).toEqual(ids.slice(2))
    expect(new Set(ids).size).toBe(2)
    for (const id of ids) expect(id).toMatch(/^[a-zA-Z0-9_-]+$/)
  })

  it('is left out when it says nothing to this vendor', () => {
    const blank = user('  \n')
    const foreign = assistant({ type: 'reasoning', text: 'hm', state: { other: { id: 'x' } } })
    expect(written([user('hi'), blank, foreign, assistant({ type: 'reasoning', text: 'unsigned' })]).messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'hi' }] },
    ])
  })

  it('of the system stands with the instructions', () => {
    const said: ModelMessage = { role: 'system', parts: [{ type: 'text', text: 'be kind' }] }
    const body = writerOf().write('m', requestOf([user('hi'), said], { instructions: 'be brief' }))
    expect(body.system).toEqual([
      { type: 'text', text: 'be brief' },
      { type: 'text', text: 'be kind' },
    ])
    expect(body.messages).toHaveLength(1)
  })

  it('is made once for as long as it is the same message', () => {
    const writer = writerOf()
    const one = user('one')
    const first = writer.write('m', requestOf([one])).messages
    expect(writer.write('m', requestOf([one, user('two')])).messages[0]).toBe(first[0])
  })
})

describe('a thought', () => {
  it('goes back as it came, before what it led to', () => {
    const message = assistant(
      signed('let me see', 'sig-1'),
      thought('', endOfThought('anthropic', { text: 0, calls: 0 }, { redacted: 'opaque' })),
      { type: 'text', text: 'Looking.' },
      { type: 'tool-call', call: 'a', tool: 'look', arguments: '{}' },
    )
    expect(written([message]).messages[0]?.content).toEqual([
      { type: 'thinking', thinking: 'let me see', signature: 'sig-1' },
      { type: 'redacted_thinking', data: 'opaque' },
      { type: 'text', text: 'Looking.' },
      { type: 'tool_use', id: 'a', name: 'look', input: {} },
    ])
  })

  it('between calls and texts goes back to its place', () => {
    const message = assistant(
      signed('first', 'sig-1'),
      signed('then', 'sig-2', { text: 4, calls: 0 }),
      signed('next', 'sig-3', { text: 8, calls: 1 }),
      { type: 'text', text: 'one two ' },
      ...['a', 'b'].map((call): Part => ({ type: 'tool-call', call, tool: 'look', arguments: '{}' })),
    )
    const { content } = written([message]).messages[0] ?? { content: [] }
    expect(content).toEqual([
      { type: 'thinking', thinking: 'first', signature: 'sig-1' },
      { type: 'text', text: 'one ' },
      { type: 'thinking', thinking: 'then', signature: 'sig-2' },
      { type: 'text', text: 'two ' },
      { type: 'tool_use', id: 'a', name: 'look', input: {} },
      { type: 'thinking', thinking: 'next', signature: 'sig-3' },
      { type: 'tool_use', id: 'b', name: 'look', input: {} },
    ])
  })

  it.each([
    ['of another provider', signed('hm', 'sig', undefined, 'other-account')],
    [
      'of another vendor',
      { type: 'reasoning', text: 'hm', state: { openai: { id: 'rs_1', encrypted: 'x' } } } as const,
    ],
    ['without a signature', thought('hm', endOfThought('anthropic', { text: 0, calls: 0 }, null))],
    ['whose state is damaged', { type: 'reasoning', text: 'hm', state: { anthropic: 7 } } as const],
  ])('%s is not sent', (_, part) => {
    const { messages } = written([assistant(part, { type: 'text', text: 'said' })])
    expect(messages[0]?.content).toEqual([{ type: 'text', text: 'said' }])
  })

  it('does not come last', () => {
    const { messages } = written([
      assistant({ type: 'text', text: 'said' }, signed('cut', 'sig', { text: 4, calls: 0 })),
    ])
    expect(messages[0]?.content).toEqual([{ type: 'text', text: 'said' }])
  })

  it('that was refused is not sent again, while newer ones are', () => {
    const writer = writerOf()
    const old = assistant(signed('old', 'sig-1'), { type: 'text', text: 'one' })
    const fresh = assistant(signed('new', 'sig-2'), { type: 'text', text: 'two' })
    expect(JSON.stringify(writer.write('m', requestOf([user('a'), old, user('b')])))).toContain('sig-1')
    expect(writer.forgetThoughts([user('a'), old, user('b')])).toBe(true)
    expect(writer.forgetThoughts([user('a'), old, user('b')])).toBe(false)
    const sent = JSON.stringify(writer.write('m', requestOf([user('a'), old, user('b'), fresh, user('c')])))
    expect(sent).not.toContain('sig-1')
    expect(sent).toContain('sig-2')
  })
})

describe('thinking', () => {
  const thinking = (asked: WireOptions['thinking'], model: string, more: Partial<ModelRequest> = {}, show?: boolean) =>
    writerOf({ thinking: asked, showThinking: show }).write(model, requestOf([user('hi')], more)).thinking

  it('is not mentioned unless it was asked for', () => {
    expect(thinking(undefined, 'claude-opus-5-5')).toBeUndefined()
  })

  it.each<[WireOptions['thinking'], string, unknown]>([
    ['adaptive', 'claude-opus-5-5', { type: 'adaptive' }],
    ['adaptive', 'claude-haiku-4-5-20251001', undefined],
    [{ budgetTokens: 2_000 }, 'claude-haiku-4-5', { type: 'enabled', budget_tokens: 2_000 }],
    [{ budgetTokens: 2_000 }, 'claude-opus-4-6', { type: 'enabled', budget_tokens: 2_000 }],
    [{ budgetTokens: 2_000 }, 'claude-opus-4-7', { type: 'adaptive' }],
    [{ budgetTokens: 2_000 }, 'claude-sonnet-5-5', { type: 'adaptive' }],
    [{ budgetTokens: 2_000 }, 'some/other-model', { type: 'enabled', budget_tokens: 2_000 }],
    ['between-tools', 'claude-sonnet-5-5', { type: 'between_tools' }],
    ['off', 'claude-sonnet-5-5', { type: 'between_tools' }],
    ['off', 'claude-sonnet-5', { type: 'disabled' }],
    ['off', 'claude-opus-5-5', undefined],
    ['off', 'claude-haiku-4-5', undefined],
  ])('%j is, for %s, what that model accepts', (asked, model, expected) => {
    expect(thinking(asked, model)).toEqual(expected)
  })

  it('stays below the tokens of the answer, or away', () => {
    expect(thinking({ budgetTokens: 9_000 }, 'claude-opus-4-6', { maxOutputTokens: 2_000 })).toMatchObject({
      budget_tokens: 1_999,
    })
    expect(thinking({ budgetTokens: 9_000 }, 'claude-opus-4-6', { maxOutputTokens: 1_024 })).toBeUndefined()
  })

  it('is shown or hidden as asked', () => {
    expect(thinking('adaptive', 'claude-opus-5-5', {}, true)).toEqual({ type: 'adaptive', display: 'summarized' })
    expect(thinking('adaptive', 'claude-opus-5-5', {}, false)).toEqual({ type: 'adaptive', display: 'omitted' })
  })

  it('with a budget pauses while it answers calls that another model made', () => {
    const write = (messages: readonly ModelMessage[]) =>
      writerOf({ thinking: { budgetTokens: 2_000 } }).write('claude-opus-4-6', requestOf(messages)).thinking
    const own = assistant(signed('hm', 'sig'), { type: 'tool-call', call: 'a', tool: 'look', arguments: '{}' })
    expect(write([user('hi'), own, results('a')])).toBeDefined()
    expect(write([user('hi'), called('a'), results('a')])).toBeUndefined()
    expect(write([user('hi'), own, results('a'), called('b'), results('b')])).toBeUndefined()
    expect(
      write([user('hi'), called('a'), results('a'), assistant({ type: 'text', text: 'so' }), user('and?')]),
    ).toBeDefined()
  })

  it('comes without a temperature, which the vendor no longer takes', () => {
    const body = writerOf().write('claude-haiku-4-5', requestOf([user('hi')], { temperature: 0.5 }))
    expect(body).not.toHaveProperty('temperature')
  })
})

describe('structured output', () => {
  it('is the format of the answer, its schema made once', () => {
    const writer = writerOf({ effort: 'low' })
    const output = { name: 'city', schema: { type: 'object', properties: {} } }
    const first = writer.write('m', requestOf([user('hi')], { output })).output_config
    expect(first).toEqual({
      effort: 'low',
      format: { type: 'json_schema', schema: { type: 'object', properties: {}, fitted: true } },
    })
    const second = writer.write('m', requestOf([user('hi')], { output })).output_config
    expect(second?.format?.schema).toBe(first?.format?.schema)
  })
})

describe('markers of the cache', () => {
  const marked = (value: unknown): number => JSON.stringify(value).split('"cache_control"').length - 1
  /** What a request says up to each of its markers: the entries that the server would write. */
  const entries = (body: ReturnType<RequestWriter['write']>): string[] => {
    const blocks: [string, boolean][] = []
    for (const block of [...(body.tools ?? []), ...(Array.isArray(body.system) ? body.system : [])]) {
      const { cache_control: marker, ...rest } = block as { cache_control?: unknown }
      blocks.push([JSON.stringify(rest), marker !== undefined])
    }
    for (const { role, content } of body.messages) {
      for (const block of typeof content === 'string' ? [] : content) {
        const { cache_control: marker, ...rest } = block as { cache_control?: unknown }
        blocks.push([role + JSON.stringify(rest), marker !== undefined])
      }
    }
    return blocks.flatMap(([, marker], index) =>
      marker
        ? [
            blocks
              .slice(0, index + 1)
              .map(([text]) => text)
              .join('\n'),
          ]
        : [],
    )
  }

  it('stand after tools, after instructions and at the end of the history, four at most', () => {
    const body = writerOf({ cache: '5m' }).write(
      'm',
      requestOf([user('one'), assistant({ type: 'text', text: 'two' }), user('three')], {
        instructions: 'be brief',
        tools: toolsOf('a', 'b'),
      }),
    )
    const marker = { cache_control: { type: 'ephemeral' } }
    expect(body.tools).toMatchObject([{ name: 'a' }, { name: 'b', ...marker }])
    expect(body.system).toMatchObject([{ text: 'be brief', ...marker }])
    expect(body.messages.map((message) => marked(message))).toEqual([1, 0, 1])
    expect(marked(body)).toBe(4)
  })

  it('hit what the request before has written, however many calls the step between them made', () => {
    const writer = writerOf({ cache: '5m' })
    const many = Array.from({ length: 32 }, (_, index) => `call_${index}`)
    const steps: ModelMessage[][] = [
      [user('go')],
      [called(...many), results(...many)],
      [assistant(signed('hm', 'sig'), ...called('z').parts), results('z')],
      [assistant({ type: 'text', text: 'done' }), user('again')],
      [called(...many), results(...many)],
    ]
    const tools = toolsOf('look')
    const history: ModelMessage[] = []
    let before: string[] = []
    for (const step of steps) {
      history.push(...step)
      const body = writer.write('m', requestOf([...history], { instructions: 'be brief', tools }))
      const now = entries(body)
      expect(now.length).toBeLessThanOrEqual(4)
      // The longest entry of the request before is among those that this one looks for.
      if (before.length > 0) expect(now).toContain(before.at(-1))
      before = now
    }
  })

  it('leave what is remembered of a message alone', () => {
    const writer = writerOf({ cache: '5m' })
    const one = user('one')
    writer.write('m', requestOf([one]))
    const later = writer.write(
      'm',
      requestOf([
        one,
        assistant({ type: 'text', text: 'x' }),
        user('two'),
        assistant({ type: 'text', text: 'y' }),
        user('three'),
      ]),
    )
    expect(later.messages.map((message) => marked(message))).toEqual([0, 0, 1, 0, 1])
  })

  it('name the hour when entries are to live so long, and can be left out', () => {
    expect(JSON.stringify(writerOf({ cache: '1h' }).write('m', requestOf([user('x')])))).toContain('"ttl":"1h"')
    expect(marked(writerOf().write('m', requestOf([user('x')], { instructions: 'y', tools: toolsOf('a') })))).toBe(0)
  })
})

describe('a tool', () => {
  it('is described once for as long as it is the same list', () => {
    const writer = writerOf()
    const tools = toolsOf('a')
    const first = writer.write('m', requestOf([user('x')], { tools })).tools
    expect(writer.write('m', requestOf([user('x')], { tools })).tools).toBe(first)
    expect(first).toEqual([{ name: 'a', description: 'does a', input_schema: { type: 'object', properties: {} } }])
  })

  it('takes an object, also when its schema does not say so', () => {
    const tools = [{ name: 'a', description: '', parameters: { properties: {} } }]
    expect(writerOf().write('m', requestOf([user('x')], { tools })).tools?.[0]).toMatchObject({
      input_schema: { type: 'object', properties: {} },
    })
  })
})
