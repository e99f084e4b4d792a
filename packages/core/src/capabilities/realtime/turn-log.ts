import type { TurnEvent, TurnEventBody } from '../sessions/index.ts'

export type Delta = Extract<TurnEvent, { type: 'text.delta' | 'reasoning.delta' }>

export const isDelta = (event: TurnEvent): event is Delta =>
  event.type === 'text.delta' || event.type === 'reasoning.delta'

/** What of an event a reader at a position before its end has not seen. */
export const restOf = (event: TurnEvent, position: number): TurnEvent =>
  isDelta(event) && event.sequence - event.text.length < position
    ? { ...event, text: event.text.slice(position - event.sequence) }
    : event

/** A log line names no turn: the row it is in does. */
export const line = (event: TurnEventBody & { readonly sequence: number }): string => `${JSON.stringify(event)}\n`

/** Reads a stored log back, from after a position. A piece that was stored twice is read once. */
export function* replay(turn: string, log: string, after: number): Generator<TurnEvent> {
  let position = after
  for (const event of eventsOf(turn, log)) {
    if (event.sequence <= position) continue
    const from = position
    position = event.sequence
    yield restOf(event, from)
  }
}

/** The last event of a stored log. */
export function lastOf(turn: string, log: string): TurnEvent | undefined {
  const start = log.lastIndexOf('\n', log.length - 2) + 1
  for (const event of eventsOf(turn, log.slice(start))) return event
  return undefined
}

function* eventsOf(turn: string, log: string): Generator<TurnEvent> {
  let start = 0
  for (let end = log.indexOf('\n'); end >= 0; end = log.indexOf('\n', start)) {
    yield { turn, ...JSON.parse(log.slice(start, end)) } as TurnEvent
    start = end + 1
  }
}
