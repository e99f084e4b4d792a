import type { Part } from '../capabilities/sessions/index.ts'

export type ToolCall = Extract<Part, { type: 'tool-call' }>
export type Reasoning = Extract<Part, { type: 'reasoning' }>

/** Where in its answer a thought stood: how much text and how many calls came before it. */
export interface Place {
  readonly text: number
  readonly calls: number
}

export type Said<Thought> =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'call'; readonly call: ToolCall }
  | { readonly type: 'thought'; readonly thought: Thought }

/**
 * What an assistant said, each thought back in its place: a message keeps thoughts, text and calls apart, and vendors
 * refuse an answer whose thoughts have been moved. `thoughtOf` is null for a thought that is to be left out.
 */
export function inOrder<Thought>(
  parts: readonly Part[],
  thoughtOf: (part: Reasoning) => { readonly thought: Thought; readonly place: Place } | null,
): readonly Said<Thought>[] {
  let text = ''
  const calls: ToolCall[] = []
  const thoughts: { readonly thought: Thought; readonly place: Place }[] = []
  for (const part of parts) {
    if (part.type === 'text') text += part.text
    else if (part.type === 'tool-call') calls.push(part)
    else if (part.type === 'reasoning') {
      const thought = thoughtOf(part)
      if (thought) thoughts.push(thought)
    }
  }
  const said: Said<Thought>[] = []
  let textEnd = 0
  let callEnd = 0
  const sayUpTo = (place: Place) => {
    if (place.text > textEnd) {
      const piece = text.slice(textEnd, place.text)
      textEnd = place.text
      if (piece !== '') said.push({ type: 'text', text: piece })
    }
    for (const call of calls.slice(callEnd, Math.max(callEnd, place.calls))) said.push({ type: 'call', call })
    callEnd = Math.max(callEnd, place.calls)
  }
  for (const { thought, place } of thoughts) {
    sayUpTo(place)
    said.push({ type: 'thought', thought })
  }
  sayUpTo({ text: text.length, calls: calls.length })
  return said
}

/** The arguments of a call as an object, however the model came to write them. */
export function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : {}
  } catch {
    return {}
  }
}
