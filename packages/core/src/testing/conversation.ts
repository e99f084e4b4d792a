import type { Agent } from '../capabilities/agents/index.ts'
import type { Approval } from '../capabilities/approvals/index.ts'
import type { RunOptions, TurnHandle, TurnOutcome } from '../capabilities/loop/index.ts'
import { noUsage } from '../capabilities/models/index.ts'
import type { ToolCall, Turn, TurnEvent, Usage } from '../capabilities/sessions/index.ts'
import { isKeelsonError, KeelsonError } from '../kernel/errors.ts'
import type { Json } from '../kernel/json.ts'
import type { Client } from '../runtime.ts'
import type { TestRuntime } from './test-runtime.ts'
import { transcriptOf } from './transcript.ts'

/** A tool call as a test wants to see it. */
export interface ToldCall {
  readonly tool: string
  /** Parsed; the text itself when the model wrote broken JSON. */
  readonly arguments: Json
  readonly status: ToolCall['status']
  readonly output: Json
}

/** One message and what came of it so far. */
export interface Exchange<Output = unknown> {
  readonly message: string
  /** Id of the turn. */
  readonly turn: string
  readonly status: Turn['status']
  /** Text of the answer, or of the failure reply. */
  readonly reply: string
  /** What the agent's `output` made of the answer; null when it declares none, or there is no answer. */
  readonly output: Output | null
  readonly error: Turn['error']
  /** `provider/model` that answered. */
  readonly model: string | null
  readonly steps: number
  readonly usage: Usage
  /** Pico-dollars; null when the price is unknown. */
  readonly cost: number | null
  /** Every event, in order. */
  readonly events: readonly TurnEvent[]
  readonly calls: readonly ToldCall[]
}

/**
 * A person who talks with an agent. What is said is answered before the promise resolves: completed, or waiting for an
 * approval. A turn that ends otherwise rejects with what `result` of its handle rejects with, the transcript and what the
 * runtime reported; `last` then shows it too.
 */
export interface Conversation<Output = unknown> {
  /** Says something, in the same session as before. */
  says(message: RunOptions['message'], options?: Omit<RunOptions, 'message' | 'session'>): Promise<Exchange<Output>>
  /** Approves all calls that wait, or those of one tool, and waits for what follows. */
  approve(tool?: string): Promise<Exchange<Output>>
  /** Denies all calls that wait, or those of one tool, and waits for what follows. */
  deny(tool?: string): Promise<Exchange<Output>>
  /** Waits for what follows when something else has ended the waiting: time, another person, a restart. */
  goesOn(): Promise<Exchange<Output>>
  /** Cancels what is being answered. */
  cancel(): Promise<void>
  /** The calls of all turns, or those of one tool, in order. */
  calls(tool?: string): readonly ToldCall[]
  /** The first call of a tool whose arguments hold at least these. Throws with the transcript when there is none. */
  called(tool: string, args?: Json): ToldCall
  readonly last: Exchange<Output>
  readonly exchanges: readonly Exchange<Output>[]
  /** Id of the session; null before anything was said. */
  readonly session: string | null
  readonly usage: Usage
  /** Pico-dollars of all turns; null when a price is unknown. */
  readonly cost: number | null
  /** Everything that happened, for people. */
  readonly transcript: string
}

export interface ConversationOptions {
  /** Who talks. @default the operator */
  readonly as?: Client
  /** Who decides approvals. @default the operator */
  readonly approver?: Client
  /** A session to go on with. @default a new one */
  readonly session?: string
}

type Entry<Output> = { -readonly [Key in keyof Exchange<Output>]: Exchange<Output>[Key] }

/** More than a turn can have asked for. */
const mostApprovals = 1_000

/** Begins a conversation with an agent; given as it was defined, it types `output`. Nothing is sent yet. */
export function conversation<Output = unknown>(
  runtime: TestRuntime,
  agent: string | Agent<Output>,
  options: ConversationOptions = {},
): Conversation<Output> {
  const { as: client = runtime.client, approver = runtime.client } = options
  const exchanges: Entry<Output>[] = []
  let session = options.session ?? null
  let running: TurnHandle<Output> | null = null

  const transcript = () => exchanges.map(transcriptOf).join('\n')
  const lost = (problem: string) => new Error(`${problem}\n\n${transcript() || '(nothing was said yet)'}`)

  const last = () => {
    const exchange = exchanges.at(-1)
    if (!exchange) throw lost('nothing was said yet')
    return exchange
  }

  /** Follows a turn until it ends or waits, and notes what is then known of it. */
  async function follow(handle: TurnHandle<Output>, entry: Entry<Output>): Promise<Exchange<Output>> {
    running = handle
    try {
      const events = [...entry.events]
      entry.events = events
      for await (const event of handle.events({ after: events.at(-1)?.sequence ?? 0 })) events.push(event)
      const outcome = await handle.outcome
      const { status, error, model, steps, usage, cost } = await client.sessions.turn({ id: outcome.turn })
      Object.assign(entry, { status, error, model, steps, usage, cost, reply: outcome.text })
      entry.calls = (await client.sessions.toolCalls({ turn: outcome.turn })).map(toldCall)
      await handle.result.catch((error) => {
        throw withTranscript(error, transcript(), runtime)
      })
      entry.output = await outputOf(handle, outcome)
      return entry
    } finally {
      running = null
    }
  }

  async function begin(handle: TurnHandle<Output>, message: string): Promise<Exchange<Output>> {
    running = handle
    const turn = await handle.accepted
    session = turn.session
    const entry: Entry<Output> = {
      message,
      turn: turn.id,
      status: turn.status,
      reply: '',
      output: null,
      error: null,
      model: null,
      steps: 0,
      usage: noUsage,
      cost: null,
      events: [],
      calls: [],
    }
    exchanges.push(entry)
    return follow(handle, entry)
  }

  const attach = (turn: string) => client.attach(turn) as TurnHandle<Output>
  const goesOn = () => follow(attach(last().turn), last())

  async function decide(decision: 'approve' | 'deny', tool: string | undefined): Promise<Exchange<Output>> {
    const { turn, status } = last()
    const window = { limit: mostApprovals, offset: 0 }
    const open = await approver.approvals.list({ ...window, turn, status: 'pending' })
    const meant = open.filter((approval) => tool === undefined || approval.tool === tool)
    if (meant.length === 0) throw lost(`no call${tool === undefined ? '' : ` of ${tool}`} waits for a decision`)
    for (const { id } of meant) await approver.approvals.decide({ id, decision })
    if (status === 'waiting') return goesOn()
    return decision === 'approve' ? carriedOut(meant) : last()
  }

  /** The calls of a turn that did not wait are carried out by turns of their own. */
  async function carriedOut(approvals: readonly Approval[]): Promise<Exchange<Output>> {
    const ids = new Set(approvals.map(({ id }) => id))
    const turns = await client.sessions.turns({ session: session ?? '', limit: mostApprovals, offset: 0 })
    const linked = turns.filter(({ options: { continues } }) => continues !== null && ids.has(continues))
    for (const { id, input } of linked) await begin(attach(id), saidIn(input))
    return last()
  }

  const calls = (tool?: string) =>
    exchanges.flatMap((exchange) => exchange.calls).filter((call) => tool === undefined || call.tool === tool)

  return {
    says: (message, more) =>
      begin(
        client.run(agent, { ...more, ...(session === null ? {} : { session }), message }),
        typeof message === 'string' ? message : saidIn(message),
      ),
    approve: (tool) => decide('approve', tool),
    deny: (tool) => decide('deny', tool),
    goesOn,
    async cancel() {
      const { id } = running === null ? { id: last().turn } : await running.accepted
      await client.turns.cancel({ id })
    },
    calls,
    called(tool, args = {}) {
      const call = calls(tool).find((each) => holds(each.arguments, args))
      if (call) return call
      throw lost(`${tool} was not called${JSON.stringify(args) === '{}' ? '' : ` with ${JSON.stringify(args)}`}`)
    },
    get last() {
      return last()
    },
    exchanges,
    get session() {
      return session
    },
    get usage() {
      return exchanges.reduce((sum, { usage }) => added(sum, usage), noUsage)
    },
    get cost() {
      return exchanges.reduce<number | null>((sum, { cost }) => (sum === null || cost === null ? null : sum + cost), 0)
    },
    get transcript() {
      return transcript()
    },
  }
}

function toldCall({ tool, arguments: text, status, output }: ToolCall): ToldCall {
  try {
    return { tool, arguments: JSON.parse(text || '{}') as Json, status, output }
  } catch {
    return { tool, arguments: text, status, output }
  }
}

async function outputOf<Output>(handle: TurnHandle<Output>, { status }: TurnOutcome): Promise<Output | null> {
  if (status !== 'completed') return null
  return await handle.output.catch((error) => {
    if (isKeelsonError(error) && error.code === 'OUTPUT_UNDECLARED') return null
    throw error
  })
}

/** The same error, and all that helps to see why. */
function withTranscript(error: unknown, transcript: string, { reported }: TestRuntime): unknown {
  if (!isKeelsonError(error)) return error
  const causes = reported.map(
    ({ error: cause, where }) => `${where}: ${cause instanceof Error ? cause.message : cause}`,
  )
  const seen = causes.length === 0 ? '' : `\n\nreported by the runtime:\n${causes.join('\n')}`
  const message = `${error.message}\n\n${transcript}${seen}`
  return new KeelsonError(error.code, error.kind, message, {
    ...(error.details === undefined ? {} : { details: error.details }),
    cause: error,
  })
}

const saidIn = (parts: Turn['input']): string =>
  parts.flatMap((part) => (part.type === 'text' ? part.text : [])).join('')

const added = (one: Usage, other: Usage): Usage => ({
  input: one.input + other.input,
  cacheRead: one.cacheRead + other.cacheRead,
  cacheWrite: one.cacheWrite + other.cacheWrite,
  output: one.output + other.output,
  reasoning: one.reasoning + other.reasoning,
})

/** True when a value has everything that is wanted, at any depth; lists have to be equal in length. */
function holds(value: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return Object.is(value, wanted)
  if (typeof value !== 'object' || value === null || Array.isArray(value) !== Array.isArray(wanted)) return false
  if (Array.isArray(wanted) && wanted.length !== (value as unknown[]).length) return false
  return Object.entries(wanted).every(([key, each]) => holds((value as Record<string, unknown>)[key], each))
}
