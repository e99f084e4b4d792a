import { describe, expect, it } from 'vitest'
import { ada, expectVoid, newMessage, type StoreSubject, start, useScene } from './scene.ts'

const after = start + 100_000

export function describeFences(subject: StoreSubject): void {
  describe('a lease', () => {
    const scene = useScene(subject)
    const loop = () => scene().store.loop
    const begin = async () => {
      const { id } = await scene().session()
      return { session: id, ...(await scene().start(id)) }
    }

    it.each(['completed', 'failed', 'cancelled', 'interrupted', 'waiting'] as const)(
      'is void once the turn is %s',
      async (status) => {
        const { lease } = await begin()
        await loop().commit(lease, { at: start, status })
        await expectVoid(scene(), lease)
      },
    )

    it('is void once another instance has taken the turn over', async () => {
      const { lease } = await begin()
      await loop().takeOver('two', after, start, 10)
      await expectVoid(scene(), lease)
    })

    it('stays void when the instance gets the turn back', async () => {
      const { lease } = await begin()
      await loop().takeOver('two', after, start, 10)
      const [back] = await loop().takeOver('one', after, start, 10)
      await expectVoid(scene(), lease)
      await loop().flush(back?.lease ?? lease, 'line\n')
    })

    it('is void once the turn was leased anew, also by the same instance', async () => {
      const { turn, lease } = await begin()
      const resumed = await loop().resume(turn.id, 'one', start)
      await expectVoid(scene(), lease)
      await loop().flush(resumed?.lease ?? lease, '{"sequence":1}\n')
      expect(await scene().store.sessions.turnLog(ada, turn.id)).toBe('{"sequence":1}\n')
    })

    it('is void once the turn went on after waiting', async () => {
      const { turn, lease } = await begin()
      await loop().commit(lease, { at: start, status: 'waiting' })
      await loop().resume(turn.id, 'one', start)
      await expectVoid(scene(), lease)
    })

    it('does not reach the turn that runs next', async () => {
      const { session, lease } = await begin()
      await scene().queue(session)
      await loop().commit(lease, { at: start, status: 'completed' })
      await expectVoid(scene(), lease)
    })

    it('holds only with every one of its parts', async () => {
      const { session, lease } = await begin()
      const other = await begin()
      const queued = await scene().queue(session)
      const forged = [
        { ...lease, epoch: lease.epoch + 1 },
        { ...lease, epoch: lease.epoch - 1 },
        { ...lease, instance: 'two' },
        { ...lease, turn: other.turn.id },
        { ...lease, turn: queued },
        { ...lease, session: other.session },
        { ...other.lease, turn: lease.turn },
        { ...lease, session: 'unknown' },
        { ...lease, turn: 'unknown' },
      ]
      for (const each of forged) await expectVoid(scene(), each)
      await loop().commit(lease, { at: start, messages: [newMessage()] })
    })

    it('lets one of two commits that settle the turn through', async () => {
      const { session, lease } = await begin()
      const next = await scene().queue(session)
      const results = await Promise.allSettled(
        Array.from({ length: 6 }, () =>
          loop().commit(lease, { at: start, status: 'completed', messages: [newMessage()] }),
        ),
      )
      const done = results.filter((result) => result.status === 'fulfilled')
      expect(done).toMatchObject([{ value: { next: { turn: { id: next } } } }])
      const messages = await scene().store.sessions.messages(ada, session, { after: 0, limit: 100 })
      expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
    })
  })
}
