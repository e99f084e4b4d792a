import { type NewApproval, refusedCalls, type TurnOptions } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import {
  accepting,
  ada,
  deferring,
  everything,
  idsOf,
  newApproval,
  newToolCall,
  operator,
  outsiders,
  type StoreSubject,
  start,
  stranger,
  suspending,
  useScene,
} from './scene.ts'

export function describeApprovals(subject: StoreSubject): void {
  describe('approvals', () => {
    const scene = useScene(subject)
    const approvals = () => scene().store.approvals
    const loop = () => scene().store.loop

    /** A running turn that has asked for each of the approvals. */
    async function ask(values: readonly Partial<NewApproval>[], options: TurnOptions = suspending, owner = ada) {
      const session = await scene().session(owner)
      const begun = await scene().start(session.id, { options }, owner)
      const calls = values.map(() => newToolCall({ status: 'waiting' }))
      const asked = calls.map(({ id }, index) => newApproval(id, values[index]))
      await loop().commit(begun.lease, { at: start, toolCalls: calls, approvals: asked })
      return { ...begun, session: session.id, asked, ids: idsOf(asked) }
    }
    const askOne = async (values: Partial<NewApproval> = {}, options = suspending) => {
      const { ids, asked, ...begun } = await ask([values], options)
      return { ...begun, id: ids[0] ?? '', approval: asked[0] }
    }
    const decide = (id: string, at = start + 1, reach = operator, status: 'approved' | 'denied' = 'approved') =>
      approvals().decide(reach, id, { status, decidedBy: 'the boss', at })

    describe('get and list', () => {
      it('give what was asked, with whose and which turn it is', async () => {
        const given = { arguments: '{ "n": 1.0,\n"x":"é👍"}', reason: null, expiresAt: 2 ** 50 }
        const { id, approval, turn, session } = await askOne(given)
        const expected = {
          ...approval,
          ...ada,
          session,
          turn: turn.id,
          generation: turn.generation,
          status: 'pending',
          decidedBy: null,
          decidedAt: null,
        }
        for (const reach of [ada, operator]) {
          expect(await approvals().get(reach, id)).toEqual(expected)
          expect(await approvals().list(reach, everything)).toEqual([expected])
        }
        for (const reach of outsiders) {
          expect(await approvals().get(reach, id)).toBeNull()
          expect(await approvals().list(reach, everything)).toEqual([])
          expect(await approvals().list(reach, everything, { turn: turn.id })).toEqual([])
        }
        expect(await approvals().get(ada, 'unknown')).toBeNull()
      })

      it('order by age, filter and cut', async () => {
        const { ids, turn } = await ask([5, 3, 4].map((offset) => ({ createdAt: start + offset })))
        const other = await askOne({ createdAt: start + 1 })
        await ask([{ createdAt: start }], suspending, stranger)
        const sorted = [other.id, ids[1], ids[2], ids[0]]
        const listed = async (filter = {}, window = everything) =>
          idsOf(await approvals().list(operator, window, filter))
        expect(await listed()).toEqual(sorted)
        expect(await listed({}, { limit: 2, offset: 1 })).toEqual(sorted.slice(1, 3))
        expect(await listed({}, { limit: 0, offset: 0 })).toEqual([])
        expect(await listed({ turn: turn.id })).toEqual(sorted.slice(1))
        await decide(other.id)
        await decide(ids[2] ?? '', start + 1, operator, 'denied')
        expect(await approvals().count(operator)).toBe(sorted.length)
        expect(await approvals().count(operator, { turn: turn.id, status: 'denied' })).toBe(1)
        expect(await approvals().count(operator, { status: 'pending' })).toBe(2)
        expect(await listed({ status: 'pending' })).toEqual([ids[1], ids[0]])
        expect(await listed({ status: 'denied', turn: turn.id })).toEqual([ids[2]])
        expect(await listed({ status: 'approved', turn: turn.id })).toEqual([])
      })
    })

    describe('what is asked at the same moment', () => {
      it('is listed in the order in which it was asked, over all commits of the turn', async () => {
        const { ids, lease, turn } = await ask(Array.from({ length: 12 }, () => ({})))
        const call = newToolCall({ status: 'waiting' })
        const later = newApproval(call.id)
        await loop().commit(lease, { at: start, toolCalls: [call], approvals: [later] })
        const asked = [...ids, later.id]
        for (const filter of [
          {},
          { status: 'pending' },
          { turn: turn.id },
          { status: 'pending', turn: turn.id },
        ] as const) {
          expect(idsOf(await approvals().list(ada, everything, filter))).toEqual(asked)
        }
        expect(idsOf(await approvals().list(operator, { limit: 5, offset: 3 }))).toEqual(asked.slice(3, 8))
      })

      it('is followed up in that order, too', async () => {
        const { ids, lease } = await ask(
          Array.from({ length: 6 }, () => ({})),
          deferring,
        )
        for (const id of ids.toReversed()) await decide(id)
        await loop().commit(lease, { at: start, status: 'completed' })
        expect(idsOf(await approvals().unfollowed(100))).toEqual(ids)
      })
    })

    describe('decide', () => {
      it.each(['approved', 'denied'] as const)('stores %s, who decided and when', async (status) => {
        const { id } = await askOne()
        const before = await approvals().get(ada, id)
        const decided = await decide(id, start + 9, ada, status)
        expect(decided).toEqual({ ...before, status, decidedBy: 'the boss', decidedAt: start + 9 })
        expect(await approvals().get(ada, id)).toEqual(decided)
      })

      it('lets nobody decide twice', async () => {
        const { id } = await askOne()
        const decided = await decide(id)
        expect(await decide(id, start + 2, ada, 'denied')).toBeNull()
        expect(await decide(id, start + 2)).toBeNull()
        expect(await approvals().get(ada, id)).toEqual(decided)
      })

      it('gives the row to one of those who race', async () => {
        const { id } = await askOne()
        const decisions = Array.from({ length: 10 }, (_, index) =>
          approvals().decide(operator, id, {
            status: index % 2 ? 'approved' : 'denied',
            decidedBy: `decider ${index}`,
            at: start + 1,
          }),
        )
        const winners = (await Promise.all(decisions)).filter((decided) => decided !== null)
        expect(winners).toHaveLength(1)
        expect(await approvals().get(ada, id)).toEqual(winners[0])
      })

      it('refuses what has expired, to the millisecond, or was cancelled', async () => {
        const { id } = await askOne({ expiresAt: start + 100 })
        expect(await decide(id, start + 100)).toBeNull()
        expect(await decide(id, start + 101)).toBeNull()
        expect(await decide(id, start + 99)).toMatchObject({ status: 'approved' })
        const cancelled = await askOne()
        await loop().commit(cancelled.lease, { at: start, status: 'cancelled' })
        expect(await decide(cancelled.id)).toBeNull()
      })

      it('finds nothing outside the reach', async () => {
        const { id } = await askOne()
        const before = await scene().snapshot()
        for (const reach of outsiders) expect(await decide(id, start + 1, reach)).toBeNull()
        expect(await decide('unknown')).toBeNull()
        expect(await scene().snapshot()).toEqual(before)
      })
    })

    describe('expire', () => {
      it('moves what is overdue and gives it once', async () => {
        const { ids } = await ask([{ expiresAt: start + 10 }, { expiresAt: start + 11 }, { expiresAt: start + 5 }])
        const expired = await approvals().expire(start + 10, 100)
        expect(idsOf(expired).toSorted()).toEqual([ids[0], ids[2]].toSorted())
        for (const row of expired) {
          expect(row).toMatchObject({ status: 'expired', decidedBy: null })
          expect(await approvals().get(ada, row.id)).toEqual(row)
        }
        expect(await approvals().expire(start + 10, 100)).toEqual([])
        expect(await approvals().get(ada, ids[1] ?? '')).toMatchObject({ status: 'pending' })
      })

      it('leaves what was decided', async () => {
        const { id } = await askOne({ expiresAt: start + 10 })
        const decided = await decide(id)
        expect(await approvals().expire(start + 100, 100)).toEqual([])
        expect(await approvals().get(ada, id)).toEqual(decided)
      })

      it('takes no more than asked for and reaches every tenant', async () => {
        await ask([{}, {}, {}])
        await ask([{}], suspending, stranger)
        const counts = []
        for (const limit of [0, 3, 3, 3]) counts.push((await approvals().expire(2 ** 50, limit)).length)
        expect(counts).toEqual([0, 3, 1, 0])
      })

      it('gives each row to one of those who race, and none to a decider besides', async () => {
        const { ids } = await ask(Array.from({ length: 8 }, () => ({ expiresAt: start + 10 })))
        const [first, second, decided] = await Promise.all([
          approvals().expire(start + 10, 100),
          approvals().expire(start + 10, 100),
          decide(ids[0] ?? '', start + 9),
        ])
        const taken = [...idsOf(first), ...idsOf(second), ...(decided ? [decided.id] : [])]
        expect(taken.toSorted()).toEqual(ids.toSorted())
      })
    })

    describe('the call of an approval', () => {
      const callsOf = async (turn: string) =>
        (await scene().store.sessions.toolCalls(ada, turn)).map(({ status, output, endedAt }) => [
          status,
          output,
          endedAt,
        ])
      const waiting = ['waiting', null, null]

      it('ends when it is denied or expires, where the turn has gone on without it', async () => {
        const { ids, turn } = await ask([{}, { expiresAt: start + 10 }, {}], deferring)
        await decide(ids[0] ?? '', start + 5, operator, 'denied')
        expect(await callsOf(turn.id)).toEqual([['denied', refusedCalls.denied, start + 5], waiting, waiting])
        await approvals().expire(start + 10, 100)
        expect((await callsOf(turn.id))[1]).toEqual(['denied', refusedCalls.expired, start + 10])
        await decide(ids[2] ?? '')
        expect((await callsOf(turn.id))[2]).toEqual(waiting)
      })

      it('is left to a turn that waits for it', async () => {
        const { ids, turn } = await ask([{}, { expiresAt: start + 10 }], suspending)
        await decide(ids[0] ?? '', start + 5, operator, 'denied')
        await approvals().expire(start + 10, 100)
        expect(await callsOf(turn.id)).toEqual([waiting, waiting])
      })

      it('ends once, whoever is first', async () => {
        const { ids, turn } = await ask([{ expiresAt: start + 10 }], deferring)
        const [denied, expired] = await Promise.all([
          decide(ids[0] ?? '', start + 9, operator, 'denied'),
          approvals().expire(start + 10, 100),
          loop().cancel(ada, turn.id, 'one', start),
        ])
        expect([denied, ...expired].filter((each) => each !== null)).toHaveLength(1)
        const told = denied ? ['denied', refusedCalls.denied, start + 9] : ['denied', refusedCalls.expired, start + 10]
        expect(await callsOf(turn.id)).toEqual([told])
      })
    })

    describe('resumable', () => {
      const resumable = () => approvals().resumable(100)
      const askAndWait = async () => {
        const asked = await ask([{}, {}])
        await loop().commit(asked.lease, { at: start, status: 'waiting' })
        return asked
      }

      it('gives a waiting turn once its last approval is no longer pending', async () => {
        const { ids, turn } = await askAndWait()
        expect(await resumable()).toEqual([])
        await decide(ids[0] ?? '')
        expect(await resumable()).toEqual([])
        await decide(ids[1] ?? '', start + 1, ada, 'denied')
        expect(await resumable()).toEqual([turn.id])
        expect(await approvals().resumable(0)).toEqual([])
      })

      it('counts what has expired as decided', async () => {
        const { turn } = await askAndWait()
        await approvals().expire(2 ** 50, 100)
        expect(await resumable()).toEqual([turn.id])
      })

      it('leaves turns that run, were resumed or cancelled', async () => {
        const running = await ask([{}])
        await decide(running.ids[0] ?? '')
        const resumed = await askAndWait()
        const cancelled = await askAndWait()
        for (const id of [...resumed.ids, ...cancelled.ids]) await decide(id)
        expect((await resumable()).toSorted()).toEqual([resumed.turn.id, cancelled.turn.id].toSorted())
        await loop().resume(resumed.turn.id, 'two', start)
        await loop().cancel(ada, cancelled.turn.id, 'two', start)
        expect(await resumable()).toEqual([])
      })
    })

    describe('unfollowed', () => {
      const unfollowed = async (limit = 100) => idsOf(await approvals().unfollowed(limit))
      const askAndComplete = async (values: readonly Partial<NewApproval>[], options = deferring) => {
        const asked = await ask(values, options)
        await loop().commit(asked.lease, { at: start, status: 'completed' })
        return asked
      }

      it('gives approved calls of settled turns that did not wait, oldest first', async () => {
        const { ids } = await askAndComplete([{ createdAt: start + 2 }, { createdAt: start + 1 }, {}, {}])
        expect(await unfollowed()).toEqual([])
        await decide(ids[0] ?? '')
        const second = await decide(ids[1] ?? '')
        await decide(ids[2] ?? '', start + 1, ada, 'denied')
        expect(await unfollowed()).toEqual([ids[1], ids[0]])
        expect(await unfollowed(1)).toEqual([ids[1]])
        expect(await approvals().unfollowed(1)).toEqual([second])
      })

      it('leaves those of turns that still run, and of turns that were to wait for their decisions', async () => {
        const running = await askOne({}, deferring)
        await decide(running.id)
        const waiting = await askOne()
        await loop().commit(waiting.lease, { at: start, status: 'waiting' })
        await decide(waiting.id)
        const interrupted = await askOne()
        await decide(interrupted.id)
        await loop().commit(interrupted.lease, { at: start, status: 'interrupted' })
        expect(await unfollowed()).toEqual([])
        await loop().commit(running.lease, { at: start, status: 'completed' })
        expect(await unfollowed()).toEqual([running.id])
      })

      it('leaves those that a turn of their key has taken up', async () => {
        const { ids, session } = await askAndComplete([{}, {}])
        for (const id of ids) await decide(id)
        const follow = accepting(session, { idempotency: { key: `approval:${ids[0]}`, hash: 'h' } })
        await loop().accept(ada, follow)
        expect(await unfollowed()).toEqual([ids[1]])
      })

      it('leaves those whose call was carried out', async () => {
        const { ids, asked, session } = await askAndComplete([{}])
        await decide(ids[0] ?? '')
        const later = await scene().start(session)
        const end = { id: asked[0]?.toolCall ?? '', status: 'succeeded', output: null, endedAt: start } as const
        await loop().commit(later.lease, { at: start, toolCallEnds: [end] })
        expect(await unfollowed()).toEqual([])
      })
    })
  })
}
