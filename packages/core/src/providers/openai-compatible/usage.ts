import { noUsage } from '../../capabilities/models/index.ts'
import type { Usage } from '../../capabilities/sessions/index.ts'

/** No answer is counted in more tokens than this; a greater number is a mistake of the server. */
const mostTokens = 1_000_000_000

/** What the server counted, in disjoint buckets. What it left out, or got wrong, counts as nothing. */
export function usageOf(value: unknown): Usage {
  if (typeof value !== 'object' || value === null) return noUsage
  const usage = value as Record<string, unknown>
  const prompt = count(usage['prompt_tokens'])
  const completion = count(usage['completion_tokens'])
  const read = Math.min(prompt, count(detail(usage, 'prompt', 'cached_tokens') ?? usage['prompt_cache_hit_tokens']))
  const cacheWrite = Math.min(prompt - read, count(detail(usage, 'prompt', 'cache_write_tokens')))
  const thought = count(detail(usage, 'completion', 'reasoning_tokens'))
  // Most servers count reasoning among the completion; those that count it beside it are known by their total.
  const beside = thought > 0 && count(usage['total_tokens']) === prompt + completion + thought
  const reasoning = beside ? thought : Math.min(completion, thought)
  return {
    input: prompt - read - cacheWrite,
    cacheRead: read,
    cacheWrite,
    output: beside ? completion : completion - reasoning,
    reasoning,
  }
}

/** The same in the names of the Responses API, where reasoning is always part of the output. */
export function responsesUsage(value: unknown): Usage {
  if (typeof value !== 'object' || value === null) return noUsage
  const { input_tokens, input_tokens_details, output_tokens, output_tokens_details } = value as Record<string, unknown>
  return usageOf({
    prompt_tokens: input_tokens,
    prompt_tokens_details: input_tokens_details,
    completion_tokens: output_tokens,
    completion_tokens_details: output_tokens_details,
  })
}

function detail(usage: Record<string, unknown>, side: 'prompt' | 'completion', name: string): unknown {
  const details = usage[`${side}_tokens_details`]
  return typeof details === 'object' && details !== null ? (details as Record<string, unknown>)[name] : undefined
}

const count = (value: unknown): number =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= mostTokens ? value : 0
