import type { ResumedTurn } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { reserving } from './costs-rows.ts'
import { ada, bob, idsOf, newApproval, newMessage, newToolCall, type StoreSubject, start, useScene } from './scene.ts'

/** Everything said before it is stale. */
const staleBefore = start + 1_000

export function describeRecovery(subject: StoreSubject): void {
  const useBegin = () => {
    const scene = useScene(subject)
    const begin = async (owner = ada) => {
      const { id } = await scene().session(owner)
      return { session: id, ...(await scene().start(id, {}, owner)) }
    }
    return { scene, begin, loop: () => scene().store.loop }
  }
  const turnsOf = (resumed: readonly ResumedTurn[]) => idsOf(resumed.map(({ turn }) => turn)).toSorted()

  describe('resume', () => {
    const { scene, begin, loop } = useBegin()

    it('gives a waiting turn with what it had done', async () => {
      const { session, turn, lease } = await begin()
      const calls = [newToolCall({ status: 'waiting' }), newToolCall({ step: 2 })]
      const log = '{"sequence":1,"type":"turn.started"}\n{"sequence":19,"type":"text.delta","text":"so far"}\n'
      await loop().flush(lease, log)
      await loop().commit(lease, {
        at: start,
        messages: [newMessage()],
        log: '{"type":"turn.waiting","sequence":20}\n',
        toolCalls: calls,
        approvals: [newApproval(calls[0]?.id ?? '')],
        steps: 2,
        status: 'waiting',
      })
      const resumed = await loop().resume(turn.id, 'two', start + 5)
      expect(resumed).toEqual({
        turn: { ...turn, status: 'running', steps: 2 },
        lease: { session, turn: turn.id, instance: 'two', epoch: resumed?.lease.epoch },
        lastSequence: 2,
        logSequence: 20,
        lostCall: { model: null, saidBytes: 0 },
        toolCalls: calls.map((call) => ({ ...call, turn: turn.id, session })),
      })
      expect(resumed?.lease.epoch).toBeGreaterThan(lease.epoch)
      if (resumed) await loop().commit(resumed.lease, { at: start, messages: [newMessage()], status: 'completed' })
      expect(await scene().store.sessions.turn(ada, turn.id)).toMatchObject({ status: 'completed' })
    })

    it('gives an interrupted turn while its session is free, and not while another one holds it', async () => {
      const { session, turn, lease } = await begin()
      await loop().commit(lease, { at: start, status: 'interrupted', error: { code: 'X', message: 'y' } })
      const other = await scene().start(session)
      expect(await loop().resume(turn.id, 'two', start)).toBeNull()
      await loop().commit(other.lease, { at: start, status: 'waiting' })
      expect(await loop().resume(turn.id, 'two', start)).toBeNull()
      await loop().cancel(ada, other.turn.id, 'two', start)
      const resumed = await loop().resume(turn.id, 'two', start)
      expect(resumed).toMatchObject({ turn: { status: 'running', endedAt: null, error: null }, logSequence: 0 })
      await scene().queue(session)
    })

    it('leases a running turn anew for the instance that holds it and no other', async () => {
      const { turn, lease } = await begin()
      expect(await loop().resume(turn.id, 'two', start)).toBeNull()
      const resumed = await loop().resume(turn.id, 'one', start)
      expect(resumed).toMatchObject({ turn: { id: turn.id, status: 'running' } })
      expect(resumed?.lease.epoch).toBeGreaterThan(lease.epoch)
    })

    it('finds no turn that is queued or final', async () => {
      const { session, turn, lease } = await begin()
      const queued = await scene().queue(session)
      expect(await loop().resume(queued, 'one', start)).toBeNull()
      await loop().commit(lease, { at: start, status: 'completed' })
      const failed = await begin()
      await loop().commit(failed.lease, { at: start, status: 'failed' })
      const before = await scene().snapshot()
      for (const id of [turn.id, failed.turn.id, 'unknown']) expect(await loop().resume(id, 'one', start)).toBeNull()
      expect(await scene().snapshot()).toEqual(before)
    })

    it('gives a turn to one of the instances that race for it', async () => {
      for (const status of ['waiting', 'interrupted'] as const) {
        const { turn, lease } = await begin()
        await loop().commit(lease, { at: start, status })
        const instances = ['two', 'three', 'four', 'five']
        const resumed = await Promise.all(instances.map((instance) => loop().resume(turn.id, instance, start)))
        expect(resumed.filter((each) => each !== null)).toHaveLength(1)
      }
    })

    it('goes on with the queue after a resumed turn has settled', async () => {
      const { session, turn, lease } = await begin()
      await loop().commit(lease, { at: start, status: 'waiting' })
      const queued = await scene().queue(session)
      const resumed = await loop().resume(turn.id, 'two', start)
      const { next } = await loop().commit(resumed?.lease ?? lease, { at: start, status: 'completed' })
      expect(next).toMatchObject({ turn: { id: queued }, lease: { instance: 'two' } })
    })
  })

  describe('held', () => {
    const { scene, begin, loop } = useBegin()
    const held = async (instance: string) =>
      (await loop().held(instance)).toSorted((one, other) => (one.turn < other.turn ? -1 : 1))
    const each = (...turns: readonly string[]) => turns.toSorted().map((turn) => ({ turn, cancelRequested: false }))

    it('gives what runs under the instance, and nothing of others', async () => {
      const [one, two, three] = [await begin(), await begin(bob), await begin()]
      await scene().queue(one.session)
      expect(await held('one')).toEqual(each(one.turn.id, two.turn.id, three.turn.id))
      await loop().commit(two.lease, { at: start, status: 'waiting' })
      await loop().commit(three.lease, { at: start, status: 'completed' })
      expect(await held('one')).toEqual(each(one.turn.id))
      await loop().resume(two.turn.id, 'two', start)
      expect(await held('two')).toEqual(each(two.turn.id))
      expect(await held('three')).toEqual([])
      await loop().takeOver('three', staleBefore, start, 10)
      expect(await held('three')).toEqual(each(one.turn.id, two.turn.id))
      expect(await held('one')).toEqual([])
    })

    it('says which ones somebody asked to cancel', async () => {
      const { turn } = await begin()
      await loop().cancel(ada, turn.id, 'two', start)
      expect(await held('one')).toEqual([{ turn: turn.id, cancelRequested: true }])
    })
  })

  describe('takeOver', () => {
    const { scene, begin, loop } = useBegin()
    const takeOver = (limit = 100) => loop().takeOver('two', staleBefore, start, limit)

    it('leases the turns of stale, retired and unknown instances', async () => {
      const { turn, lease, session } = await begin()
      const call = newToolCall()
      await loop().commit(lease, { at: start, toolCalls: [call], log: '{"sequence":7}\n', messages: [newMessage()] })
      await loop().heartbeat('one', staleBefore - 1)
      const [taken] = await takeOver()
      expect(taken).toEqual({
        turn,
        lease: { session, turn: turn.id, instance: 'two', epoch: taken?.lease.epoch },
        lastSequence: 2,
        logSequence: 7,
        lostCall: { model: null, saidBytes: 0 },
        toolCalls: [{ ...call, turn: turn.id, session }],
      })
      await loop().heartbeat('two', staleBefore)
      await loop().retire('two')
      const again = await loop().takeOver('three', staleBefore, start, 10)
      expect(turnsOf(again)).toEqual([turn.id])
      if (again[0]) await loop().commit(again[0].lease, { at: start, status: 'completed' })
    })

    it('tells of the model call that a turn may have been making what its log does', async () => {
      const { lease } = await begin()
      const line = (sequence: number, type: string, fields: object) =>
        `${JSON.stringify({ turn: lease.turn, sequence, type, ...fields })}\n`
      const lostCall = async () => (await takeOver())[0]?.lostCall
      await loop().flush(lease, line(1, 'step.started', { step: 1, model: 'test/one' }))
      await loop().flush(lease, line(5, 'text.delta', { step: 1, text: 'gone' }))
      await loop().flush(lease, line(6, 'step.restarted', { step: 1, model: 'test/two', reason: 'server' }))
      await loop().flush(lease, line(8, 'reasoning.delta', { step: 1, text: 'hm' }))
      await loop().flush(lease, `no event\n${line(11, 'text.delta', { step: 1, text: 'äöü' })}`)
      expect(await lostCall()).toEqual({ model: 'test/two', saidBytes: 8 })
    })

    it('tells of none where money was set aside for it', async () => {
      const { lease, turn } = await begin()
      const charges = { at: start, ledger: [], settlements: [] }
      await loop().reserve(lease, reserving(100, [], { turn: turn.id }), charges)
      expect(await takeOver()).toMatchObject([{ lostCall: null, turn: { cost: 100 } }])
      const entries = await scene().store.costs.entries(ada, { limit: 9, offset: 0 }, { turn: turn.id })
      expect(entries).toMatchObject([{ cost: 100, outcome: 'at-reservation' }])
    })

    it('leaves the turns of living instances and its own', async () => {
      await begin()
      await loop().heartbeat('one', staleBefore)
      expect(await takeOver()).toEqual([])
      await loop().heartbeat('one', staleBefore - 1)
      expect(await loop().takeOver('one', Number.MAX_SAFE_INTEGER, start, 10)).toEqual([])
      expect(await takeOver()).toHaveLength(1)
    })

    it('takes the newest heartbeat of an instance', async () => {
      await begin()
      await loop().heartbeat('one', staleBefore - 1)
      await loop().heartbeat('one', staleBefore + 1)
      await loop().heartbeat('other', staleBefore - 1)
      expect(await takeOver()).toEqual([])
    })

    it('may be followed by forgetting the dead, but none that holds a session or lives', async () => {
      const { lease } = await begin()
      for (const dead of ['one', 'killed', 'killed too']) await loop().heartbeat(dead, staleBefore - 1)
      await loop().heartbeat('alive', staleBefore)
      expect(await loop().prune(staleBefore)).toBe(2)
      expect(await takeOver()).toHaveLength(1)
      expect(await loop().prune(staleBefore)).toBe(1)
      expect(await loop().prune(staleBefore)).toBe(0)
      expect(await loop().prune(staleBefore + 1)).toBe(1)
      // One that wakes up is known again.
      await loop().heartbeat(lease.instance, staleBefore - 1)
      expect(await loop().prune(staleBefore)).toBe(1)
    })

    it('leaves turns that wait, queue or have settled', async () => {
      const waiting = await begin()
      await loop().commit(waiting.lease, { at: start, status: 'waiting' })
      await scene().queue(waiting.session)
      const done = await begin()
      await loop().commit(done.lease, { at: start, status: 'interrupted' })
      const before = await scene().snapshot()
      expect(await takeOver()).toEqual([])
      expect(await scene().snapshot()).toEqual(before)
    })

    it('takes the turns of every owner, no more than asked for at a time', async () => {
      const all = [(await begin()).turn.id]
      for (const owner of [ada, bob, ada]) all.push((await begin(owner)).turn.id)
      expect(await takeOver(0)).toEqual([])
      const parts = [await takeOver(3), await takeOver(3), await takeOver(3)]
      expect(parts.map(({ length }) => length)).toEqual([3, 1, 0])
      expect(turnsOf(parts.flat())).toEqual(all.toSorted())
    })

    it('gives each turn to one of the instances that race', async () => {
      const all: string[] = []
      for (let count = 0; count < 6; count += 1) all.push((await begin()).turn.id)
      const instances = ['two', 'three', 'four']
      for (const instance of instances) await loop().heartbeat(instance, staleBefore)
      const taken = await Promise.all(instances.map((instance) => loop().takeOver(instance, staleBefore, start, 4)))
      expect(turnsOf(taken.flat())).toEqual(all.toSorted())
    })

    it('keeps a mark to cancel', async () => {
      const { turn } = await begin()
      await loop().cancel(ada, turn.id, 'three', start)
      expect(await takeOver()).toMatchObject([{ turn: { cancelRequested: true } }])
    })
  })
}
