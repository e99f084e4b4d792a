import { describe, expect, it } from 'vitest'
import {
  ada,
  bob,
  everything,
  newMessage,
  operator,
  outsiders,
  type StoreSubject,
  start,
  stranger,
  text,
  useScene,
} from './scene.ts'

const selection = {
  chosen: 'b/two',
  strategy: 'fallback_1',
  candidates: [
    { model: 'a/one', usable: false, note: 'its breaker is open', score: 0, breaker: 'open' },
    { model: 'b/two', usable: true, note: 'provider registered', score: 1, breaker: 'closed' },
  ],
  override: null,
} as const

export function describeSelections(subject: StoreSubject): void {
  describe('selections', () => {
    const scene = useScene(subject)
    const sessions = () => scene().store.sessions
    const chosen = async (reach = operator, window = everything) =>
      (await sessions().selections(reach, window)).map(({ turn }) => turn)

    it('are of every turn within reach, newest first, ties by id', async () => {
      const ids: string[] = []
      for (const [owner, createdAt] of [
        [ada, start + 1],
        [bob, start + 3],
        [ada, start + 2],
        [ada, start + 2],
        [stranger, start + 4],
      ] as const) {
        const { id } = await scene().session(owner)
        ids.push((await scene().start(id, { createdAt }, owner)).turn.id)
      }
      const [first = '', ofBob = '', second = '', third = '', foreign = ''] = ids
      const tied = [second, third].sort()
      expect(await chosen()).toEqual([ofBob, ...tied, first])
      expect(await chosen({ ...ada })).toEqual([...tied, first])
      expect(await chosen(stranger)).toEqual([foreign])
      expect(await chosen(operator, { limit: 2, offset: 1 })).toEqual(tied)
      expect(await chosen(operator, { limit: 0, offset: 0 })).toEqual([])
      for (const reach of outsiders.filter(({ tenant }) => tenant === 'ACME')) expect(await chosen(reach)).toEqual([])
    })

    it('tell what was chosen and why, and what came of it', async () => {
      const { id } = await scene().session()
      const { turn, lease } = await scene().start(id, { selection, input: text('What is "this"?\n') })
      const read = async () => (await sessions().selections(ada, everything))[0]
      const record = {
        turn: turn.id,
        session: id,
        subject: ada.subject,
        agent: turn.agent,
        status: 'running',
        selection,
        model: null,
        steps: 0,
        excerpt: 'What is "this"?\n',
        createdAt: turn.createdAt,
      }
      expect(await read()).toEqual(record)
      const attempts = [
        { step: 1, model: 'b/two', outcome: 'failed', reason: 'server', at: start, durationMs: 7 },
      ] as const
      const answered = { ...selection, attempts }
      const messages = [newMessage({ turn: turn.id })]
      const at = start + 5
      await scene().store.loop.commit(lease, {
        at,
        messages,
        selection: answered,
        model: 'b/two',
        steps: 1,
        status: 'completed',
      })
      expect(await read()).toEqual({ ...record, status: 'completed', selection: answered, model: 'b/two', steps: 1 })
      expect((await sessions().turn(ada, turn.id))?.selection).toEqual(answered)
    })

    it.each([
      ['short', 'hi'],
      ['with everything that JSON escapes', '"\\\b\f\n\r\t\u0001/\u2028 é 👩‍👩‍👧‍👦'],
      ['that ends in backslashes', 'a\\\\\\'],
    ])('show a message %s as it is', async (_, message) => {
      const { id } = await scene().session()
      await scene().start(id, { input: text(message) })
      expect(await sessions().selections(ada, everything)).toMatchObject([{ excerpt: message }])
    })

    it.each([
      ['plain', 'word '],
      ['of escapes', '\u0001\\"'],
      ['of characters outside the basic plane', '𝔘'],
    ])('show no more than the beginning of a long message %s', async (_, piece) => {
      const { id } = await scene().session()
      const long = piece.repeat(100_000)
      await scene().start(id, { input: text(long) })
      const [{ excerpt = '' } = {}] = await sessions().selections(ada, everything)
      expect(long.startsWith(excerpt)).toBe(true)
      expect(excerpt.length).toBeGreaterThanOrEqual(500)
      expect(excerpt.length).toBeLessThan(10_000)
    })

    it('of a message without text have an empty excerpt', async () => {
      const { id } = await scene().session()
      await scene().start(id, { input: [] })
      expect(await sessions().selections(ada, everything)).toMatchObject([{ excerpt: '' }])
    })
  })
}
