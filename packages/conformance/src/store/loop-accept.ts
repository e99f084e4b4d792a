import { describe, expect, it } from 'vitest'
import {
  accepting,
  ada,
  bob,
  deferring,
  everything,
  idsOf,
  linesOf,
  newMessage,
  newSession,
  operator,
  outsiders,
  type StoreSubject,
  start,
  startedOf,
  stranger,
  text,
  useScene,
} from './scene.ts'

export function describeAccept(subject: StoreSubject): void {
  describe('accept', () => {
    const scene = useScene(subject)
    const accept = (request: ReturnType<typeof accepting>, owner = ada) => scene().store.loop.accept(owner, request)
    const sessions = () => scene().store.sessions
    const messages = (session: string) => sessions().messages(ada, session, { after: 0, limit: 100 })

    it('starts a turn in a free session with its message', async () => {
      const { id } = await scene().session()
      await sessions().append(ada, id, newMessage({ parts: text('welcome') }))
      const selection = {
        chosen: 'demo/echo',
        strategy: 'override',
        candidates: [{ model: 'demo/echo', usable: true, note: 'asked for' }],
      }
      const request = accepting(id, {
        turn: { options: { ...deferring, continues: 'approval-1' }, selection, createdAt: start + 5 },
      })
      const { turn, lease, lastSequence } = startedOf(await accept(request))
      const { userMessage, ...given } = request.turn
      expect(turn).toEqual({
        ...given,
        ...ada,
        userMessage,
        sequence: 1,
        status: 'running',
        context: null,
        model: null,
        steps: 0,
        usage: { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 },
        cost: null,
        error: null,
        cancelRequested: false,
        startedAt: start + 5,
        endedAt: null,
      })
      expect(lease).toMatchObject({ session: id, turn: turn.id, instance: 'one' })
      expect(lastSequence).toBe(2)
      expect(await sessions().turn(ada, turn.id)).toEqual(turn)
      expect((await messages(id))[1]).toEqual({
        id: userMessage,
        session: id,
        sequence: 2,
        turn: turn.id,
        role: 'user',
        parts: given.input,
        usage: null,
        createdAt: start + 5,
      })
      expect(await sessions().get(ada, id)).toMatchObject({ lastSequence: 2, turnCount: 1, updatedAt: start + 5 })
      expect(await sessions().turnLog(ada, turn.id)).toBe('')
      expect(await sessions().toolCalls(ada, turn.id)).toEqual([])
    })

    it('keeps a message with a tool call as its input', async () => {
      const { id } = await scene().session()
      const input = [
        { type: 'text', text: '' },
        { type: 'tool-call', call: 'c', tool: 't', arguments: '{ "a":1}' },
      ] as const
      const { turn } = await scene().start(id, { input })
      expect(turn.input).toEqual(input)
      expect((await messages(id))[0]?.parts).toEqual(input)
    })

    it('shows turns within the reach only', async () => {
      const { id } = await scene().session()
      const { turn, lease } = await scene().start(id)
      await scene().store.loop.flush(lease, '{"sequence":1}\n')
      for (const reach of [ada, operator]) {
        expect(await sessions().turn(reach, turn.id)).toEqual(turn)
        expect(await sessions().turns(reach, id, everything)).toEqual([turn])
        expect(await sessions().turnLog(reach, turn.id)).toBe('{"sequence":1}\n')
      }
      for (const reach of outsiders) {
        expect(await sessions().turn(reach, turn.id)).toBeNull()
        expect(await sessions().turns(reach, id, everything)).toEqual([])
        expect(await sessions().turnLog(reach, turn.id)).toBeNull()
      }
      expect(await sessions().turn(ada, 'unknown')).toBeNull()
      expect(await sessions().turns(ada, 'unknown', everything)).toEqual([])
      expect(await sessions().turnLog(ada, 'unknown')).toBeNull()
    })

    it('lists turns in the order of acceptance, a window at a time', async () => {
      const { id } = await scene().session()
      const turns = [(await scene().start(id, { createdAt: start + 9 })).turn.id]
      for (let offset = 4; offset > 0; offset -= 1) turns.push(await scene().queue(id, { createdAt: start + offset }))
      const listed = await sessions().turns(ada, id, everything)
      expect(idsOf(listed)).toEqual(turns)
      expect(listed.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5])
      expect(idsOf(await sessions().turns(ada, id, { limit: 2, offset: 2 }))).toEqual(turns.slice(2, 4))
    })

    it('refuses a session that is not there, not of the owner, or closed, and writes nothing', async () => {
      const mine = await scene().session()
      const archived = await scene().session()
      const expired = await scene().session()
      await sessions().update(ada, archived.id, { status: 'archived' }, start)
      await sessions().update(ada, expired.id, { status: 'expired' }, start)
      const before = await scene().snapshot()
      expect(await accept(accepting('unknown'))).toEqual({ outcome: 'no-session' })
      expect(await accept(accepting(mine.id), bob)).toEqual({ outcome: 'no-session' })
      expect(await accept(accepting(mine.id), stranger)).toEqual({ outcome: 'no-session' })
      expect(await accept(accepting(archived.id))).toEqual({ outcome: 'session-closed' })
      expect(await accept(accepting(expired.id, { whenBusy: 'refuse' }))).toEqual({ outcome: 'session-closed' })
      expect(await scene().snapshot()).toEqual(before)
    })

    it('refuses a second turn when it may not wait, and writes nothing', async () => {
      const { id } = await scene().session()
      await scene().start(id)
      const before = await scene().snapshot()
      expect(await accept(accepting(id, { whenBusy: 'refuse' }))).toEqual({ outcome: 'busy' })
      expect(await accept(accepting(id, { maxQueued: 0 }))).toEqual({ outcome: 'queue-full' })
      expect(await scene().snapshot()).toEqual(before)
    })

    it('lets turns wait up to the limit, without their messages', async () => {
      const { id } = await scene().session()
      await scene().start(id)
      const request = accepting(id, { maxQueued: 2 })
      const queued = await accept(request)
      expect(queued).toMatchObject({
        outcome: 'queued',
        turn: { id: request.turn.id, status: 'queued', sequence: 2, startedAt: null, input: request.turn.input },
      })
      expect(await sessions().turn(ada, request.turn.id)).toEqual('turn' in queued && queued.turn)
      expect(await accept(accepting(id, { maxQueued: 2 }))).toMatchObject({ outcome: 'queued' })
      expect(await accept(accepting(id, { maxQueued: 2 }))).toEqual({ outcome: 'queue-full' })
      expect(await messages(id)).toHaveLength(1)
      expect(await sessions().get(ada, id)).toMatchObject({ lastSequence: 1, turnCount: 3 })
    })

    it('keeps the sessions of one owner apart', async () => {
      const [one, two] = [await scene().session(), await scene().session()]
      await scene().start(one.id)
      expect((await scene().start(two.id)).turn.sequence).toBe(1)
    })

    it.each(['archived', 'expired'] as const)('answers in an %s session only when asked to', async (status) => {
      const { id } = await scene().session()
      await sessions().update(ada, id, { status }, start + 1)
      expect(await accept(accepting(id))).toEqual({ outcome: 'session-closed' })
      startedOf(await accept(accepting(id, { whenClosed: 'answer' })))
      expect(await sessions().get(ada, id)).toMatchObject({ status, lastSequence: 1 })
    })

    describe('with a new session', () => {
      const opening = (key: string, hash = 'same') => {
        const session = { ...newSession(), scope: null }
        return accepting(session.id, { newSession: session, inputHash: hash, idempotency: { key, hash } })
      }

      it('makes the session and starts the turn in it', async () => {
        const request = opening('first')
        const { turn } = startedOf(await accept(request))
        expect(await sessions().get(ada, turn.session)).toMatchObject({
          agent: 'assistant',
          turnCount: 1,
          lastSequence: 1,
        })
        expect(await sessions().get(bob, turn.session)).toBeNull()
      })

      it('makes a session that several begin at once under one id once, and queues the others in it', async () => {
        const session = { ...newSession(), scope: null }
        const outcomes = await Promise.all(
          Array.from({ length: 5 }, () => accept(accepting(session.id, { newSession: session }))),
        )
        expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual([...Array(4).fill('queued'), 'started'])
        expect(await sessions().get(ada, session.id)).toMatchObject({ turnCount: 5, lastSequence: 1 })
      })

      it("leaves somebody else's session of that id alone", async () => {
        const taken = await scene().session(bob)
        const request = accepting(taken.id, { newSession: { ...newSession(), id: taken.id, scope: null } })
        expect(await accept(request)).toEqual({ outcome: 'no-session' })
        expect(await sessions().get(bob, taken.id)).toEqual(taken)
      })

      it('leaves no session behind when the key was seen before, however many race', async () => {
        const outcomes = await Promise.all(Array.from({ length: 10 }, () => accept(opening('once'))))
        expect(outcomes.filter(({ outcome }) => outcome === 'started').length).toBe(1)
        expect(outcomes.filter(({ outcome }) => outcome === 'repeated').length).toBe(9)
        expect(await accept(opening('once', 'other'))).toEqual({ outcome: 'key-mismatch' })
        expect((await sessions().list(ada, everything)).length).toBe(1)
      })

      it('leaves no session behind when the message is a duplicate', async () => {
        startedOf(await accept({ ...opening('one'), refuseDuplicateSince: start }))
        expect(await accept({ ...opening('two'), refuseDuplicateSince: start })).toEqual({ outcome: 'duplicate' })
        expect((await sessions().list(ada, everything)).length).toBe(1)
      })
    })

    describe('when many race for a session', () => {
      const race = (session: string, whenBusy: 'wait' | 'refuse', maxQueued = 100) =>
        Promise.all(Array.from({ length: 12 }, () => accept(accepting(session, { whenBusy, maxQueued }))))

      it('starts one and lets the others wait, each in a place of its own', async () => {
        const { id } = await scene().session()
        const outcomes = (await race(id, 'wait')).map(({ outcome }) => outcome)
        expect(outcomes.toSorted()).toEqual([...Array.from({ length: 11 }, () => 'queued'), 'started'])
        const turns = await sessions().turns(ada, id, everything)
        expect(turns.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 12 }, (_, index) => index + 1))
        expect(turns.filter(({ status }) => status === 'running')).toHaveLength(1)
      })

      it('starts one and refuses the others', async () => {
        const { id } = await scene().session()
        const outcomes = (await race(id, 'refuse')).map(({ outcome }) => outcome)
        expect(outcomes.toSorted()).toEqual([...Array.from({ length: 11 }, () => 'busy'), 'started'])
        expect(await sessions().turns(ada, id, everything)).toHaveLength(1)
      })

      it('never lets more wait than the limit', async () => {
        const { id } = await scene().session()
        const outcomes = (await race(id, 'wait', 4)).map(({ outcome }) => outcome)
        expect(outcomes.filter((outcome) => outcome === 'queued')).toHaveLength(4)
        expect(outcomes.filter((outcome) => outcome === 'queue-full')).toHaveLength(7)
      })
    })

    describe('with an idempotency key', () => {
      const keyed = (session: string, hash = 'h') => accepting(session, { idempotency: { key: 'k', hash } })

      it('gives the same turn for the same request, whatever has become of it', async () => {
        const { id } = await scene().session()
        const { turn, lease } = startedOf(await accept(keyed(id)))
        expect(await accept(keyed(id))).toEqual({ outcome: 'repeated', turn })
        await scene().store.loop.commit(lease, { at: start + 1, status: 'completed' })
        expect(await accept(keyed(id))).toMatchObject({
          outcome: 'repeated',
          turn: { id: turn.id, status: 'completed' },
        })
        expect(await sessions().turns(ada, id, everything)).toHaveLength(1)
      })

      it('refuses another request under the same key and writes nothing', async () => {
        const [one, two] = [await scene().session(), await scene().session()]
        await accept(keyed(one.id))
        const before = await scene().snapshot()
        expect(await accept(keyed(one.id, 'other'))).toEqual({ outcome: 'key-mismatch' })
        expect(await accept(keyed(two.id, 'other'))).toEqual({ outcome: 'key-mismatch' })
        expect(await accept(keyed(two.id))).toMatchObject({ outcome: 'repeated' })
        expect(await scene().snapshot()).toEqual(before)
      })

      it('keeps the keys of owners apart', async () => {
        for (const owner of [ada, bob, stranger]) {
          const { id } = await scene().session(owner)
          expect(await accept(keyed(id), owner)).toMatchObject({ outcome: 'started' })
        }
      })

      it('makes one turn of requests that race', async () => {
        const { id } = await scene().session()
        const outcomes = await Promise.all(Array.from({ length: 10 }, () => accept(keyed(id))))
        const turns = outcomes.map((each) =>
          each.outcome === 'started' ? each.started.turn.id : 'turn' in each ? each.turn.id : each.outcome,
        )
        expect(new Set(turns).size).toBe(1)
        expect(outcomes.filter(({ outcome }) => outcome === 'started')).toHaveLength(1)
        expect(await sessions().turns(ada, id, everything)).toHaveLength(1)
        expect(linesOf(await messages(id))).toHaveLength(1)
      })

      it('is not used up by a request that was refused', async () => {
        const { id } = await scene().session()
        const { lease } = await scene().start(id)
        const request = keyed(id)
        expect(await accept({ ...request, whenBusy: 'refuse' })).toEqual({ outcome: 'busy' })
        await scene().store.loop.commit(lease, { at: start, status: 'completed' })
        expect(await accept({ ...request, whenBusy: 'refuse' })).toMatchObject({ outcome: 'started' })
      })
    })

    describe('when duplicates are refused', () => {
      const same = (session: string, refuseDuplicateSince: number | null = start) =>
        accepting(session, { inputHash: 'same', refuseDuplicateSince })

      it('refuses what is running or queued already, in any session of the owner', async () => {
        const [one, two] = [await scene().session(), await scene().session()]
        const { lease } = startedOf(await accept(same(one.id)))
        expect(await accept(same(one.id))).toEqual({ outcome: 'duplicate' })
        expect(await accept(same(two.id))).toEqual({ outcome: 'duplicate' })
        await accept(same(one.id, null))
        await scene().store.loop.commit(lease, { at: start, status: 'completed' })
        expect(await accept(same(two.id))).toEqual({ outcome: 'duplicate' })
      })

      it('refuses what waits behind another message', async () => {
        const [one, two] = [await scene().session(), await scene().session()]
        await scene().start(one.id)
        expect(await accept(same(one.id))).toMatchObject({ outcome: 'queued' })
        expect(await accept(same(two.id))).toEqual({ outcome: 'duplicate' })
      })

      it('takes it again once it was answered', async () => {
        const { id } = await scene().session()
        const { lease } = startedOf(await accept(same(id)))
        await scene().store.loop.commit(lease, { at: start, status: 'completed' })
        expect(await accept(same(id))).toMatchObject({ outcome: 'started' })
      })

      it('takes it when the other one is older, of another owner, or other input', async () => {
        const { id } = await scene().session()
        await accept(same(id))
        expect(await accept(same(id, start + 1))).toMatchObject({ outcome: 'queued' })
        const foreign = await scene().session(bob)
        expect(await accept(same(foreign.id), bob)).toMatchObject({ outcome: 'started' })
        expect(await accept(accepting(id, { refuseDuplicateSince: start }))).toMatchObject({ outcome: 'queued' })
      })

      it('takes one of requests that race', async () => {
        const rows = await Promise.all(Array.from({ length: 6 }, () => scene().session()))
        const outcomes = await Promise.all(rows.map(({ id }) => accept(same(id))))
        expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual([
          ...Array.from({ length: 5 }, () => 'duplicate'),
          'started',
        ])
      })
    })
  })
}
