import type { Part, Session } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import {
  ada,
  bob,
  everything,
  idsOf,
  newId,
  newMessage,
  newSession,
  operator,
  outsiders,
  type StoreSubject,
  start,
  stranger,
  text,
  useScene,
} from './scene.ts'

const oddTexts = [
  '',
  ' leading and trailing ',
  `it's "quoted" -- and; drop table sessions; /* % _ \\ */`,
  'naïve é (composed) é (combining)',
  'שלום مرحبا',
  '👩‍👩‍👧‍👦 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u2028 \ufeff \u200b',
  'line one\nline two\r\n\ttabbed',
  ':named ?1 $2 @three',
]

export function describeSessions(subject: StoreSubject): void {
  describe('sessions', () => {
    const scene = useScene(subject)
    const sessions = () => scene().store.sessions
    const all = (reach = operator) => sessions().list(reach, everything)

    describe('create', () => {
      it('gives the row that is read back', async () => {
        const metadata = { channel: 'web', nested: { list: [1, null, true, 'x'], big: 2 ** 40 } }
        const made = await sessions().create(ada, newSession({ title: 'First', metadata, scope: 'main' }))
        expect(made).toMatchObject({ ...ada, agent: 'assistant', scope: 'main', status: 'active', title: 'First' })
        expect(made).toMatchObject({ metadata, model: null, lastSequence: 0, turnCount: 0 })
        expect(made).toMatchObject({ createdAt: start, updatedAt: start })
        expect(await sessions().get(ada, made.id)).toEqual(made)
      })

      it.each(oddTexts)('keeps odd text as it is: %j', async (value) => {
        const values = { title: value, metadata: { [value]: value }, scope: value, agent: value }
        const made = await sessions().create(ada, newSession(values))
        expect(await sessions().get(ada, made.id)).toMatchObject(values)
      })

      it('keeps owners apart whatever their names are made of', async () => {
        const odd = { tenant: `a' or '1'='1`, subject: '%' }
        const made = await sessions().create(odd, newSession())
        await scene().session(ada)
        expect(idsOf(await all(odd))).toEqual([made.id])
        expect(await all({ tenant: '%', subject: null })).toEqual([])
      })

      it('archives the active session of the same scope and no other', async () => {
        const first = await scene().session(ada, { scope: 'main' })
        const others = [
          await scene().session(bob, { scope: 'main' }),
          await scene().session(stranger, { scope: 'main' }),
          await scene().session(ada, { scope: 'side' }),
          await scene().session(ada, { scope: 'main', agent: 'writer' }),
          await scene().session(ada, { scope: null }),
        ]
        const second = await scene().session(ada, { scope: 'main', createdAt: start + 5 })
        expect(await sessions().get(ada, first.id)).toMatchObject({ status: 'archived', updatedAt: start + 5 })
        expect(await sessions().get(ada, second.id)).toMatchObject({ status: 'active' })
        for (const other of others) expect(await sessions().get(other, other.id)).toEqual(other)
      })

      it('leaves any number of sessions without a scope active', async () => {
        for (let count = 0; count < 3; count += 1) await scene().session()
        expect((await all()).map(({ status }) => status)).toEqual(['active', 'active', 'active'])
      })

      it('leaves one active session per scope when many are made at once', async () => {
        const made = await Promise.all(Array.from({ length: 20 }, () => scene().session(ada, { scope: 'main' })))
        const rows = await all()
        expect(idsOf(rows).sort()).toEqual(idsOf(made).sort())
        expect(rows.filter(({ status }) => status === 'active')).toHaveLength(1)
      })
    })

    describe('createNamed', () => {
      it('makes one session of an id, whoever asks and however many at once', async () => {
        const named = { ...newSession({ title: 'Mine' }), id: 'local-1700000000000', scope: null }
        const made = await Promise.all(Array.from({ length: 5 }, () => sessions().createNamed(ada, named)))
        const [only, ...others] = made.filter((each) => each !== null)
        expect(only).toMatchObject({ id: named.id, ...ada, title: 'Mine', messageCount: 0 })
        expect(others).toEqual([])
        expect(await sessions().createNamed(bob, named)).toBeNull()
        expect(await all()).toEqual([only])
      })
    })

    describe('open', () => {
      const opening = (scope = 'main') => ({ ...newSession(), scope })

      it('makes a session and finds it again', async () => {
        const made = await sessions().open(ada, opening())
        expect(await sessions().open(ada, opening())).toEqual(made)
        expect(await sessions().get(ada, made.id)).toEqual(made)
      })

      it('gives callers that race the same session', async () => {
        const opened = await Promise.all(Array.from({ length: 20 }, () => sessions().open(ada, opening())))
        expect(new Set(idsOf(opened)).size).toBe(1)
        expect(await all()).toHaveLength(1)
      })

      it('gives every owner, agent and scope their own', async () => {
        const opened = [
          await sessions().open(ada, opening()),
          await sessions().open(bob, opening()),
          await sessions().open(stranger, opening()),
          await sessions().open(ada, opening('side')),
          await sessions().open(ada, { ...opening(), agent: 'writer' }),
        ]
        expect(new Set(idsOf(opened)).size).toBe(5)
      })

      it('makes a new one after the old one was closed', async () => {
        for (const status of ['archived', 'expired'] as const) {
          const old = await sessions().open(ada, opening())
          await sessions().update(ada, old.id, { status }, start)
          expect((await sessions().open(ada, opening())).id).not.toBe(old.id)
        }
      })
    })

    describe('what is counted and merged', () => {
      it('counts what people say and answers that call no tool', async () => {
        const { id } = await scene().session()
        const call = { type: 'tool-call', call: 'c', tool: 'search', arguments: '{}' } as const
        const result = { type: 'tool-result', call: 'c', tool: 'search', output: null } as const
        const said = { type: 'text', text: 'with "type":"tool-call" in it' } as const
        await sessions().append(ada, id, newMessage({ role: 'user', parts: [said] }))
        await sessions().append(ada, id, newMessage({ role: 'system', parts: [said] }))
        await sessions().append(ada, id, newMessage({ role: 'assistant', parts: [said] }))
        expect(await sessions().get(ada, id)).toMatchObject({ lastSequence: 3, messageCount: 2 })
        const { lease } = await scene().start(id)
        const messages = [
          newMessage({ turn: lease.turn, role: 'assistant', parts: [said, call] }),
          newMessage({ turn: lease.turn, role: 'tool', parts: [result] }),
        ]
        await scene().store.loop.commit(lease, { at: start, messages })
        const answer = newMessage({ turn: lease.turn, role: 'assistant', parts: [said] })
        const queued = await scene().queue(id)
        expect(await sessions().get(ada, id)).toMatchObject({ messageCount: 3 })
        await scene().store.loop.commit(lease, { at: start, messages: [answer], status: 'completed' })
        expect(await sessions().turn(ada, queued)).toMatchObject({ status: 'running' })
        expect(await sessions().get(ada, id)).toMatchObject({ lastSequence: 8, messageCount: 5 })
      })

      it('lists the last active first when asked for it', async () => {
        const [first, second, third] = [
          await scene().session(ada, { createdAt: start }),
          await scene().session(ada, { createdAt: start + 1 }),
          await scene().session(bob, { createdAt: start + 2 }),
        ]
        await sessions().append(ada, first.id, newMessage({ createdAt: start + 9 }))
        const order = async (reach = operator) => idsOf(await sessions().list(reach, everything, { order: 'activity' }))
        expect(await order()).toEqual([first.id, third.id, second.id])
        expect(await order(ada)).toEqual([first.id, second.id])
        expect(idsOf(await sessions().list(operator, everything, { order: 'created' }))).toEqual([
          third.id,
          second.id,
          first.id,
        ])
      })

      it('keeps every entry of the metadata that is set at the same time, and takes out what is null', async () => {
        const { id } = await scene().session(ada, { metadata: { kept: true, gone: 1 } })
        const set = (metadataEntries: Readonly<Record<string, number | null>>) =>
          sessions().update(ada, id, { metadataEntries }, start + 1)
        const names = Array.from({ length: 10 }, (_, index) => `n${index}`)
        await Promise.all([set({ gone: null }), ...names.map((name, index) => set({ [name]: index }))])
        const entries = Object.fromEntries(names.map((name, index) => [name, index]))
        expect((await sessions().get(ada, id))?.metadata).toEqual({ kept: true, ...entries })
        for (const reach of outsiders) {
          expect(await sessions().update(reach, id, { metadataEntries: { x: 1 } }, start)).toBeNull()
        }
        await set({ kept: null, ...Object.fromEntries(names.map((name) => [name, null])) })
        expect((await sessions().get(ada, id))?.metadata).toBeNull()
      })
    })

    describe('get and list', () => {
      it('shows a session to its owner and to operators of the tenant only', async () => {
        const made = await scene().session()
        for (const reach of [ada, operator]) {
          expect(await sessions().get(reach, made.id)).toEqual(made)
          expect(await all(reach)).toEqual([made])
        }
        for (const reach of outsiders) {
          expect(await sessions().get(reach, made.id)).toBeNull()
          expect(await all(reach)).toEqual([])
        }
        expect(await sessions().get(ada, 'unknown')).toBeNull()
      })

      it('lists the newest first and orders ties by id', async () => {
        const made: Session[] = []
        for (const offset of [3, 1, 2, 1, 3, 1]) made.push(await scene().session(ada, { createdAt: start + offset }))
        const sorted = made.toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? -1 : 1))
        for (const reach of [ada, operator]) expect(idsOf(await all(reach))).toEqual(idsOf(sorted))
      })

      it('cuts a window out of the list', async () => {
        for (let offset = 0; offset < 5; offset += 1) await scene().session(ada, { createdAt: start + offset })
        const whole = idsOf(await all())
        expect(idsOf(await sessions().list(ada, { limit: 2, offset: 1 }))).toEqual(whole.slice(1, 3))
        expect(await sessions().list(ada, { limit: 2, offset: 5 })).toEqual([])
        expect(await sessions().list(ada, { limit: 0, offset: 0 })).toEqual([])
        expect(await sessions().list(ada, { limit: -1, offset: 0 })).toEqual([])
      })

      it('filters by agent and status, alone and together', async () => {
        const plain = await scene().session(ada, { createdAt: start + 3 })
        const writer = await scene().session(ada, { agent: 'writer', createdAt: start + 2 })
        const closed = await scene().session(ada, { agent: 'writer', createdAt: start + 1 })
        await sessions().update(ada, closed.id, { status: 'archived' }, start)
        const listed = async (filter: { agent?: string; status?: 'active' | 'archived' }) =>
          idsOf(await sessions().list(operator, everything, filter))
        expect(await listed({ agent: 'writer' })).toEqual([writer.id, closed.id])
        expect(await listed({ status: 'active' })).toEqual([plain.id, writer.id])
        expect(await listed({ agent: 'writer', status: 'archived' })).toEqual([closed.id])
        expect(await listed({ agent: 'nobody' })).toEqual([])
      })
    })

    describe('update', () => {
      it('changes what is given and nothing else', async () => {
        const made = await scene().session(ada, { title: 'Old', metadata: { a: 1 }, scope: 'main' })
        const model = 'demo/echo'
        expect(await sessions().update(ada, made.id, { model }, start + 1)).toEqual({
          ...made,
          model,
          updatedAt: start + 1,
        })
        const patch = { title: null, metadata: { b: [2] }, status: 'expired' } as const
        const changed = await sessions().update(operator, made.id, patch, start + 2)
        expect(changed).toEqual({ ...made, model, ...patch, updatedAt: start + 2 })
        expect(await sessions().get(ada, made.id)).toEqual(changed)
        expect(await sessions().update(ada, made.id, { model: null, metadata: null }, start + 3)).toMatchObject({
          model: null,
          metadata: null,
        })
      })

      it('finds nothing outside the reach and leaves it as it is', async () => {
        const made = await scene().session()
        for (const reach of outsiders) {
          for (const patch of [{ title: 'Mine' }, { status: 'active' }, { status: 'archived' }] as const) {
            expect(await sessions().update(reach, made.id, patch, start + 1)).toBeNull()
          }
        }
        expect(await sessions().update(ada, 'unknown', { title: 'x' }, start)).toBeNull()
        expect(await sessions().get(ada, made.id)).toEqual(made)
      })

      it('makes a closed session active again in the place of the one that is', async () => {
        const first = await scene().session(ada, { scope: 'main' })
        const second = await scene().session(ada, { scope: 'main' })
        expect(await sessions().update(ada, first.id, { status: 'active' }, start + 1)).toMatchObject({
          status: 'active',
        })
        expect(await sessions().get(ada, second.id)).toMatchObject({ status: 'archived' })
        expect(await sessions().update(ada, first.id, { status: 'active' }, start + 2)).toMatchObject({
          status: 'active',
        })
      })
    })

    describe('messages and append', () => {
      const texts = async (session: string, after = 0, limit = 100) =>
        (await sessions().messages(ada, session, { after, limit })).map(({ sequence }) => sequence)

      it('gives messages the next sequence and keeps every kind of part', async () => {
        const { id } = await scene().session()
        const parts: Part[] = [
          ...oddTexts.map((value) => ({ type: 'text', text: value }) as const),
          { type: 'text', text: 'nul \u0000 and lone \ud800 surrogate' },
          { type: 'reasoning', text: 'hm' },
          { type: 'tool-call', call: 'c1', tool: 'search', arguments: '{"a":  1.0}' },
          { type: 'tool-result', call: 'c1', tool: 'search', output: { deep: [null, { x: 1.5 }] }, isError: true },
        ]
        const usage = { input: 2 ** 33, cacheRead: 1, cacheWrite: 2, output: 3, reasoning: 4 }
        const given = newMessage({ role: 'user', parts, usage, turn: 'of-a-turn' })
        const appended = await sessions().append(ada, id, given)
        expect(appended).toEqual({ ...given, session: id, sequence: 1 })
        expect(await sessions().append(operator, id, newMessage({ createdAt: start + 9 }))).toMatchObject({
          sequence: 2,
        })
        const [first] = await sessions().messages(ada, id, { after: 0, limit: 1 })
        expect(first).toEqual(appended)
        expect(await sessions().get(ada, id)).toMatchObject({ lastSequence: 2, updatedAt: start + 9 })
      })

      it('keeps a megabyte of text', async () => {
        const { id } = await scene().session()
        const parts = text('ß'.repeat(500_000))
        await sessions().append(ada, id, newMessage({ parts }))
        expect((await sessions().messages(ada, id, { after: 0, limit: 1 }))[0]?.parts).toEqual(parts)
      })

      it('numbers messages without gaps when many are appended at once', async () => {
        const { id } = await scene().session()
        const appended = await Promise.all(Array.from({ length: 25 }, () => sessions().append(ada, id, newMessage())))
        const expected = Array.from({ length: 25 }, (_, index) => index + 1)
        expect(appended.map((message) => message?.sequence).toSorted((a, b) => (a ?? 0) - (b ?? 0))).toEqual(expected)
        expect(await texts(id)).toEqual(expected)
      })

      it('reads from after a sequence, oldest first, up to a limit', async () => {
        const { id } = await scene().session()
        for (let count = 0; count < 12; count += 1) await sessions().append(ada, id, newMessage())
        expect(await texts(id, 8)).toEqual([9, 10, 11, 12])
        expect(await texts(id, 2, 3)).toEqual([3, 4, 5])
        expect(await texts(id, 12)).toEqual([])
        expect(await texts(id, 0, 0)).toEqual([])
        expect(await texts(id, 2 ** 40)).toEqual([])
      })

      it('reads messages with what is known of the turns that wrote them', async () => {
        const { id } = await scene().session()
        const byHand = await sessions().append(ada, id, newMessage({ turn: 'of-no-turn' }))
        const { lease } = await scene().start(id)
        const usage = { input: 1, cacheRead: 2, cacheWrite: 3, output: 4, reasoning: 5 }
        await scene().store.loop.commit(lease, {
          at: start + 1,
          messages: [newMessage({ turn: lease.turn, role: 'assistant', usage })],
          model: 'demo/echo',
          usage,
          status: 'completed',
        })
        const range = { after: 0, limit: 10 }
        const messages = await sessions().messages(ada, id, range)
        const userMessage = messages[1]?.id
        const turn = { agent: 'assistant', model: 'demo/echo', status: 'completed', usage, userMessage }
        const expected = messages.map((message) => ({ message, turn: message.id === byHand?.id ? null : turn }))
        expect(expected).toHaveLength(3)
        for (const reach of [ada, operator]) {
          expect(await sessions().messagesWithTurns(reach, id, range)).toEqual(expected)
        }
        expect(await sessions().messagesWithTurns(ada, id, { after: 1, limit: 1 })).toEqual(expected.slice(1, 2))
        expect(await sessions().messagesWithTurns(ada, id, { after: 3, limit: 10 })).toEqual([])
        expect(await sessions().messagesWithTurns(ada, id, { after: 0, limit: -1 })).toEqual([])
        for (const reach of outsiders) expect(await sessions().messagesWithTurns(reach, id, range)).toEqual([])
      })

      it('keeps sessions apart', async () => {
        const [one, two] = [await scene().session(), await scene().session()]
        await sessions().append(ada, one.id, newMessage())
        await sessions().append(ada, two.id, newMessage())
        await sessions().append(ada, two.id, newMessage())
        expect(await texts(one.id)).toEqual([1])
        expect(await texts(two.id)).toEqual([1, 2])
      })

      it('neither shows nor takes messages outside the reach', async () => {
        const { id } = await scene().session()
        await sessions().append(ada, id, newMessage())
        const before = await scene().snapshot()
        for (const reach of outsiders) {
          expect(await sessions().messages(reach, id, { after: 0, limit: 10 })).toEqual([])
          expect(await sessions().append(reach, id, newMessage())).toBeNull()
        }
        expect(await sessions().messages(operator, id, { after: 0, limit: 10 })).toHaveLength(1)
        expect(await sessions().messages(ada, 'unknown', { after: 0, limit: 10 })).toEqual([])
        expect(await sessions().append(ada, 'unknown', newMessage())).toBeNull()
        expect(await scene().snapshot()).toEqual(before)
      })

      it('leaves no trace of a message whose id is taken', async () => {
        const { id } = await scene().session()
        const message = newMessage()
        await sessions().append(ada, id, message)
        const before = await scene().snapshot()
        await expect(sessions().append(ada, id, { ...message, createdAt: start + 1 })).rejects.toThrow()
        expect(await scene().snapshot()).toEqual(before)
        expect(await sessions().append(ada, id, newMessage())).toMatchObject({ sequence: 2 })
      })
    })

    describe('titles', () => {
      it('lists sessions without a title, oldest first, with their first user message', async () => {
        const late = await scene().session(ada, { createdAt: start + 2 })
        const early = await scene().session(bob, { createdAt: start + 1 })
        await scene().session(ada, { title: '', createdAt: start })
        await scene().session(stranger, { createdAt: start })
        const first = newMessage({ role: 'user', parts: text('one') })
        await sessions().append(ada, late.id, newMessage({ role: 'assistant' }))
        await sessions().append(ada, late.id, first)
        await sessions().append(ada, late.id, newMessage({ role: 'user', parts: text('two') }))
        await sessions().append(bob, early.id, newMessage({ role: 'assistant' }))
        const lateRow = { id: late.id, firstMessage: { ...first, session: late.id, sequence: 2 } }
        expect(await sessions().untitled(operator, 10)).toEqual([{ id: early.id, firstMessage: null }, lateRow])
        expect(await sessions().untitled(operator, 1)).toEqual([{ id: early.id, firstMessage: null }])
        expect(await sessions().untitled(ada, 10)).toEqual([lateRow])
      })

      it('sets titles where there is none and counts them', async () => {
        const [one, two] = [await scene().session(), await scene().session(ada, { title: 'Kept' })]
        const foreign = await scene().session(bob)
        const titles = [one, two, foreign, { id: newId('unknown') }].map(({ id }) => ({ id, title: 'New' }))
        expect(await sessions().setTitles(ada, titles)).toBe(1)
        expect(await sessions().setTitles(ada, titles)).toBe(0)
        expect(await sessions().get(ada, one.id)).toMatchObject({ title: 'New' })
        expect(await sessions().get(ada, two.id)).toEqual(two)
        expect(await sessions().get(bob, foreign.id)).toEqual(foreign)
        expect(await sessions().setTitles(operator, titles)).toBe(1)
        expect(await sessions().setTitles(operator, [])).toBe(0)
      })
    })
  })
}
