import { describe, expect, it } from 'vitest'
import type { ModelMessage, ModelPart, ModelRequest } from '../../src/capabilities/models/index.ts'
import type { Json } from '../../src/kernel/json.ts'
import { demo } from '../../src/providers/demo.ts'

const tools: ModelRequest['tools'] = [
  {
    name: 'calculator',
    description: 'computes',
    parameters: { type: 'object', properties: { expression: { type: 'string' } }, required: ['expression'] },
  },
  {
    name: 'write_note',
    description: 'notes',
    parameters: {
      type: 'object',
      properties: { title: { type: 'string' }, content: { type: 'string' } },
      required: ['title', 'content'],
    },
  },
  { name: 'clock', description: 'time', parameters: { type: 'object', properties: {} } },
]

const user = (text: string): ModelMessage => ({ role: 'user', parts: [{ type: 'text', text }] })

async function ask(
  messages: readonly ModelMessage[],
  more: Partial<ModelRequest> = {},
  signal = new AbortController().signal,
): Promise<ModelPart[]> {
  const request = { instructions: 'be brief', messages, tools, maxOutputTokens: 1000, ...more }
  const parts: ModelPart[] = []
  for await (const part of demo().stream('demo', request, signal)) parts.push(part)
  return parts
}

const textIn = (parts: readonly ModelPart[]) => parts.map((part) => (part.type === 'text' ? part.text : '')).join('')

const callIn = (parts: readonly ModelPart[]) => {
  const call = parts.find((part) => part.type === 'tool-call')
  return call && { tool: call.tool, args: JSON.parse(call.arguments) as Json }
}

describe('the demo model', () => {
  it('says plainly that there is no model behind it', async () => {
    const parts = await ask([user('Tell me a joke')])
    expect(textIn(parts)).toContain('no real model')
    expect(textIn(parts)).toContain('"Tell me a joke"')
    expect(parts.length).toBeGreaterThan(10)
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' })
  })

  it('always answers the same', async () => {
    expect(await ask([user('hello')])).toEqual(await ask([user('hello')]))
  })

  it.each([
    ['what is 6 * 7?', '6*7'],
    ['2+2', '2+2'],
    ['Compute (3 + 4) / 2.', '(3+4)/2'],
    ['how much is 1,000 times 3', '1000*3'],
    ['12 ÷ 4 = ?', '12/4'],
    ['2 ^ 10', '2^10'],
  ])('sends %j to the calculator', async (text, expression) => {
    const parts = await ask([user(text)])
    expect(callIn(parts)).toEqual({ tool: 'calculator', args: { expression } })
    expect(parts.at(-1)).toMatchObject({ reason: 'tool-calls' })
  })

  it.each([['I was born on 1999-12-31'], ['call me at 7'], ['chapter (3'], ['1)+(2'], ['a - b']])(
    'sees no arithmetic in %j',
    async (text) => expect(callIn(await ask([user(text)]))).toBeUndefined(),
  )

  it.each([
    ['Please remember that I like tea', 'I like tea'],
    ['note: buy 2+2 eggs', 'buy 2+2 eggs'],
    ['Can you write down that the key is under the mat', 'the key is under the mat'],
  ])('writes a note for %j', async (text, note) => {
    expect(callIn(await ask([user(text)]))).toEqual({ tool: 'write_note', args: { content: note, title: note } })
  })

  it('does not take a question about memory for a note', async () => {
    expect(callIn(await ask([user('Do you remember my name?')]))).toBeUndefined()
  })

  it('asks the clock for the time', async () => {
    expect(callIn(await ask([user('What time is it?')]))).toEqual({ tool: 'clock', args: {} })
  })

  it('calls no tool that it was not given', async () => {
    for (const text of ['6*7', 'note: x', 'what time is it']) {
      expect(textIn(await ask([user(text)], { tools: [] }))).toContain('no real model')
    }
  })

  it('answers with what the tools said', async () => {
    const messages: readonly ModelMessage[] = [
      user('6*7'),
      { role: 'assistant', parts: [{ type: 'tool-call', call: 'c', tool: 'calculator', arguments: '{}' }] },
      { role: 'tool', parts: [{ type: 'tool-result', call: 'c', tool: 'calculator', output: 42 }] },
      {
        role: 'tool',
        parts: [{ type: 'tool-result', call: 'd', tool: 'write_note', output: 'it was denied', isError: true }],
      },
    ]
    const text = textIn(await ask(messages))
    expect(text).toContain('calculator says: 42')
    expect(text).toContain('write_note did not succeed: it was denied')
    expect(textIn(await ask([...messages, { role: 'assistant', parts: [] }, user('thanks')]))).toContain('"thanks"')
  })

  it('counts a quarter of the bytes as tokens, and stops at the limit', async () => {
    const all = await ask([user('hello')], { tools: [] })
    const bytes = Buffer.byteLength(textIn(all))
    expect(all.at(-1)).toMatchObject({
      usage: { input: Math.ceil(('be brief'.length + 5) / 4), output: Math.ceil(bytes / 4) },
    })
    const cut = await ask([user('hello')], { tools: [], maxOutputTokens: 5 })
    expect(cut.at(-1)).toMatchObject({ reason: 'length' })
    expect(Buffer.byteLength(textIn(cut))).toBeLessThanOrEqual(20)
  })

  it('stops when it is aborted', async () => {
    await expect(ask([user('x')], {}, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
    const controller = new AbortController()
    const parts: ModelPart[] = []
    const run = async () => {
      const request = { instructions: '', messages: [user('x')], tools: [], maxOutputTokens: 1000 }
      for await (const part of demo().stream('demo', request, controller.signal)) {
        parts.push(part)
        controller.abort(new Error('enough'))
      }
    }
    await expect(run()).rejects.toThrow('enough')
    expect(parts).toHaveLength(1)
  })

  it('takes a very long message in its stride', async () => {
    const parts = await ask([user('1+'.repeat(500_000))])
    expect(parts.at(-1)).toMatchObject({ type: 'finish' })
  })
})
