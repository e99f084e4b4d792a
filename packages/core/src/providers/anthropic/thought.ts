import type { ModelPart } from '../../capabilities/models/index.ts'
import type { JsonObject } from '../../kernel/json.ts'
import type { Place, Reasoning } from '../in-order.ts'

export type ThoughtBlock =
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'redacted_thinking'; data: string }

/** What a thought of this vendor keeps in `state`, under a key of its own. */
interface ThoughtState extends JsonObject {
  /** Id of the provider that got it: another account or server cannot verify it. */
  readonly by: string
  readonly text: number
  readonly calls: number
  /** Of a thought that can be read. */
  readonly signature?: string
  /** A thought that only the vendor can read. */
  readonly redacted?: string
}

/**
 * Ends a thought. One without a signature is closed as well, so that its text does not become part of the next one; it is
 * never sent back.
 */
export function endOfThought(
  by: string,
  place: Place,
  proof: { signature: string } | { redacted: string } | null,
): ModelPart {
  return { type: 'reasoning', text: '', state: { anthropic: { by, ...place, ...proof } } }
}

/** The thought as the vendor sent it, and its place; null when it is another provider's, or cannot be verified. */
export function blockOfThought(by: string, { text, state }: Reasoning): { thought: ThoughtBlock; place: Place } | null {
  const own = state?.['anthropic'] as ThoughtState | undefined
  if (typeof own !== 'object' || own === null || own.by !== by) return null
  const place = { text: Number(own.text) || 0, calls: Number(own.calls) || 0 }
  if (typeof own.redacted === 'string') return { place, thought: { type: 'redacted_thinking', data: own.redacted } }
  if (typeof own.signature !== 'string') return null
  return { place, thought: { type: 'thinking', thinking: text, signature: own.signature } }
}
