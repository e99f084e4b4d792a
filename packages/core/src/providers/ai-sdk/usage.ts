import type { Usage } from '../../capabilities/sessions/index.ts'

/** No answer is counted in more tokens than this; a greater number is a mistake of the server. */
const mostTokens = 1_000_000_000

/** The counts of any version of the specification, in disjoint buckets. What is left out counts as nothing. */
export function usageOf(value: unknown): Usage {
  const usage = record(value)
  const { inputTokens, outputTokens } = usage
  return typeof inputTokens === 'object' || typeof outputTokens === 'object'
    ? detailed(record(inputTokens), record(outputTokens))
    : flat(usage)
}

function detailed(input: Record<string, unknown>, output: Record<string, unknown>): Usage {
  const cacheRead = count(input['cacheRead'])
  const cacheWrite = count(input['cacheWrite'])
  const reasoning = count(output['reasoning'])
  return {
    input: isCount(input['noCache']) ? input['noCache'] : Math.max(0, count(input['total']) - cacheRead - cacheWrite),
    cacheRead,
    cacheWrite,
    output: isCount(output['total']) ? Math.max(0, output['total'] - reasoning) : count(output['text']),
    reasoning,
  }
}

/** The oldest version. Some vendors leave what was cached out of the input. */
function flat(usage: Record<string, unknown>): Usage {
  const input = count(usage['inputTokens'])
  const cacheRead = count(usage['cachedInputTokens'])
  const output = count(usage['outputTokens'])
  const reasoning = Math.min(output, count(usage['reasoningTokens']))
  return {
    input: cacheRead <= input ? input - cacheRead : input,
    cacheRead,
    cacheWrite: 0,
    output: output - reasoning,
    reasoning,
  }
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= mostTokens

const count = (value: unknown): number => (isCount(value) ? value : 0)
