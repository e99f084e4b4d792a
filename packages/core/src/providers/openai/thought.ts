import type { JsonObject } from '../../kernel/json.ts'

/** What the vendor needs back with a thought: it is encrypted, and only the vendor can read it. */
export type ThoughtState = {
  /** Id of the provider, and the model: no other can use it. */
  readonly provider: string
  readonly model: string
  /** Id of the reasoning item. */
  readonly item: string
  readonly encrypted: string
}

export function isOwnThought(state: JsonObject | undefined, provider: string, model: string): state is ThoughtState {
  return (
    state?.['provider'] === provider &&
    state['model'] === model &&
    typeof state['item'] === 'string' &&
    typeof state['encrypted'] === 'string'
  )
}
