import { type Folded, fold } from './fold.ts'
import { type ThreatKind, threatPatterns } from './patterns.ts'

/** What a message looks like to somebody who expects prompt injection. */
export interface Threat {
  /** 0 to 1. */
  readonly score: number
  /** What it tries, in a fixed order, each once. */
  readonly kinds: readonly ThreatKind[]
  /** Above .7 `block`: do not answer. From .3 `caution`: answer `sanitized`, with little authority. */
  readonly verdict: 'allow' | 'caution' | 'block'
  /** The message without what was found; the message itself when it is allowed. */
  readonly sanitized: string
}

/** In hundredths, like the weights, so that sums are exact. */
const cautionFrom = 30
const blockAbove = 70
const manyKinds = 2
const manyKindsBonus = 15

const removed = '[removed]'

interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Scores a message by the signs of prompt injection in it. A heuristic: it finds what is written plainly or thinly
 * disguised, and no more. Takes time linear in the length.
 */
export function inspectMessage(message: string): Threat {
  const folded = fold(message)
  const kinds: ThreatKind[] = []
  const spans: Span[] = []
  let hundredths = 0
  for (const { kind, weight, phrases, marks } of threatPatterns) {
    const found = [
      ...phrases.flatMap((pattern) => phraseSpans(folded, pattern)),
      ...marks.flatMap((pattern) => markSpans(message, pattern)),
    ]
    if (found.length === 0 && !(kind === 'encoding-trick' && folded.disguises.length > 0)) continue
    kinds.push(kind)
    spans.push(...found)
    hundredths += weight
  }
  if (kinds.length > manyKinds) hundredths += manyKindsBonus
  const verdict = hundredths > blockAbove ? 'block' : hundredths >= cautionFrom ? 'caution' : 'allow'
  return {
    score: Math.min(hundredths, 100) / 100,
    kinds,
    verdict,
    sanitized: verdict === 'allow' ? message : cutOut(message, spans),
  }
}

function phraseSpans({ words, starts, ends }: Folded, pattern: RegExp): Span[] {
  return [...words.matchAll(pattern)].map(({ 0: text, index }) => ({
    start: starts[index] ?? 0,
    end: ends[index + text.length - 1] ?? 0,
  }))
}

function markSpans(message: string, pattern: RegExp): Span[] {
  return [...message.matchAll(pattern)].map(({ 0: text, index }) => ({ start: index, end: index + text.length }))
}

/** Overlapping spans become one; invisible tags and direction overrides go too. */
function cutOut(message: string, spans: readonly Span[]): string {
  let text = ''
  let position = 0
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    if (end <= position) continue
    if (start >= position) text += message.slice(position, start) + removed
    position = end
  }
  return (text + message.slice(position)).replace(/[\u{e0000}-\u{e007f}\u202d\u202e]/gu, '')
}
