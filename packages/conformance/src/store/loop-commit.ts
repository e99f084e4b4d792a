import type { TurnStatus } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import {
  ada,
  everything,
  idsOf,
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

const settled = ['completed', 'failed', 'cancelled', 'interrupted'] as const

export function describeCommit(subject: StoreSubject): void {
  describe('commit', () => {
    const scene = useScene(subject)
    const loop = () => scene().store.loop
    const sessions = () => scene().store.sessions
    const turnOf = (id: string) => sessions().turn(ada, id)
    const messages = (session: string) => sessions().messages(ada, session, { after: 0, limit: 1_000 })
    const begin = async () => {
      const session = await scene().session()
      return { session: session.id, ...(await scene().start(session.id)) }
    }

    it('writes everything that is given', async () => {
      const { session, turn, lease } = await begin()
      const change = {
        selection: { chosen: 'demo/other', strategy: 'fallback_1', candidates: [] },
        context: [{ source: 'history', tokens: 12, kept: false, from: 1, to: 4, reason: 'too long' }] as const,
        model: 'demo/other',
        steps: 2,
        usage: { input: 2 ** 40, cacheRead: 1, cacheWrite: 2, output: 3, reasoning: 4 },
        cost: Number.MAX_SAFE_INTEGER,
        error: { code: 'RATE_LIMITED', message: 'slow down' },
      }
      const message = newMessage({ turn: turn.id, usage: change.usage })
      const committed = await loop().commit(lease, {
        ...change,
        at: start + 7,
        messages: [message],
        log: '{"sequence":1}\n',
      })
      expect(committed).toEqual({ lastSequence: 2, next: null, cancelRequested: false })
      expect(await turnOf(turn.id)).toEqual({ ...turn, ...change })
      expect((await messages(session))[1]).toEqual({ ...message, session, sequence: 2 })
      expect(await sessions().turnLog(ada, turn.id)).toBe('{"sequence":1}\n')
      expect(await sessions().get(ada, session)).toMatchObject({ lastSequence: 2, updatedAt: start + 7 })
    })

    it('leaves alone what is not given and clears what is null', async () => {
      const { turn, lease } = await begin()
      const values = { model: 'demo/echo', steps: 3, cost: 0, error: { code: 'X', message: 'y' } }
      await loop().commit(lease, { at: start, ...values, context: [], log: 'a\n' })
      await loop().commit(lease, { at: start })
      expect(await turnOf(turn.id)).toEqual({ ...turn, ...values, context: [] })
      await loop().commit(lease, { at: start, cost: null, error: null, steps: 0, log: 'b\n' })
      const cleared = { ...turn, ...values, context: [], cost: null, error: null, steps: 0 }
      expect(await turnOf(turn.id)).toEqual(cleared)
      expect(await sessions().turnLog(ada, turn.id)).toBe('a\nb\n')
    })

    it('appends messages in their order, also many, and after those appended by hand', async () => {
      const { session, lease } = await begin()
      await sessions().append(ada, session, newMessage({ role: 'system', parts: text('by hand') }))
      const many = Array.from({ length: 130 }, (_, index) => newMessage({ parts: text(`number ${index}`) }))
      expect(await loop().commit(lease, { at: start, messages: many })).toMatchObject({ lastSequence: 132 })
      const stored = await messages(session)
      expect(stored.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 132 }, (_, index) => index + 1))
      expect(linesOf(stored).slice(1, 4)).toEqual(['system: by hand', 'assistant: number 0', 'assistant: number 1'])
      expect(idsOf(stored).slice(2)).toEqual(idsOf(many))
    })

    it('keeps log text byte for byte and in order', async () => {
      const { turn, lease } = await begin()
      const lines = ['{"text":"a\\n"}\n', '{"text":"👩‍👧 ß"}\n', '', `{"text":"${'x'.repeat(200_000)}"}\n`]
      for (const line of lines) await loop().flush(lease, line)
      await loop().commit(lease, { at: start, log: '{"last":true}\n' })
      expect(await sessions().turnLog(ada, turn.id)).toBe(`${lines.join('')}{"last":true}\n`)
    })

    describe('tool calls', () => {
      it('are stored and ended, in the order of the model', async () => {
        const { turn, session, lease } = await begin()
        const policy = { decision: 'ask', rule: 'risk', reason: 'it writes' } as const
        const second = [2, 2].map((step) => newToolCall({ step, status: 'waiting', policy }))
        const first = Array.from({ length: 60 }, (_, index) => newToolCall({ step: 1, call: `call_${index}` }))
        await loop().commit(lease, { at: start, toolCalls: second })
        await loop().commit(lease, { at: start, toolCalls: first.slice(0, 2) })
        await loop().commit(lease, { at: start, toolCalls: first.slice(2) })
        const expected = [...first, ...second].map((call) => ({ ...call, turn: turn.id, session }))
        for (const reach of [ada, operator]) expect(await sessions().toolCalls(reach, turn.id)).toEqual(expected)
        for (const reach of outsiders) expect(await sessions().toolCalls(reach, turn.id)).toEqual([])
        expect(await sessions().toolCalls(ada, 'unknown')).toEqual([])
      })

      it.each([null, false, 0, '', 'text', [], {}, { deep: [{ x: [null] }], big: 2 ** 45 }])(
        'end with %j',
        async (output) => {
          const { turn, lease } = await begin()
          const [one, two] = [newToolCall(), newToolCall({ status: 'waiting' })]
          await loop().commit(lease, { at: start, toolCalls: [one, two] })
          const toolCallEnds = [
            { id: two.id, status: 'started', output: null, endedAt: null },
            { id: one.id, status: 'succeeded', output, endedAt: start + 4 },
          ] as const
          await loop().commit(lease, { at: start, toolCallEnds })
          expect(await sessions().toolCalls(ada, turn.id)).toMatchObject([
            { id: one.id, status: 'succeeded', output, endedAt: start + 4 },
            { id: two.id, status: 'started', output: null, endedAt: null },
          ])
        },
      )

      it('of an earlier turn of the session can be ended by a later one', async () => {
        const { session, turn, lease } = await begin()
        const call = newToolCall({ status: 'waiting' })
        await loop().commit(lease, { at: start, toolCalls: [call], status: 'completed' })
        const later = await scene().start(session)
        const end = {
          id: call.id,
          status: 'succeeded',
          output: { continuedBy: later.turn.id },
          endedAt: start,
        } as const
        await loop().commit(later.lease, { at: start, toolCallEnds: [end] })
        expect(await sessions().toolCalls(ada, turn.id)).toMatchObject([end])
      })
    })

    describe.each(settled)('that makes the turn %s', (status) => {
      it('ends it and frees the session', async () => {
        const { session, turn, lease } = await begin()
        const error = { code: 'WHY', message: 'because' }
        const committed = await loop().commit(lease, { at: start + 8, status, error })
        expect(committed).toEqual({ lastSequence: 1, next: null, cancelRequested: false })
        expect(await turnOf(turn.id)).toEqual({ ...turn, status, error, endedAt: start + 8 })
        expect((await scene().start(session)).turn.sequence).toBe(2)
      })

      it('starts the next turn in the same commit, with its message after the answer', async () => {
        const { session, lease } = await begin()
        const [second, third] = [await scene().queue(session), await scene().queue(session)]
        const messagesOfFirst = [newMessage({ parts: text('answer') })]
        const { next, lastSequence } = await loop().commit(lease, { at: start + 3, status, messages: messagesOfFirst })
        expect(lastSequence).toBe(2)
        expect(next).toMatchObject({ turn: { id: second, status: 'running', startedAt: start + 3 }, lastSequence: 3 })
        expect(next?.turn).toEqual(await turnOf(second))
        expect(next?.lease).toMatchObject({ session, turn: second, instance: 'one' })
        expect(linesOf(await messages(session)).slice(1)).toEqual(['assistant: answer', `user: question of ${second}`])
        expect((await messages(session))[2]).toMatchObject({ turn: second, createdAt: start + 3 })
        expect(await turnOf(third)).toMatchObject({ status: 'queued' })
      })

      it(`${status === 'failed' || status === 'cancelled' ? 'cancels' : 'leaves'} its pending approvals`, async () => {
        const { lease } = await begin()
        const [one, two] = [newToolCall({ status: 'waiting' }), newToolCall({ status: 'waiting' })]
        const approvals = [newApproval(one.id), newApproval(two.id)]
        await loop().commit(lease, { at: start, toolCalls: [one, two], approvals })
        const store = scene().store.approvals
        await store.decide(ada, approvals[0]?.id ?? '', { status: 'denied', decidedBy: 'ada', at: start })
        await loop().commit(lease, { at: start + 1, status })
        const expected = status === 'failed' || status === 'cancelled' ? 'cancelled' : 'pending'
        expect(await store.get(ada, approvals[0]?.id ?? '')).toMatchObject({ status: 'denied' })
        expect(await store.get(ada, approvals[1]?.id ?? '')).toMatchObject({ status: expected })
      })
    })

    it('runs queued turns one after the other in the order of acceptance', async () => {
      const { session, turn, lease } = await begin()
      const order = [turn.id]
      for (let count = 0; count < 4; count += 1) order.push(await scene().queue(session))
      let current: typeof lease | undefined = lease
      for (const id of order) {
        expect(current?.turn).toBe(id)
        if (current === undefined) break
        const answer = newMessage({ turn: id, parts: text(`answer of ${id}`) })
        const { next } = await loop().commit(current, { at: start, status: 'completed', messages: [answer] })
        current = next?.lease
      }
      expect(current).toBeUndefined()
      const expected = order.flatMap((id) => [`user: question of ${id}`, `assistant: answer of ${id}`])
      expect(linesOf(await messages(session))).toEqual(expected)
      await scene().start(session)
    })

    it('to waiting keeps the session held while others queue', async () => {
      const { session, turn, lease } = await begin()
      const second = await scene().queue(session)
      const committed = await loop().commit(lease, { at: start, status: 'waiting' })
      expect(committed).toMatchObject({ next: null })
      expect(await turnOf(turn.id)).toMatchObject({ status: 'waiting', endedAt: null })
      expect(await turnOf(second)).toMatchObject({ status: 'queued' })
      await scene().queue(session)
    })

    it('to running changes nothing of the status', async () => {
      const { turn, lease } = await begin()
      await loop().commit(lease, { at: start, status: 'running', steps: 1 })
      expect(await turnOf(turn.id)).toMatchObject({ status: 'running', steps: 1 })
    })

    it('refuses a status that does not follow', async () => {
      const { lease } = await begin()
      const before = await scene().snapshot()
      for (const status of ['queued', 'nonsense'] as TurnStatus[]) {
        await expect(loop().commit(lease, { at: start, status: status as 'running' })).rejects.toThrow()
      }
      expect(await scene().snapshot()).toEqual(before)
    })

    it('tells that the turn is to be cancelled', async () => {
      const { turn, lease } = await begin()
      await loop().cancel(ada, turn.id, 'two', start)
      expect(await loop().commit(lease, { at: start })).toMatchObject({ cancelRequested: true })
    })

    describe('that fails half-way leaves nothing', () => {
      const call = newToolCall({ status: 'waiting' })
      const twin = newMessage()
      const approval = newApproval(call.id)
      const rest = { log: 'line\n', steps: 9, cost: 5 }
      it.each([
        ['two messages share an id', { messages: [twin, twin] }],
        ['two tool calls share an id', { toolCalls: [call, call] }],
        [
          'a tool call that ends is unknown',
          { toolCallEnds: [{ id: 'unknown', status: 'failed', output: null, endedAt: start }] },
        ],
        ['two approvals share an id', { toolCalls: [call], approvals: [approval, approval] }],
        ['an approval is of an unknown call', { approvals: [newApproval('unknown')] }],
        ['a number is no integer', { cost: 0.5 }],
        ['a number is too large to be exact', { cost: 2 ** 60 }],
      ] as const)('when %s', async (_, broken) => {
        const { session, lease } = await begin()
        await scene().queue(session)
        const before = await scene().snapshot()
        for (const status of [undefined, 'waiting', 'completed'] as const) {
          const change = { at: start + 1, messages: [newMessage()], ...rest, ...broken, ...(status && { status }) }
          await expect(loop().commit(lease, change)).rejects.toThrow()
        }
        expect(await scene().snapshot()).toEqual(before)
        expect(await loop().commit(lease, { at: start + 1, messages: [newMessage()] })).toMatchObject({
          lastSequence: 2,
        })
        expect(await sessions().turns(ada, session, everything)).toHaveLength(2)
      })
    })
  })
}
