import { z } from 'zod'
import { ShownText } from '../../capabilities/realtime/index.ts'
import type { Selection, Turn, TurnEvent } from '../../capabilities/sessions/index.ts'
import { rfc3339, rfc3339Text } from './formats.ts'
import { candidateAnswer, channel, selectionFields } from './selection-events.ts'

const workstation = z.enum(['llm', 'exec'])
const replay = { request_id: z.uuid(), tool: z.string(), turn_id: z.uuid() }
const selected = { turn_id: z.uuid(), session_id: z.uuid(), channel: z.string(), selected_model: z.string() }

/** One text frame of the server. */
export const pushFrame = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('connected'), version: z.string(), timestamp: rfc3339Text }),
  z.strictObject({ type: z.literal('ack') }),
  z.strictObject({
    type: z.literal('agent_working'),
    agent_id: z.string(),
    workstation,
    /** `inference` or `tool:<name>`. */
    activity: z.string(),
    session_id: z.uuid(),
    turn_id: z.uuid(),
    model: z.string().nullable(),
  }),
  z.strictObject({
    type: z.literal('agent_idle'),
    agent_id: z.string(),
    workstation,
    session_id: z.uuid(),
    turn_id: z.uuid(),
  }),
  z.strictObject({ type: z.literal('stream_chunk'), delta: z.string(), done: z.boolean(), session_id: z.uuid() }),
  z.strictObject({
    type: z.literal('model_selection'),
    ...selected,
    strategy: z.string(),
    primary_model: z.string(),
    override_model: z.string().nullable(),
    complexity: z.string().nullable(),
    complexity_score: z.number().nullable(),
    metascore_breakdown: z.null(),
    candidates: z.array(candidateAnswer),
    created_at: rfc3339Text,
  }),
  z.strictObject({
    type: z.literal('model_shift'),
    ...selected,
    executed_model: z.string(),
    reason: z.enum(['fallback', 'cache_hit']),
  }),
  z.strictObject({ type: z.literal('pending_approval'), tool: z.string(), request_id: z.uuid() }),
  z.strictObject({ type: z.literal('approval_replay_started'), ...replay }),
  z.strictObject({ type: z.literal('approval_replay_succeeded'), ...replay, output: z.string() }),
  z.strictObject({ type: z.literal('approval_replay_failed'), ...replay, error: z.string() }),
])

export type PushFrame = z.infer<typeof pushFrame>

type ToolEnd = Extract<TurnEvent, { type: 'tool.finished' }>

/** What clients are told of one turn. Every event is translated once, however many clients there are. */
export class TurnPush {
  readonly #turn: Turn
  #last: TurnEvent | undefined
  #frames: readonly string[] = []
  readonly #text = new ShownText()
  #inference = false
  /** Tool calls that clients were told of as work. */
  readonly #working = new Set<string>()
  /** Calls that a person has approved, with their approvals. */
  readonly #approved = new Map<string, string>()
  #executed: string | null

  constructor(turn: Turn) {
    this.#turn = turn
    this.#executed = turn.selection?.chosen ?? null
  }

  /** The frames of an event, as JSON. The same event again gives the same frames. */
  framesOf(event: TurnEvent): readonly string[] {
    if (event !== this.#last) {
      this.#last = event
      this.#frames = this.#translate(event).map((frame) => JSON.stringify(frame))
    }
    return this.#frames
  }

  #translate(event: TurnEvent): readonly PushFrame[] {
    switch (event.type) {
      case 'turn.started':
        return this.#turn.selection ? [this.#selection(this.#turn.selection, event.at)] : []
      case 'step.started':
        this.#text.begin()
        // Without a model it is the reply that is given when no model answers.
        return event.model === '' ? this.#rest() : [...this.#rest(), this.#infer(event.model)]
      case 'step.restarted':
        this.#text.restart()
        return [...this.#rest(), this.#infer(event.model)]
      case 'text.delta': {
        const delta = this.#text.add(event.text)
        return delta === '' ? [] : [this.#chunk(delta)]
      }
      case 'step.finished':
        return [...this.#rest(), ...this.#shift(event.model)]
      case 'tool.started': {
        const { continues } = this.#turn.options
        // The first step of a turn that continues an approval is the call that was approved.
        const begun = continues !== null && event.step === 1 ? [this.#replayStarted(continues, event.tool)] : []
        if (continues !== null && event.step === 1) this.#approved.set(event.call, continues)
        this.#working.add(event.call)
        return [...begun, { ...this.#work('exec'), activity: `tool:${event.tool}`, model: null }]
      }
      case 'approval.requested':
        return [
          ...this.#endWork(event.call),
          { type: 'pending_approval', tool: event.tool, request_id: event.approval },
        ]
      case 'approval.decided':
        if (event.status === 'approved') this.#approved.set(event.call, event.approval)
        return []
      case 'tool.finished':
        return [...this.#endWork(event.call), ...this.#replayed(event)]
      case 'turn.waiting':
      case 'turn.completed':
      case 'turn.failed':
      case 'turn.cancelled':
      case 'turn.interrupted':
        return [
          ...this.#rest(),
          ...[...this.#working].flatMap((call) => this.#endWork(call)),
          { type: 'stream_chunk', delta: '', done: true, session_id: this.#turn.session },
        ]
      case 'turn.resumed':
      case 'reasoning.delta':
        return []
    }
  }

  get #ids() {
    return { session_id: this.#turn.session, turn_id: this.#turn.id }
  }

  #work(place: z.infer<typeof workstation>) {
    return { type: 'agent_working', agent_id: this.#turn.agent, workstation: place, ...this.#ids } as const
  }

  #infer(model: string): PushFrame {
    this.#inference = true
    return { ...this.#work('llm'), activity: 'inference', model }
  }

  #idle(place: z.infer<typeof workstation>): PushFrame {
    return { type: 'agent_idle', agent_id: this.#turn.agent, workstation: place, ...this.#ids }
  }

  /** The model call is over, if there was one. */
  #rest(): readonly PushFrame[] {
    if (!this.#inference) return []
    this.#inference = false
    return [this.#idle('llm')]
  }

  #endWork(call: string): readonly PushFrame[] {
    return this.#working.delete(call) ? [this.#idle('exec')] : []
  }

  #chunk(delta: string): PushFrame {
    return { type: 'stream_chunk', delta, done: false, session_id: this.#turn.session }
  }

  #replayStarted(approval: string, tool: string): PushFrame {
    return { type: 'approval_replay_started', request_id: approval, tool, turn_id: this.#turn.id }
  }

  #replayed({ call, tool, status, output, step }: ToolEnd): readonly PushFrame[] {
    const { continues } = this.#turn.options
    const approval = this.#approved.get(call) ?? (step === 1 ? continues : null)
    if (approval === null || approval === undefined) return []
    this.#approved.delete(call)
    const ids = { request_id: approval, tool, turn_id: this.#turn.id }
    const text = typeof output === 'string' ? output : JSON.stringify(output)
    const end: PushFrame =
      status === 'succeeded'
        ? { type: 'approval_replay_succeeded', ...ids, output: text }
        : { type: 'approval_replay_failed', ...ids, error: text }
    // Of a turn that waited the tool is known only now; the other sort has said so when the call began.
    return approval === continues ? [end] : [this.#replayStarted(approval, tool), end]
  }

  /** Another model than the chosen one has answered. */
  #shift(model: string): readonly PushFrame[] {
    const chosen = this.#turn.selection?.chosen
    const before = this.#executed
    this.#executed = model
    if (chosen === undefined || model === chosen || model === before) return []
    return [
      {
        type: 'model_shift',
        ...this.#ids,
        channel,
        selected_model: chosen,
        executed_model: model,
        reason: 'fallback',
      },
    ]
  }

  #selection(selection: Selection, at: number): PushFrame {
    return {
      type: 'model_selection',
      ...this.#ids,
      ...selectionFields(selection),
      complexity_score: null,
      metascore_breakdown: null,
      created_at: rfc3339(at),
    }
  }
}
