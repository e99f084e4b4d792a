import type { Reach } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { day, hour, newEntry, newWindow, reserving, settling } from './costs-rows.ts'
import {
  ada,
  bob,
  everything,
  expectVoid,
  idsOf,
  newMessage,
  operator,
  outsiders,
  type StoreSubject,
  start,
  stranger,
  useScene,
} from './scene.ts'

const midnight = Math.floor(start / day) * day

export function describeLedger(subject: StoreSubject): void {
  const scene = useScene(subject)
  const costs = () => scene().store.costs
  const charge = (...ledger: ReturnType<typeof newEntry>[]) =>
    costs().charge(ada, { at: start, ledger, settlements: [] })
  const all = { from: 0, to: start + 400 * day, groupBy: [], limit: 100 } as const

  describe('ledger', () => {
    it('gives back what was written, newest first', async () => {
      const unknown = newEntry({
        cost: null,
        priceSource: 'unknown',
        price: null,
        priceAt: null,
        agent: null,
        at: start + 1,
      })
      const known = newEntry({ session: 's', turn: 't', step: 3, schedule: 'nightly', outcome: 'estimated' })
      await charge(known, unknown)
      expect(await costs().entries(ada, everything)).toEqual([unknown, known])
      expect(await costs().entries(operator, { limit: 1, offset: 1 })).toEqual([known])
    })

    it('is filtered by turn, session, agent and model', async () => {
      const one = newEntry({ session: 's1', turn: 't1', agent: 'a1', model: 'm/1' })
      const two = newEntry({ session: 's2', turn: 't2', agent: 'a2', model: 'm/2' })
      await charge(one, two)
      for (const reach of [ada, operator]) {
        for (const filter of [{ session: 's2' }, { turn: 't2' }, { agent: 'a2' }, { model: 'm/2' }]) {
          expect(await costs().entries(reach, everything, filter)).toEqual([two])
        }
        expect(await costs().entries(reach, everything, { turn: 't2', model: 'm/1' })).toEqual([])
      }
    })

    it('belongs to the owner it is written for, whatever the entry says', async () => {
      await costs().charge(bob, { at: start, ledger: [newEntry()], settlements: [] })
      expect(await costs().entries(ada, everything)).toEqual([])
      expect(await costs().entries(bob, everything)).toMatchObject([bob])
    })

    it('and its sums are not shown outside the reach', async () => {
      await charge(newEntry({ session: 's', turn: 't' }))
      for (const reach of outsiders) {
        expect(await costs().entries(reach, everything)).toEqual([])
        expect(await costs().entries(reach, everything, { turn: 't' })).toEqual([])
        expect(await costs().entries(reach, everything, { session: 's' })).toEqual([])
        expect(await costs().report(reach, all)).toEqual([])
      }
    })

    it('is written with the step that a turn commits, and not under a void lease', async () => {
      const { id } = await scene().session()
      const { lease, turn } = await scene().start(id)
      const entry = newEntry({ session: id, turn: turn.id, step: 1 })
      const change = { at: start, ledger: [entry], messages: [newMessage({ turn: turn.id })] }
      const void_ = { ...lease, epoch: lease.epoch + 1 }
      await expect(scene().store.loop.commit(void_, change)).rejects.toMatchObject({ code: 'LEASE_LOST' })
      await expectVoid(scene(), void_)
      expect(await costs().entries(ada, everything)).toEqual([])
      await scene().store.loop.commit(lease, change)
      expect(await costs().entries(ada, everything)).toEqual([entry])
      expect(await costs().report(ada, all)).toMatchObject([{ calls: 1, cost: 1_000n }])
    })

    it('leaves no trace of a commit that fails', async () => {
      const entry = newEntry()
      await charge(entry)
      await expect(charge(newEntry({ cost: 5 }), entry)).rejects.toThrow()
      expect(await costs().entries(ada, everything)).toEqual([entry])
      expect(await costs().report(ada, all)).toMatchObject([{ calls: 1, cost: 1_000n }])
    })
  })

  describe('report', () => {
    it('sums calls, tokens, money and unknown prices', async () => {
      await charge(newEntry(), newEntry({ cost: null, priceSource: 'unknown' }), newEntry({ cost: 5 }))
      await charge(newEntry({ cost: 7 }))
      expect(await costs().report(ada, all)).toEqual([
        {
          calls: 4,
          usage: { input: 40, cacheRead: 8, cacheWrite: 12, output: 20, reasoning: 4 },
          cost: 1_012n,
          unknownPriceCalls: 1,
        },
      ])
    })

    it('groups, dearest first', async () => {
      await charge(
        newEntry({ agent: 'a', model: 'm/1', cost: 1 }),
        newEntry({ agent: 'a', model: 'm/2', cost: 5 }),
        newEntry({ agent: null, model: 'm/2', cost: 3 }),
      )
      await costs().charge(bob, {
        at: start,
        ledger: [newEntry({ agent: 'a', model: 'm/1', cost: 10 })],
        settlements: [],
      })
      const report = (reach: Reach, ...groupBy: ('subject' | 'agent' | 'model')[]) =>
        costs().report(reach, { ...all, groupBy })
      expect(await report(operator, 'model')).toMatchObject([
        { model: 'm/1', cost: 11n, calls: 2 },
        { model: 'm/2', cost: 8n, calls: 2 },
      ])
      expect(await report(ada, 'agent', 'model')).toMatchObject([
        { agent: 'a', model: 'm/2', cost: 5n },
        { agent: '', model: 'm/2', cost: 3n },
        { agent: 'a', model: 'm/1', cost: 1n },
      ])
      expect(await report(operator, 'subject')).toMatchObject([
        { subject: 'bob', cost: 10n },
        { subject: 'ada', cost: 9n },
      ])
      expect(await costs().report(operator, { ...all, groupBy: ['model'], limit: 1 })).toHaveLength(1)
    })

    it('counts each call once, whatever hours and days a range begins and ends in', async () => {
      const at = (hours: number) => newEntry({ at: midnight + hours * hour, cost: 10 + hours })
      const hours = [-1, 0, 5, 23, 24, 47, 48, 50]
      await charge(...hours.map(at))
      for (const from of [-2, -1, 0, 4, 24, 30, 48]) {
        for (const to of [0, 1, 6, 24, 25, 48, 49, 51]) {
          if (to <= from) continue
          const within = hours.filter((one) => one >= from && one < to)
          const range = { from: midnight + from * hour, to: midnight + to * hour, limit: 100 }
          const [row] = await costs().report(ada, { ...range, groupBy: [] })
          expect(row?.calls ?? 0, `${from} to ${to}`).toBe(within.length)
          for (const groupBy of ['hour', 'day'] as const) {
            const length = groupBy === 'hour' ? hour : day
            const rows = await costs().report(ada, { ...range, groupBy: [groupBy] })
            const buckets = within.map((one) => Math.floor((midnight + one * hour) / length) * length)
            expect(rows.map(({ bucket }) => bucket).toSorted()).toEqual([...new Set(buckets)].toSorted())
            expect(rows.reduce((sum, { calls }) => sum + calls, 0)).toBe(within.length)
          }
        }
      }
    })

    it('holds more money than a number can', async () => {
      const cost = Number.MAX_SAFE_INTEGER
      for (let call = 0; call < 5; call += 1) await charge(newEntry({ cost }))
      expect(await costs().report(ada, all)).toMatchObject([{ cost: 5n * BigInt(cost) }])
    })

    it('counts all of the calls that are written at once', async () => {
      await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          charge(newEntry({ model: `m/${index % 2}` }), newEntry({ model: `m/${(index + 1) % 2}` })),
        ),
      )
      expect(await costs().report(ada, all)).toMatchObject([{ calls: 40, cost: 40_000n }])
    })
  })

  it('reserves and charges for nobody else', async () => {
    const window = newWindow('b', 100n, { tenant: 'other', value: 'other', subject: 'ada' })
    const reservation = reserving(10, [window])
    await costs().reserve(stranger, reservation, 'one', start)
    await costs().charge(stranger, { at: start, ledger: [reservation.entry], settlements: [settling(reservation, 4)] })
    expect(await costs().budgets(ada, start, 10)).toEqual([])
    expect(await costs().budgets(stranger, start, 10)).toMatchObject([{ spent: 4n }])
    expect(idsOf(await costs().entries(stranger, everything))).toEqual([reservation.id])
  })
}
