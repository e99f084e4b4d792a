import type { Usage } from '../sessions/index.ts'
import { costOf, type RateCard } from './rate-card.ts'

/** No context window is as large: a greater count is a mistake of the provider. */
const mostTokens = 100_000_000

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= mostTokens

/**
 * What a provider says that a call used, or null when that cannot be believed: a bucket is missing, negative, broken or
 * beyond every context window, it comes to more money than a number holds, or nothing was counted although something
 * was said.
 */
export function believable(usage: unknown, card: RateCard | null, saidSomething: boolean): Usage | null {
  if (typeof usage !== 'object' || usage === null) return null
  const { input, cacheRead, cacheWrite, output, reasoning } = usage as Record<string, unknown>
  if (!isCount(input) || !isCount(cacheRead) || !isCount(cacheWrite) || !isCount(output) || !isCount(reasoning)) {
    return null
  }
  const counted = { input, cacheRead, cacheWrite, output, reasoning }
  if (saidSomething && input + cacheRead + cacheWrite + output + reasoning === 0) return null
  return card === null || Number.isSafeInteger(costOf(counted, card)) ? counted : null
}

/** Four bytes are about a token. */
export const estimated = (requestBytes: number, saidBytes: number): Usage => ({
  input: Math.ceil(requestBytes / 4),
  cacheRead: 0,
  cacheWrite: 0,
  output: Math.ceil(saidBytes / 4),
  reasoning: 0,
})
