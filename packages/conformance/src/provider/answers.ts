import { expect, it } from 'vitest'
import { ended } from './fake-server.ts'
import type { FakeItem, ProviderKit } from './kit.ts'
import { against, ask, callsIn, text, textIn, thoughtIn, typesIn } from './reading.ts'
import { usage as allBuckets, asAnswered, request } from './requests.ts'

const lookup: FakeItem = { type: 'call', call: 'call_a', tool: 'kit_lookup', arguments: '{"key":"ä\\"{}"}' }
const deep: FakeItem = { type: 'call', call: 'call_b', tool: 'kit_lookup', arguments: '{"key":[1,2,{"deep":true}]}' }
const other: FakeItem = { type: 'call', call: 'call_c', tool: 'kit_other', arguments: '{}' }

const asPart = (item: FakeItem) => (item.type === 'call' ? { ...item, type: 'tool-call' } : item)

/** What a whole answer becomes. */
export function describeAnswers(kit: ProviderKit): void {
  const [run, get] = [against(kit), ask(kit)]
  const usage = kit.usage ?? allBuckets
  const answering = (items: readonly FakeItem[], end = ended()) => ({ kind: 'answer', items, end }) as const

  it('streams text in order and ends with one finish', () =>
    run(answering([text('Grüße', ' aus', ' 東京', ' 🎌')]), async (server) => {
      const { parts, error } = await get(server)
      expect(error).toBeUndefined()
      expect(textIn(parts)).toBe('Grüße aus 東京 🎌')
      expect(parts.filter(({ type }) => type === 'text').length).toBeGreaterThan(1)
      expect(parts.filter(({ type }) => type === 'finish')).toHaveLength(1)
      expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' })
    }))

  it('reads characters and lines that are torn apart on the way', () =>
    run({ ...answering([text('Grüße 🎌')]), torn: true }, async (server) => {
      expect(textIn((await get(server)).parts)).toBe('Grüße 🎌')
    }))

  it('reports usage to the token, in disjoint buckets', () =>
    run(answering([text('x')], ended('stop', usage)), async (server) => {
      expect((await get(server)).parts.at(-1)).toMatchObject({ usage })
    }))

  it('gives parallel calls whole and in order, after the text before them', () =>
    run(answering([text('Let me', ' look.'), lookup, deep, other], ended('tool-calls', usage)), async (server) => {
      const { parts, error } = await get(server)
      expect(error).toBeUndefined()
      expect(typesIn(parts)).toEqual(['text', 'tool-call', 'finish'])
      expect(textIn(parts)).toBe('Let me look.')
      expect(callsIn(parts)).toEqual([lookup, deep, other].map(asPart))
      expect(parts.at(-1)).toMatchObject({ reason: 'tool-calls', usage })
    }))

  it('keeps text and calls that take turns apart, each in its order', () =>
    run(answering([text('One.'), lookup, text(' Two.'), deep], ended('tool-calls')), async (server) => {
      const { parts, error } = await get(server)
      expect(error).toBeUndefined()
      expect(textIn(parts)).toBe('One. Two.')
      expect(callsIn(parts)).toEqual([lookup, deep].map(asPart))
      expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'tool-calls' })
    }))

  it('gives calls without any text', () =>
    run(answering([lookup], ended('tool-calls', usage)), async (server) => {
      const { parts } = await get(server)
      expect(parts).toEqual([asPart(lookup), { type: 'finish', reason: 'tool-calls', usage }])
    }))

  it('finishes an empty answer', () =>
    run(answering([]), async (server) => {
      const { parts, error } = await get(server)
      expect(error).toBeUndefined()
      expect(textIn(parts)).toBe('')
      expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' })
    }))

  for (const reason of ['length', 'content-filter'] as const) {
    it(`says that an answer was ended by ${reason}`, () =>
      run(answering([text('so far')], ended(reason)), async (server) => {
        const { parts, error } = await get(server)
        expect(error).toBeUndefined()
        expect(textIn(parts)).toBe('so far')
        expect(parts.at(-1)).toMatchObject({ type: 'finish', reason })
      }))
  }

  it('waits for a slow first token', () =>
    run({ ...answering([text('at', ' last')]), afterMs: 300 }, async (server) => {
      expect(textIn((await get(server)).parts)).toBe('at last')
    }))

  it('keeps streams at once apart', () =>
    run(answering([text('one', ' two', ' three')]), async (server) => {
      const outcomes = await Promise.all([get(server), get(server), get(server)])
      expect(outcomes.map(({ parts }) => textIn(parts))).toEqual(Array(3).fill('one two three'))
    }))

  if (kit.reasoning === undefined || kit.reasoning === 'none') return

  const thought: FakeItem = { type: 'reasoning', chunks: ['Let me', ' think.'], state: 'kit-state' }

  it('keeps thoughts apart from text', () =>
    run(answering([thought, text('Yes.')]), async (server) => {
      const { parts, error } = await get(server)
      expect(error).toBeUndefined()
      expect(typesIn(parts)).toEqual(['reasoning', 'text', 'finish'])
      expect(thoughtIn(parts)).toBe('Let me think.')
      expect(textIn(parts)).toBe('Yes.')
    }))

  if (kit.reasoning !== 'state') return

  it('sends back what came with a thought, and the thought once', () =>
    run(answering([thought, lookup], ended('tool-calls')), async (server) => {
      const { parts } = await get(server)
      const results = [{ type: 'tool-result', call: 'call_a', tool: 'kit_lookup', output: 'found' }] as const
      const messages = [...request.messages, asAnswered(parts), { role: 'tool', parts: results } as const]
      await get(server, { ...request, messages })
      const [first, second] = server.received().map((body) => JSON.stringify(body))
      expect(first).not.toContain('kit-state')
      expect(second?.split('kit-state')).toHaveLength(2)
      expect(second?.split('Let me think.').length).toBeLessThanOrEqual(2)
    }))

  it('does not send back a thought that came from elsewhere', () =>
    run(answering([text('x')]), async (server) => {
      const strange = { type: 'reasoning', text: 'kit-strange', state: { other: 'kit-foreign' } } as const
      const messages = [
        ...request.messages,
        { role: 'assistant', parts: [strange, { type: 'text', text: 'kit-said' }] },
      ]
      await get(server, { ...request, messages: [...messages, ...request.messages] as typeof request.messages })
      const sent = JSON.stringify(server.received())
      expect(sent).toContain('kit-said')
      expect(sent).not.toContain('kit-foreign')
    }))
}
