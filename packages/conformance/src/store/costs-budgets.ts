import type { Reservation, StartedTurn } from '@keelson/core/stores'
import { describe, expect, it } from 'vitest'
import { hour, newEntry, newWindow, reserving, settling } from './costs-rows.ts'
import {
  accepting,
  ada,
  bob,
  everything,
  leaseLost,
  newMessage,
  operator,
  otherOperator,
  type StoreSubject,
  start,
  startedOf,
  useScene,
} from './scene.ts'

export function describeBudgets(subject: StoreSubject): void {
  const scene = useScene(subject)
  const costs = () => scene().store.costs
  const loop = () => scene().store.loop
  const state = async (budget = 'b') => {
    const rows = await costs().budgets(operator, start, 100)
    const row = rows.find((one) => one.budget === budget)
    return row && [row.reserved, row.spent]
  }
  const settle = (reservation: Reservation, charge: number) =>
    costs().charge(ada, { at: start, ledger: [], settlements: [settling(reservation, charge)] })

  describe('reserve', () => {
    it('lets through what fits, and names the budget that does not', async () => {
      const window = newWindow('b', 100n)
      expect(await costs().reserve(ada, reserving(60, [window]), 'one', start)).toBeNull()
      expect(await costs().reserve(ada, reserving(41, [window]), 'one', start)).toEqual(window)
      expect(await costs().reserve(ada, reserving(40, [window]), 'one', start)).toBeNull()
      expect(await state()).toEqual([100n, 0n])
    })

    it('takes from all budgets or from none', async () => {
      const [wide, tight] = [newWindow('a', 1_000n), newWindow('b', 50n)]
      expect(await costs().reserve(ada, reserving(30, [wide, tight]), 'one', start)).toBeNull()
      expect(await costs().reserve(ada, reserving(30, [wide, tight]), 'one', start)).toEqual(tight)
      expect(await costs().reserve(ada, reserving(60, [wide, tight]), 'one', start)).toEqual(tight)
      expect([await state('a'), await state('b')]).toEqual([
        [30n, 0n],
        [30n, 0n],
      ])
    })

    it('goes by the amount that the budget has now', async () => {
      await costs().reserve(ada, reserving(60, [newWindow('b', 100n)]), 'one', start)
      expect(await costs().reserve(ada, reserving(40, [newWindow('b', 70n)]), 'one', start)).toMatchObject({
        budget: 'b',
      })
      expect(await costs().reserve(ada, reserving(90, [newWindow('b', 150n)]), 'one', start)).toBeNull()
    })

    it('gives nothing away twice: of 50 that race for room for 10, 10 get it', async () => {
      const windows = [newWindow('a', 10_000n), newWindow('b', 1_000n), newWindow('c', 10_000n)]
      const got = await Promise.all(
        Array.from({ length: 50 }, () => costs().reserve(ada, reserving(100, windows), 'one', start)),
      )
      expect(got.filter((refused) => refused === null)).toHaveLength(10)
      expect([await state('a'), await state('b'), await state('c')]).toEqual(Array(3).fill([1_000n, 0n]))
    })

    it('holds more money than a number can', async () => {
      const window = newWindow('b', 4_000_000_000_000_000_000n, { end: Number.MAX_SAFE_INTEGER })
      for (let call = 0; call < 3; call += 1) {
        const reservation = reserving(Number.MAX_SAFE_INTEGER, [window])
        await costs().reserve(ada, reservation, 'one', start)
        await settle(reservation, Number.MAX_SAFE_INTEGER)
      }
      expect(await state()).toEqual([0n, 3n * BigInt(Number.MAX_SAFE_INTEGER)])
    })
  })

  describe('a settlement', () => {
    it('frees what was set aside and keeps what was spent, once', async () => {
      const reservation = reserving(60, [newWindow('b', 100n)])
      await costs().reserve(ada, reservation, 'one', start)
      await settle(reservation, 25)
      await settle(reservation, 25)
      expect(await state()).toEqual([0n, 25n])
      expect(await costs().reserve(ada, reserving(75, [newWindow('b', 100n)]), 'one', start)).toBeNull()
    })

    it('tells of each threshold once, also when many settle at once', async () => {
      const windows = [newWindow('b', 1_000n, { thresholds: [10, 50, 100] })]
      const all = Array.from({ length: 10 }, () => reserving(100, windows))
      for (const reservation of all) await costs().reserve(ada, reservation, 'one', start)
      const told = await Promise.all(all.map((reservation) => settle(reservation, 100)))
      expect(
        told
          .flat()
          .map(({ percent }) => percent)
          .toSorted((one, other) => one - other),
      ).toEqual([10, 50, 100])
      expect(await costs().budgets(operator, start, 10)).toMatchObject([{ crossed: 100, spent: 1_000n }])
    })
  })

  describe('the reservation of a step', () => {
    const calling = async (amount: number, limit = 1_000n) => {
      const { id } = await scene().session()
      const started = await scene().start(id)
      return { started, reservation: of(started, amount, limit) }
    }
    const of = ({ turn }: StartedTurn, amount: number, limit = 1_000n) =>
      reserving(amount, [newWindow('b', limit)], { session: turn.session, turn: turn.id, step: 1 })
    const none = { at: start, ledger: [], settlements: [] }

    it('is made under the lease and settled by the commit that ends the step', async () => {
      const { reservation, started } = await calling(600)
      expect(await loop().reserve(started.lease, reservation, none)).toEqual({ refused: null, crossings: [] })
      expect(await state()).toEqual([600n, 0n])
      const { money } = await loop().commit(started.lease, {
        at: start,
        status: 'completed',
        ledger: [{ ...reservation.entry, cost: 500, outcome: 'settled' }],
        settlements: [settling(reservation, 500)],
      })
      expect(money?.crossings.map(({ percent, spent }) => [percent, spent])).toEqual([[50, 500n]])
      expect(await state()).toEqual([0n, 500n])
    })

    it('is not made under a void lease', async () => {
      const { reservation, started } = await calling(600)
      const { lease } = started
      for (const wrong of [
        { ...lease, epoch: lease.epoch + 1 },
        { ...lease, instance: 'two' },
        { ...lease, turn: 'x' },
      ]) {
        await expect(loop().reserve(wrong, reservation, none)).rejects.toMatchObject(leaseLost)
      }
      expect(await state()).toBeUndefined()
    })

    it('takes the place of that of a failed attempt, or leaves everything as it was', async () => {
      const { reservation, started } = await calling(600)
      await loop().reserve(started.lease, reservation, none)
      const second = of(started, 700)
      const settlements = [settling(reservation, 0)]
      expect(await loop().reserve(started.lease, second, { ...none, settlements })).toMatchObject({ refused: null })
      expect(await state()).toEqual([700n, 0n])
      const turn = () => scene().store.sessions.turn(ada, started.turn.id)
      expect(await turn()).toMatchObject({ cost: null })
      const third = of(started, 700)
      const cut = { at: start, ledger: [second.entry], settlements: [settling(second, 700)] }
      expect(await loop().reserve(started.lease, third, cut)).toMatchObject({ refused: { budget: 'b' } })
      expect(await state()).toEqual([700n, 0n])
      expect(await costs().entries(ada, everything)).toEqual([])
      const fourth = of(started, 200)
      expect(await loop().reserve(started.lease, fourth, cut)).toMatchObject({ refused: null })
      expect(await state()).toEqual([200n, 700n])
      expect(await turn()).toMatchObject({ cost: 700 })
    })

    it('is made with the commit before it when there is room, and the commit stands when there is none', async () => {
      const { started } = await calling(0)
      const commit = async (reservation: Reservation) =>
        (
          await loop().commit(started.lease, {
            at: start,
            messages: [newMessage({ turn: started.turn.id })],
            reservation,
          })
        ).money
      expect(await commit(of(started, 700))).toEqual({ reserved: true, crossings: [] })
      expect(await commit(of(started, 700))).toEqual({ reserved: false, crossings: [] })
      expect(await commit(of(started, 2_000))).toEqual({ reserved: false, crossings: [] })
      expect(await state()).toEqual([700n, 0n])
      expect(await scene().store.sessions.messages(ada, started.turn.session, { after: 1, limit: 10 })).toHaveLength(3)
    })

    it('is made with the turn when it starts at once, and not when it waits', async () => {
      const { id } = await scene().session()
      const accept = async () => {
        const request = accepting(id)
        const { turn } = request
        const reservation = reserving(600, [newWindow('b', 1_000n)], { session: id, turn: turn.id, step: 1 })
        return await loop().accept(ada, { ...request, budgets: reservation.windows, reservation })
      }
      const started = startedOf(await accept())
      expect(started.reservation).toMatchObject({ amount: 600 })
      expect(await accept()).toMatchObject({ outcome: 'queued' })
      expect(await state()).toEqual([600n, 0n])
    })

    it('refuses a turn of which a budget is used up, and stores nothing', async () => {
      const reservation = reserving(100, [newWindow('b', 100n)])
      await costs().reserve(ada, reservation, 'one', start)
      await settle(reservation, 100)
      const { id } = await scene().session()
      const before = await scene().snapshot()
      const request = accepting(id)
      expect(
        await loop().accept(ada, { ...request, budgets: [newWindow('a', 5n), newWindow('b', 100n)] }),
      ).toMatchObject({
        outcome: 'budget-exhausted',
        budget: { budget: 'b' },
      })
      expect(await scene().snapshot()).toEqual(before)
      expect(await loop().accept(ada, { ...request, budgets: [newWindow('b', 101n)] })).toMatchObject({
        outcome: 'started',
      })
    })

    it.each(['resume', 'takeOver'] as const)(
      'is settled at its amount by %s, once, with its cost on the turn',
      async (how) => {
        const { reservation, started } = await calling(600)
        await loop().reserve(started.lease, reservation, none)
        const { id } = started.turn
        const [resumed] =
          how === 'resume' ? [await loop().resume(id, 'one', start)] : await loop().takeOver('two', start, start, 10)
        expect(resumed?.turn).toMatchObject({ id, cost: 600 })
        expect(resumed?.crossings?.map(({ percent }) => percent)).toEqual([50])
        expect(await state()).toEqual([0n, 600n])
        expect(await costs().entries(ada, everything)).toEqual([reservation.entry])
        expect(await scene().store.sessions.turn(ada, id)).toMatchObject({ cost: 600 })
        await expect(
          loop().commit(started.lease, { at: start, settlements: [settling(reservation, 1)] }),
        ).rejects.toMatchObject(leaseLost)
        await loop().resume(id, resumed?.lease.instance ?? '', start)
        expect(await state()).toEqual([0n, 600n])
      },
    )
  })

  describe('settleAbandoned', () => {
    it('settles the calls outside of turns of instances that are dead, and no others', async () => {
      const window = newWindow('b', 1_000n)
      const make = async (instance: string) => {
        const reservation = reserving(100, [window])
        await costs().reserve(ada, reservation, instance, start)
        return reservation
      }
      await loop().heartbeat('alive', start)
      await loop().heartbeat('stale', start - hour)
      await make('alive')
      await make('me')
      const dead = [await make('stale'), await make('unknown')]
      expect(await costs().settleAbandoned('me', start - 1, start, 10)).toBe(2)
      expect(await costs().settleAbandoned('me', start - 1, start, 10)).toBe(0)
      expect(await state()).toEqual([200n, 200n])
      const entries = await costs().entries(operator, everything)
      expect(entries.map(({ id }) => id).toSorted()).toEqual(dead.map(({ id }) => id).toSorted())
    })

    it('writes calls that no budget limits, which their processes have not ended', async () => {
      const [lost, ended] = [reserving(0, [], { cost: 7 }), reserving(0, [])]
      for (const each of [lost, ended]) expect(await costs().reserve(ada, each, 'dead', start)).toBeNull()
      await costs().charge(ada, { at: start, ledger: [ended.entry], settlements: [settling(ended, 0)] })
      expect(await costs().settleAbandoned('me', start, start, 10)).toBe(1)
      const entries = await costs().entries(operator, everything)
      expect(entries.map(({ id }) => id).toSorted()).toEqual([lost.id, ended.id].toSorted())
    })

    it('of a call whose process lives after all leaves one row, whoever is first', async () => {
      for (let round = 0; round < 5; round += 1) {
        const window = newWindow(`b${round}`, 1_000n)
        const call = reserving(100, [window])
        await costs().reserve(ada, call, 'paused', start)
        const entry = { ...call.entry, cost: 40, outcome: 'settled' as const }
        const both = [
          () => costs().charge(ada, { at: start, ledger: [entry], settlements: [settling(call, 40)] }),
          () => costs().settleAbandoned('me', start, start, 10),
        ]
        await Promise.all((round % 2 === 0 ? both : both.toReversed()).map((write) => write()))
        const found = (await costs().entries(operator, everything)).filter(({ id }) => id === call.id)
        expect(found).toHaveLength(1)
        const row = (await costs().budgets(operator, start, 100)).find(({ budget }) => budget === `b${round}`)
        expect(row).toMatchObject({ spent: BigInt(found[0]?.cost ?? 0), reserved: 0n })
      }
    })
  })

  describe('budgets', () => {
    it('are the windows of now, of the tenant or of one subject alone', async () => {
      const own = newWindow('own', 10n, { key: 'own', subject: 'ada', value: 'ada' })
      const late = newWindow('late', 10n, { key: 'late', start: start + hour, end: start + 2 * hour })
      const over = newWindow('over', 10n, { key: 'over', start: start - 2 * hour, end: start })
      const whole = newWindow('whole', 10n, { key: 'whole', end: Number.MAX_SAFE_INTEGER })
      for (const window of [own, late, over, whole]) await costs().reserve(ada, reserving(1, [window]), 'one', start)
      const names = async (reach: Parameters<ReturnType<typeof costs>['budgets']>[0]) =>
        (await costs().budgets(reach, start, 10)).map(({ budget }) => budget)
      expect(await names(operator)).toEqual(['own', 'whole'])
      expect(await names(ada)).toEqual(['own'])
      expect(await names(bob)).toEqual([])
      expect(await names(otherOperator)).toEqual([])
      expect(await costs().budgets(operator, start, 1)).toEqual([
        {
          budget: 'own',
          tenant: 'acme',
          value: 'ada',
          start: own.start,
          end: own.end,
          spent: 0n,
          reserved: 1n,
          crossed: 0,
        },
      ])
    })
  })

  it('an entry of nobody else is made by a settlement of the same id', async () => {
    const entry = newEntry()
    await costs().charge(ada, { at: start, ledger: [entry], settlements: [settling(reserving(5, []), 5)] })
    expect(await costs().entries(ada, everything)).toEqual([entry])
    expect(await costs().budgets(operator, start, 10)).toEqual([])
  })
}
