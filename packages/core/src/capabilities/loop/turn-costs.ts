import { utf8Length } from '../../kernel/text.ts'
import type { Agent } from '../agents/index.ts'
import {
  type Accounting,
  type Budget,
  type CallSubject,
  type EndedCall,
  exhausted,
  type LedgerEntry,
  type OpenCall,
  type Reservation,
  released,
  type Settlement,
} from '../costs/index.ts'
import type { Model, ModelRequest } from '../models/index.ts'
import type { ContextSegment, NewMessage, Turn } from '../sessions/index.ts'
import { firstRequestBytes, historyBytes, outputBound, requestBytes } from './context.ts'
import type { LoopDependencies } from './dependencies.ts'
import { CallRefused, NotRecorded } from './errors.ts'
import type { History } from './history.ts'
import type { StepResult } from './step-result.ts'
import type { Committed, NewTurn, StartedTurn } from './store.ts'

/** Whom the calls of a turn are charged to, and what limits them. */
export const subjectOf = (
  { agent, options, session, subject, tenant, id }: Omit<NewTurn, 'selection'> & Pick<Turn, 'tenant' | 'subject'>,
  step: number,
  budgets: readonly Budget[],
): CallSubject => ({
  tenant,
  subject,
  session,
  turn: id,
  step,
  agent,
  schedule: options.schedule ?? null,
  budgets,
})

/** What the first step of a turn may cost whose session has no other messages. Null when no budget limits it. */
export function firstReservation(
  accounting: Accounting,
  subject: CallSubject,
  agent: Agent,
  model: Model,
  input: NewTurn['input'],
): Reservation | null {
  if (subject.budgets.length === 0) return null
  const maxOutputTokens = outputBound(agent, model)
  try {
    return accounting.open(subject, model, firstRequestBytes(agent, input), maxOutputTokens).reservation
  } catch {
    // The turn itself will say why its call may not be made.
    return null
  }
}

export interface TurnCostsInput {
  readonly started: StartedTurn
  /** Those of the generation that the turn began with. */
  readonly budgets: readonly Budget[]
  /** What the turn was doing when its process died. */
  readonly lost: EndedCall | null
}

type Services = Pick<LoopDependencies, 'accounting' | 'clock' | 'crossed' | 'store'>

/** What the model calls of one turn cost, and what is set aside for them. */
export class TurnCosts {
  readonly #services: Services
  readonly #input: TurnCostsInput
  readonly #limited: boolean
  /** The call that is being made. */
  #open: OpenCall | null = null
  /** Made with a commit, ahead of its call. */
  #ahead: Reservation | null
  #ledger: LedgerEntry[] = []
  #settlements: Settlement[] = []
  /** Pico-dollars so far; null while nothing was paid for, and for ever when a price is unknown. */
  total: number | null
  #unknown: boolean
  /** The same of the step that is being made. */
  #step: number | null = null
  #stepUnknown = false

  constructor(services: Services, input: TurnCostsInput) {
    const { reservation, turn } = input.started
    this.#services = services
    this.#input = input
    this.#limited = input.budgets.length > 0
    this.#ahead = reservation ?? null
    this.total = turn.cost
    this.#unknown = turn.cost === null && turn.model !== null
    if (input.lost !== null) this.#add(input.lost)
  }

  /** Before an attempt. Undefined when nothing has to be set aside, or was already. */
  begin(
    step: number,
    model: Model,
    request: ModelRequest,
    segments: readonly ContextSegment[],
  ): Promise<void> | undefined {
    const { accounting } = this.#services
    const { budgets, started } = this.#input
    try {
      const bytes = requestBytes(request, segments)
      this.#open = accounting.open(subjectOf(started.turn, step, budgets), model, bytes, request.maxOutputTokens)
    } catch (error) {
      this.#open = null
      throw new CallRefused(error)
    }
    const { reservation } = this.#open
    const ahead = this.#ahead
    this.#ahead = null
    if (ahead !== null) {
      if (reservation !== null && covers(ahead, reservation)) {
        this.#open = { ...this.#open, reservation: ahead }
        return undefined
      }
      this.#settlements.push(released(ahead))
    }
    if (reservation !== null) return this.#reserve(reservation)
    // What was paid for already must not be lost with the call that comes now.
    return this.#ledger.length === 0 ? undefined : this.#record()
  }

  async #record(): Promise<void> {
    const { clock, store } = this.#services
    const { started } = this.#input
    const change = { ...this.take(false), at: clock.now(), cost: this.total }
    const { money } = await store.commit(started.lease, change).catch((error) => {
      throw new NotRecorded(error)
    })
    if (money) this.committed(money, undefined)
  }

  async #reserve(reservation: Reservation): Promise<void> {
    const { clock, crossed, store } = this.#services
    const charges = { at: clock.now(), ledger: this.#ledger, settlements: this.#settlements }
    const { crossings, refused } = await store
      .reserve(this.#input.started.lease, reservation, charges)
      .catch((error) => {
        throw new NotRecorded(error)
      })
    if (refused !== null) {
      this.#open = null
      throw new CallRefused(exhausted(refused, clock.now()))
    }
    this.#ledger = []
    this.#settlements = []
    crossed(crossings)
  }

  /** The attempt came to nothing. What had been said was paid for; nobody will tell how much. */
  cut(said: number): void {
    const call = this.#open
    this.#open = null
    if (call === null) return
    if (said > 0) this.#add(this.#services.accounting.cut(call, said))
    else if (call.reservation !== null) this.#settlements.push(released(call.reservation))
  }

  /** The result with a usage that can be counted. */
  finished(result: StepResult): StepResult {
    const call = this.#open
    this.#open = null
    if (call === null) return result
    const ended = this.#services.accounting.finished(call, result.usage, saidBytes(result))
    this.#add(ended)
    return { ...result, usage: ended.usage }
  }

  #add({ entry, settlement }: EndedCall): void {
    this.#ledger.push(entry)
    if (settlement !== null) this.#settlements.push(settlement)
    if (entry.cost === null) this.#unknown = true
    this.total = this.#unknown ? null : (this.total ?? 0) + (entry.cost ?? 0)
    if (entry.cost === null) this.#stepUnknown = true
    this.#step = this.#stepUnknown ? null : (this.#step ?? 0) + (entry.cost ?? 0)
  }

  /** What the calls of the step that has ended cost together, those that came to nothing too. The next one begins. */
  ofStep(): number | null {
    const cost = this.#step
    this.#step = null
    this.#stepUnknown = false
    return cost
  }

  /** What the next step may cost, once `messages` are added. Undefined when no budget limits it. */
  next(
    step: number,
    agent: Agent,
    model: Model | undefined,
    history: History,
    messages: readonly NewMessage[],
  ): Reservation | undefined {
    if (!this.#limited || model === undefined || step > agent.maxSteps) return undefined
    const { accounting } = this.#services
    const { budgets, started } = this.#input
    const parts = messages.flatMap((message) => message.parts)
    const bytes = firstRequestBytes(agent, parts) + historyBytes(history)
    const maxOutputTokens = outputBound(agent, model)
    try {
      return (
        accounting.open(subjectOf(started.turn, step, budgets), model, bytes, maxOutputTokens).reservation ?? undefined
      )
    } catch {
      return undefined
    }
  }

  committed({ crossings, reserved }: NonNullable<Committed['money']>, reservation: Reservation | undefined): void {
    if (reserved && reservation !== undefined) this.#ahead = reservation
    this.#services.crossed(crossings)
  }

  /** What the next commit writes. Gone from here: the commit is made again until it is recorded. */
  take(ends: boolean): { readonly ledger?: readonly LedgerEntry[]; readonly settlements?: readonly Settlement[] } {
    if (ends && this.#ahead !== null) {
      this.#settlements.push(released(this.#ahead))
      this.#ahead = null
    }
    if (this.#ledger.length === 0 && this.#settlements.length === 0) return nothing
    const taken = { ledger: this.#ledger, settlements: this.#settlements }
    this.#ledger = []
    this.#settlements = []
    return taken
  }
}

const nothing = {}

/** It was made for as much money, in the same windows. */
const covers = (ahead: Reservation, needed: Reservation): boolean =>
  ahead.amount >= needed.amount &&
  ahead.windows.length === needed.windows.length &&
  ahead.windows.every(({ key }, index) => key === needed.windows[index]?.key)

function saidBytes({ calls, text, thoughts }: StepResult): number {
  let bytes = utf8Length(text)
  for (const thought of thoughts) bytes += utf8Length(thought.text)
  for (const call of calls) bytes += utf8Length(call.tool) + utf8Length(call.arguments)
  return bytes
}
