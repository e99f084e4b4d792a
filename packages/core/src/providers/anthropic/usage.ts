import type { Usage } from '../../capabilities/sessions/index.ts'

/** No answer is counted in more tokens than this; a greater number is a mistake of the server. */
const mostTokens = 1_000_000_000

const names = ['input_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens', 'output_tokens'] as const

/** What was counted of an answer so far: at its start, overlaid by the running totals that come later. */
export interface UsageCounter {
  /** Takes the `usage` of an event. What it leaves out, or gets wrong, stays as it was. */
  take(usage: unknown): void
  /** In disjoint buckets. Thinking that the server does not count apart is part of the output. */
  total(): Usage
}

export function usageCounter(): UsageCounter {
  const counts = { input_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0, output_tokens: 0 }
  let thinking = 0
  return {
    take(value) {
      if (typeof value !== 'object' || value === null) return
      const usage = value as Record<string, unknown>
      for (const name of names) if (isCount(usage[name])) counts[name] = usage[name]
      const details = usage['output_tokens_details'] as Record<string, unknown> | null | undefined
      if (isCount(details?.['thinking_tokens'])) thinking = details['thinking_tokens']
    },
    total() {
      const reasoning = Math.min(thinking, counts.output_tokens)
      return {
        input: counts.input_tokens,
        cacheRead: counts.cache_read_input_tokens,
        cacheWrite: counts.cache_creation_input_tokens,
        output: counts.output_tokens - reasoning,
        reasoning,
      }
    },
  }
}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= mostTokens
