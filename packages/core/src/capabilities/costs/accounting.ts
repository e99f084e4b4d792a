import type { Clock } from '../../kernel/clock.ts'
import type { NewId } from '../../kernel/ids.ts'
import { type Model, noUsage } from '../models/index.ts'
import type { Usage } from '../sessions/index.ts'
import { applying, type CallSubject, windowsOf } from './budget.ts'
import { costErrors } from './errors.ts'
import { costOf, mostOf, type Prices, type RateCard } from './rate-card.ts'
import type { ChargeOutcome, LedgerEntry, Reservation, Settlement } from './store.ts'
import { believable, estimated } from './usage.ts'

/** A model call that is about to be made, and what was set aside for it. */
export interface OpenCall {
  readonly subject: CallSubject
  readonly model: Pick<Model, 'id' | 'prefix'>
  readonly card: RateCard | null
  readonly requestBytes: number
  /** Null when no budget limits it. */
  readonly reservation: Reservation | null
}

export interface EndedCall {
  readonly entry: LedgerEntry
  readonly usage: Usage
  readonly settlement: Settlement | null
}

/** Prices model calls: before them what they may cost, after them what they did. */
export interface Accounting {
  /** Throws `BUDGET_PRICE_UNKNOWN`. */
  open(subject: CallSubject, model: Model, requestBytes: number, maxOutputTokens: number): OpenCall
  /** `usage` is what the provider says, whatever that is. */
  finished(call: OpenCall, usage: unknown, saidBytes: number): EndedCall
  /** The stream was cut after something had been said: what it cost nobody will tell. */
  cut(call: OpenCall, saidBytes: number): EndedCall
  /** It was answered, and billed by what no rate card has, such as the length of audio. */
  unrated(call: OpenCall): EndedCall
  /** A call that its process may have been making when it died. Of a model that is not registered any more the id. */
  lost(subject: CallSubject, model: Model | string, requestBytes: number, saidBytes: number): EndedCall
  /** What others find of a call that no budget limits, should its process die. Sets nothing aside. */
  trace(call: OpenCall): Reservation
}

/** Nothing was said: what was set aside is free again. */
export const released = ({ amount, id, windows }: Reservation): Settlement => ({
  reservation: id,
  amount,
  charge: 0,
  windows,
})

export interface AccountingDependencies {
  readonly prices: Prices
  readonly clock: Clock
  readonly newId: NewId
}

export function createAccounting({ clock, newId, prices }: AccountingDependencies): Accounting {
  function entryOf(
    { card, model, reservation, subject }: OpenCall,
    usage: Usage,
    cost: number | null,
    outcome: ChargeOutcome,
  ): LedgerEntry {
    const { tenant, subject: who, session, turn, step, agent, schedule } = subject
    return {
      id: reservation?.entry.id ?? newId(),
      tenant,
      subject: who,
      session,
      turn,
      step,
      agent,
      schedule,
      model: model.id,
      provider: model.prefix,
      usage,
      cost,
      priceSource: card?.source ?? 'unknown',
      price: card?.price ?? null,
      priceAt: card?.at ?? null,
      outcome,
      at: clock.now(),
    }
  }

  function ended(call: OpenCall, usage: Usage, counted: boolean): EndedCall {
    const { card, reservation } = call
    // What nobody has counted may have cost all that was set aside: to charge less could overspend the budget.
    const outcome = counted ? 'settled' : reservation ? 'at-reservation' : 'estimated'
    const priced = card && Math.min(costOf(usage, card), Number.MAX_SAFE_INTEGER)
    const cost = !counted && reservation ? reservation.amount : priced
    const entry = entryOf(call, usage, cost, outcome)
    return { entry, usage, settlement: reservation && { ...released(reservation), charge: cost ?? 0 } }
  }

  return {
    open(subject, model, requestBytes, maxOutputTokens) {
      const at = clock.now()
      const card = prices.card(model, at)
      const plain: OpenCall = { subject, model, card, requestBytes, reservation: null }
      if (subject.budgets.length === 0) return plain
      const budgets = applying(subject.budgets, subject, model.id)
      const closed = card === null && budgets.find(({ unknownPrice }) => unknownPrice === 'refuse')
      if (closed) {
        throw costErrors.BUDGET_PRICE_UNKNOWN({
          message: `the budget ${JSON.stringify(closed.id)} applies and the price of ${model.id} is unknown; give its registration a price`,
          details: { budget: closed.id, model: model.id },
        })
      }
      const amount = card === null ? 0 : mostOf(card, requestBytes, maxOutputTokens)
      // What costs nothing fits into every budget.
      if (amount === 0 || budgets.length === 0) return plain
      const usage = estimated(requestBytes, 0)
      const entry = entryOf(plain, usage, amount, 'at-reservation')
      const windows = windowsOf(budgets, subject, model.id, at)
      return { ...plain, reservation: { id: entry.id, amount, windows, entry } }
    },

    finished(call, usage, saidBytes) {
      const counted = believable(usage, call.card, saidBytes > 0)
      return ended(call, counted ?? estimated(call.requestBytes, saidBytes), counted !== null)
    },

    cut: (call, saidBytes) => ended(call, estimated(call.requestBytes, saidBytes), false),

    unrated: (call) =>
      // Less than what was set aside could overspend the budget.
      call.reservation ? ended(call, noUsage, false) : ended({ ...call, card: null }, noUsage, true),

    lost(subject, model, requestBytes, saidBytes) {
      const known = typeof model === 'string' ? { id: model, prefix: model.split('/', 1)[0] ?? '' } : model
      const card = typeof model === 'string' ? null : prices.card(model, clock.now())
      const call = { subject, model: known, card, requestBytes, reservation: null }
      return ended(call, estimated(requestBytes, saidBytes), false)
    },

    trace(call) {
      const { entry } = ended(call, estimated(call.requestBytes, 0), false)
      return { id: entry.id, amount: 0, windows: [], entry }
    },
  }
}
