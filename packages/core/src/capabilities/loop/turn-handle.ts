import { noUsage } from '../models/index.ts'
import type { LiveTurn } from '../realtime/index.ts'
import {
  pausesTurn,
  type Turn,
  type TurnError,
  type TurnEvent,
  type TurnStatus,
  type Usage,
} from '../sessions/index.ts'
import { loopErrors } from './errors.ts'

/** What came of a turn. */
export interface TurnOutcome {
  readonly turn: string
  readonly session: string
  readonly status: Exclude<TurnStatus, 'queued' | 'running'>
  /** Text of the last step: the answer, or the failure reply. */
  readonly text: string
  readonly userMessage: string
  /** Id of the assistant message that holds `text`; null when none was stored. */
  readonly message: string | null
  /** `provider/model` that was chosen, and that answered. */
  readonly selected: string | null
  readonly model: string | null
  readonly steps: number
  readonly usage: Usage
  /** Pico-dollars; null when the price is unknown. */
  readonly cost: number | null
  readonly error: TurnError | null
  /** Approvals that were asked for. */
  readonly approvals: readonly { readonly id: string; readonly tool: string; readonly arguments: string }[]
}

export interface AcceptedTurn {
  readonly turn: Turn
  /** Its events, when it runs here already. */
  readonly live: LiveTurn | null
  /** True when the request was made before: nothing new was started. */
  readonly repeated: boolean
  /** Position from which its events are new to the caller. @default 0 */
  readonly after?: number
}

/** What a handle reaches the runtime by, as its caller. */
export interface TurnAccess {
  follow(turn: string, after: number, signal?: AbortSignal): AsyncIterable<TurnEvent>
  cancel(turn: string): Promise<Turn>
  readOutput(turn: Turn, outcome: TurnOutcome): Promise<unknown>
}

/**
 * A turn from the caller's side. Iterate it for its events, await `result` for its answer, or both; it runs whether or
 * not anybody looks.
 */
export class TurnHandle<Output = unknown> implements AsyncIterable<TurnEvent> {
  readonly #accepted: Promise<AcceptedTurn>
  readonly #access: TurnAccess
  #outcome: Promise<TurnOutcome> | undefined
  #result: Promise<TurnOutcome> | undefined

  constructor(accepted: Promise<AcceptedTurn>, access: TurnAccess) {
    // A caller that only wants the result need not look here.
    this.#accepted = handled(accepted)
    this.#access = access
  }

  /** The turn as it was stored. Rejects when it was not accepted. */
  get accepted(): Promise<Turn> {
    return handled(this.#accepted.then(({ turn }) => turn))
  }

  /** True when the same request, under its idempotency key, was made before. */
  get repeated(): Promise<boolean> {
    return handled(this.#accepted.then(({ repeated }) => repeated))
  }

  [Symbol.asyncIterator](): AsyncIterator<TurnEvent> {
    return this.events()[Symbol.asyncIterator]()
  }

  /** Events after a position (by default all that come of the call), until the turn ends or waits. */
  async *events(options: { readonly after?: number; readonly signal?: AbortSignal } = {}): AsyncGenerator<TurnEvent> {
    const { turn, live, after: from = 0 } = await this.#accepted
    const { after = from, signal } = options
    let position = after
    if (live && after >= live.first) {
      for await (const event of live.read(after, signal)) {
        position = event.sequence
        yield event
        if (pausesTurn(event.type)) return
      }
    }
    // It runs elsewhere, or was left before its end and goes on in a while.
    yield* this.#access.follow(turn.id, position, signal)
  }

  /** Stops it, wherever it runs; changes nothing when it has ended. A reader that goes away does not. */
  async cancel(): Promise<Turn> {
    const { turn } = await this.#accepted
    return await this.#access.cancel(turn.id)
  }

  /** What came of it, whatever that is. Rejects only when the turn was not accepted or cannot be followed here. */
  get outcome(): Promise<TurnOutcome> {
    this.#outcome ??= handled(this.#collect())
    return this.#outcome
  }

  /** The outcome of a turn that was completed, or waits for an approval; any other rejects. */
  get result(): Promise<TurnOutcome> {
    this.#result ??= handled(this.#answer())
    return this.#result
  }

  /**
   * The answer, parsed and checked by the agent's `output`. Read from the stored text, so it is there after a crash and
   * on another instance too. Rejects like `result`, with `OUTPUT_PENDING` while the turn waits for an approval, with
   * `OUTPUT_UNDECLARED` for an agent that answers in plain text, and with `OUTPUT_INVALID` for an answer that was stored
   * under another schema.
   */
  get output(): Promise<Output> {
    return handled(this.#parse())
  }

  async #parse(): Promise<Output> {
    const [{ turn }, outcome] = await Promise.all([this.#accepted, this.result])
    return (await this.#access.readOutput(turn, outcome)) as Output
  }

  async #answer(): Promise<TurnOutcome> {
    const outcome = await this.outcome
    const { error, status } = outcome
    if (status === 'completed' || status === 'waiting') return outcome
    const details = { turn: outcome.turn, session: outcome.session, ...(error ? { reason: error.code } : {}) }
    if (error?.problems) Object.assign(details, { problems: error.problems })
    if (status === 'cancelled') throw loopErrors.TURN_CANCELLED({ details })
    const message = error ? { message: error.message } : {}
    const retry = error?.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }
    throw status === 'failed'
      ? loopErrors.TURN_FAILED({ details, ...message, ...retry })
      : loopErrors.TURN_INTERRUPTED({ details, ...message })
  }

  async #collect(): Promise<TurnOutcome> {
    const { turn, live } = await this.#accepted
    const outcome = {
      turn: turn.id,
      session: turn.session,
      status: 'failed' as TurnOutcome['status'],
      text: '',
      userMessage: turn.userMessage,
      message: null as string | null,
      selected: turn.selection?.chosen ?? null,
      model: null as string | null,
      steps: 0,
      usage: noUsage,
      cost: null as number | null,
      error: null as TurnError | null,
      approvals: [] as { id: string; tool: string; arguments: string }[],
    }
    let step = 0
    let position = 0
    let paused = false
    const note = (event: TurnEvent) => {
      position = event.sequence
      paused = pausesTurn(event.type)
      switch (event.type) {
        case 'text.delta':
          outcome.text = event.step === step ? outcome.text + event.text : event.text
          step = event.step
          break
        case 'step.started':
        case 'step.restarted':
          outcome.text = ''
          step = event.step
          break
        case 'approval.requested':
          outcome.approvals.push({ id: event.approval, tool: event.tool, arguments: event.arguments })
          break
        case 'turn.completed': {
          const { message, model, steps, usage, cost } = event
          Object.assign(outcome, { status: 'completed', message, model, steps, usage, cost })
          break
        }
        case 'turn.failed':
          Object.assign(outcome, { status: 'failed', error: event.error, message: event.message })
          break
        case 'turn.cancelled':
          outcome.status = 'cancelled'
          break
        case 'turn.interrupted':
          Object.assign(outcome, { status: 'interrupted', error: event.error })
          break
        case 'turn.waiting':
          outcome.status = 'waiting'
          break
      }
    }
    if (live?.first === 0) await live.each(0, note)
    if (!paused) for await (const event of this.#access.follow(turn.id, position)) note(event)
    return outcome
  }
}

/** A promise that may be looked at later, or never, without ending the process when it rejects. */
function handled<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {})
  return promise
}
