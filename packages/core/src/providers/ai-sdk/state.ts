import type { JsonObject } from '../../kernel/json.ts'
import type { Place, Reasoning } from '../in-order.ts'

/** What the model's provider wants back with a part of its answer. */
export type Metadata = Readonly<Record<string, JsonObject>>

/** What an answer keeps in the `state` of its thoughts, under a key of its own. */
interface AiSdkState extends Place {
  /** Id of the provider here. */
  readonly by: string
  /** The AI SDK's name of the vendor: nobody else can read what is kept. */
  readonly from: string
  readonly metadata?: Metadata
  /** The text of the thought, where thoughts were written at the same time. */
  readonly thought?: string
  /** At the end of an answer, without a thought: what is wanted back with its text and, by their ids, with its calls. */
  readonly rest?: { readonly text?: Metadata; readonly calls: Readonly<Record<string, Metadata>> }
}

export const stateOf = (state: AiSdkState): JsonObject => ({ 'ai-sdk': JSON.parse(JSON.stringify(state)) })

/** The state of a part that the same vendor has written through the same provider; null for any other. */
export function ownState({ state }: Reasoning, by: string, from: string): AiSdkState | null {
  const own = state?.['ai-sdk'] as AiSdkState | undefined
  if (typeof own !== 'object' || own === null || own.by !== by || own.from !== from) return null
  return own
}
