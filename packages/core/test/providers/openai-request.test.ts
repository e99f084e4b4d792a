import { describe, expect, it } from 'vitest'
import type { ModelMessage, ModelRequest } from '../../src/capabilities/models/index.ts'
import { requestWriter, type WireOptions } from '../../src/providers/openai-compatible/request.ts'

const options: WireOptions = {
  maxTokensField: 'max_tokens',
  systemRole: 'system',
  usage: 'stream_options',
  returnReasoning: null,
  structuredOutput: true,
  imageURLs: true,
  parallelToolCalls: undefined,
  extraBody: {},
}

const requestOf = (...messages: readonly ModelMessage[]): ModelRequest => ({
  instructions: '',
  messages,
  tools: [],
  maxOutputTokens: 10,
})

const messagesOf = (message: ModelMessage, more: Partial<WireOptions> = {}) =>
  requestWriter({ ...options, ...more })('m', requestOf(message)).messages

describe('a message on the wire', () => {
  it('of the assistant has its text and its calls', () => {
    const message: ModelMessage = {
      role: 'assistant',
      parts: [
        { type: 'reasoning', text: 'hm' },
        { type: 'text', text: 'Let me' },
        { type: 'text', text: ' look.' },
        { type: 'tool-call', call: 'a', tool: 'one', arguments: '{"x":1}' },
      ],
    }
    const expected = {
      role: 'assistant',
      content: 'Let me look.',
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'one', arguments: '{"x":1}' } }],
    }
    expect(messagesOf(message)).toEqual([expected])
    expect(messagesOf(message, { returnReasoning: 'reasoning_content' })).toEqual([
      { ...expected, reasoning_content: 'hm' },
    ])
  })

  it.each([['{broken'], ['"text"'], ['[1]'], ['null'], ['']])(
    'replaces the arguments %j by an empty object',
    (args) => {
      const made = messagesOf({
        role: 'assistant',
        parts: [{ type: 'tool-call', call: 'a', tool: 'one', arguments: args }],
      })
      expect(made).toEqual([
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'a', type: 'function', function: { name: 'one', arguments: '{}' } }],
        },
      ])
    },
  )

  it('of a user shows images in their places, as bytes or by address', () => {
    const parts = [
      { type: 'text', text: 'Compare' },
      { type: 'image', mediaType: 'image/png', data: 'AAAA' },
      { type: 'image', url: 'https://example.com/b.png' },
    ] as const
    expect(messagesOf({ role: 'user', parts })).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Compare' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
          { type: 'image_url', image_url: { url: 'https://example.com/b.png' } },
        ],
      },
    ])
  })

  it('of a tool is one message per result, and says when it failed', () => {
    const made = messagesOf({
      role: 'tool',
      parts: [
        { type: 'tool-result', call: 'a', tool: 'one', output: 'plain' },
        { type: 'tool-result', call: 'b', tool: 'two', output: { rows: [1] } },
        { type: 'tool-result', call: 'c', tool: 'two', output: 'no such row', isError: true },
        { type: 'tool-result', call: 'd', tool: 'two', output: { code: 7 }, isError: true },
      ],
    })
    expect(made).toEqual([
      { role: 'tool', tool_call_id: 'a', content: 'plain' },
      { role: 'tool', tool_call_id: 'b', content: '{"rows":[1]}' },
      { role: 'tool', tool_call_id: 'c', content: 'Error: no such row' },
      { role: 'tool', tool_call_id: 'd', content: '{"error":{"code":7}}' },
    ])
  })

  it('of the assistant is left out when it says nothing', () => {
    expect(messagesOf({ role: 'assistant', parts: [{ type: 'reasoning', text: 'hm' }] })).toEqual([])
  })

  it('is made once for as long as it is the same message', () => {
    const write = requestWriter(options)
    const one: ModelMessage = { role: 'user', parts: [{ type: 'text', text: 'one' }] }
    const two: ModelMessage = { role: 'user', parts: [{ type: 'text', text: 'two' }] }
    const first = write('m', requestOf(one)).messages
    const second = write('m', requestOf(one, two)).messages
    expect(second[0]).toBe(first[0])
    expect(second).toHaveLength(2)
  })

  it('comes with each tool, described once', () => {
    const write = requestWriter(options)
    const tools = [{ name: 'one', description: 'does one', parameters: { type: 'object' } }]
    const first = write('m', { ...requestOf(), tools }).tools
    expect(first).toEqual([
      { type: 'function', function: { name: 'one', description: 'does one', parameters: { type: 'object' } } },
    ])
    expect(write('m', { ...requestOf(), tools }).tools?.[0]).toBe(first?.[0])
  })
})
