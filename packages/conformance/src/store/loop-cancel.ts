import { describe, expect, it } from 'vitest'
import {
  accepting,
  ada,
  expectVoid,
  linesOf,
  newApproval,
  newMessage,
  newToolCall,
  operator,
  outsiders,
  type StoreSubject,
  start,
  text,
  useScene,
} from './scene.ts'

export function describeCancel(subject: StoreSubject): void {
  describe('cancel', () => {
    const scene = useScene(subject)
    const loop = () => scene().store.loop
    const sessions = () => scene().store.sessions
    const cancel = (turn: string, reach = operator) => loop().cancel(reach, turn, 'two', start + 50)
    const begin = async () => {
      const { id } = await scene().session()
      return { session: id, ...(await scene().start(id)) }
    }
    const wait = async () => {
      const begun = await begin()
      const calls = [newToolCall({ status: 'waiting' }), newToolCall({ status: 'waiting' }), newToolCall()]
      const approvals = calls.slice(0, 2).map(({ id }) => newApproval(id))
      await loop().commit(begun.lease, { at: start, toolCalls: calls, approvals, status: 'waiting' })
      return { ...begun, approvals }
    }

    it('a turn that waits is found by its session, with its position, by those whose it is', async () => {
      const begun = await begin()
      expect(await loop().waiting(ada, begun.session)).toBeNull()
      const log = '{"sequence":1,"type":"turn.started"}\n{"sequence":7,"type":"turn.waiting"}\n'
      await loop().commit(begun.lease, { at: start, status: 'waiting', log })
      for (const reach of [ada, operator]) {
        expect(await loop().waiting(reach, begun.session)).toEqual({ turn: begun.turn.id, logSequence: 7 })
      }
      for (const reach of outsiders) expect(await loop().waiting(reach, begun.session)).toBeNull()
      expect(await loop().waiting(operator, 'unknown')).toBeNull()
      await cancel(begun.turn.id)
      expect(await loop().waiting(operator, begun.session)).toBeNull()
    })

    it('only marks a running turn', async () => {
      const { session, turn, lease } = await begin()
      await scene().queue(session)
      const marked = { ...turn, cancelRequested: true }
      expect(await cancel(turn.id)).toEqual({ turn: marked, next: null })
      expect(await cancel(turn.id, ada)).toEqual({ turn: marked, next: null })
      expect(await sessions().turn(ada, turn.id)).toEqual(marked)
      await loop().commit(lease, { at: start, status: 'cancelled' })
      expect(await sessions().turn(ada, turn.id)).toMatchObject({ status: 'cancelled' })
    })

    it('takes a queued turn out of the queue', async () => {
      const { session, lease } = await begin()
      const [second, third] = [await scene().queue(session), await scene().queue(session)]
      const cancelled = await cancel(second)
      expect(cancelled).toMatchObject({
        turn: { id: second, status: 'cancelled', startedAt: null, endedAt: start + 50 },
        next: null,
      })
      expect(await sessions().turn(ada, second)).toEqual(cancelled?.turn)
      const { next } = await loop().commit(lease, { at: start, status: 'completed' })
      expect(next?.turn.id).toBe(third)
      const messages = await sessions().messages(ada, session, { after: 0, limit: 10 })
      expect(messages.map(({ turn }) => turn)).toEqual([lease.turn, third])
    })

    it('gives the place of a queued turn to another', async () => {
      const { session } = await begin()
      const accept = () => loop().accept(ada, accepting(session, { maxQueued: 1 }))
      const queued = await accept()
      expect(await accept()).toEqual({ outcome: 'queue-full' })
      if ('turn' in queued) await cancel(queued.turn.id)
      expect(await accept()).toMatchObject({ outcome: 'queued' })
    })

    it('leaves no queue behind when the last queued turn is cancelled', async () => {
      const { session, lease } = await begin()
      await cancel(await scene().queue(session))
      expect(await loop().commit(lease, { at: start, status: 'completed' })).toMatchObject({ next: null })
      await scene().start(session)
    })

    it('ends a waiting turn with its questions, and frees the session', async () => {
      const { session, turn, approvals } = await wait()
      const decision = { status: 'approved', decidedBy: 'ada', at: start } as const
      await scene().store.approvals.decide(ada, approvals[0]?.id ?? '', decision)
      expect(await cancel(turn.id, ada)).toMatchObject({
        turn: { status: 'cancelled', endedAt: start + 50 },
        next: null,
      })
      const listed = await scene().store.approvals.list(ada, { limit: 10, offset: 0 })
      expect(listed.map(({ status }) => status).toSorted()).toEqual(['approved', 'cancelled'])
      const calls = await sessions().toolCalls(ada, turn.id)
      expect(calls.map(({ status }) => status)).toEqual(['denied', 'denied', 'started'])
      expect(await loop().resume(turn.id, 'two', start)).toBeNull()
      await scene().start(session)
    })

    it('starts the turn after a waiting one, under a lease of the caller', async () => {
      const { session, turn, lease } = await wait()
      const second = await scene().queue(session)
      const cancelled = await cancel(turn.id)
      expect(cancelled?.next).toMatchObject({
        turn: { id: second, status: 'running', startedAt: start + 50 },
        lease: { session, turn: second, instance: 'two' },
        lastSequence: 2,
      })
      await expectVoid(scene(), lease)
      const next = cancelled?.next?.lease ?? lease
      await loop().commit(next, { at: start, messages: [newMessage({ parts: text('done') })], status: 'completed' })
      const messages = await sessions().messages(ada, session, { after: 1, limit: 10 })
      expect(linesOf(messages)).toEqual([`user: question of ${second}`, 'assistant: done'])
    })

    it.each(['completed', 'failed', 'cancelled', 'interrupted'] as const)('finds no %s turn', async (status) => {
      const { turn, lease } = await begin()
      await loop().commit(lease, { at: start, status })
      const before = await scene().snapshot()
      expect(await cancel(turn.id)).toBeNull()
      expect(await scene().snapshot()).toEqual(before)
    })

    it('finds no turn outside the reach, whatever its state', async () => {
      const running = await begin()
      const queued = await scene().queue(running.session)
      const waiting = await wait()
      const before = await scene().snapshot()
      for (const reach of outsiders) {
        for (const turn of [running.turn.id, queued, waiting.turn.id, 'unknown']) {
          expect(await cancel(turn, reach)).toBeNull()
        }
      }
      expect(await scene().snapshot()).toEqual(before)
    })

    it('cancels a waiting turn once when many try', async () => {
      const { session, turn } = await wait()
      await scene().queue(session)
      const results = await Promise.all(Array.from({ length: 8 }, () => cancel(turn.id)))
      expect(results.filter((result) => result !== null)).toHaveLength(1)
      expect(await sessions().messages(ada, session, { after: 0, limit: 10 })).toHaveLength(2)
    })

    it('and a commit that settles the turn agree on what happened', async () => {
      for (const cancelFirst of [true, false]) {
        const { turn, lease } = await begin()
        const settle = () => loop().commit(lease, { at: start, status: 'completed' })
        const [cancelled, committed] = cancelFirst
          ? await Promise.all([cancel(turn.id), settle()])
          : (await Promise.all([settle(), cancel(turn.id)])).toReversed()
        const stored = await sessions().turn(ada, turn.id)
        expect(stored).toMatchObject({ status: 'completed', cancelRequested: cancelled !== null })
        expect(committed).toMatchObject({ cancelRequested: cancelled !== null })
      }
    })

    it('and a resume of a waiting turn cannot both have it', async () => {
      const { turn } = await wait()
      const [resumed, cancelled] = await Promise.all([loop().resume(turn.id, 'two', start), cancel(turn.id)])
      const status = (await sessions().turn(ada, turn.id))?.status
      if (resumed === null) expect([status, cancelled?.turn.status]).toEqual(['cancelled', 'cancelled'])
      else expect([status, cancelled?.turn.cancelRequested]).toEqual(['running', true])
    })
  })
}
