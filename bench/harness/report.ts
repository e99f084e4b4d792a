import type { RoundsResult } from './rounds.ts'
import { median, rounded } from './statistics.ts'

/** One metric of one subject over all rounds. */
export interface Measurement {
  readonly subject: string
  readonly metric: string
  readonly unit: string
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: number
  /** Median of the rounds' own ratios to another subject. */
  readonly ratio?: { readonly to: string; readonly median: number }
}

/** What a benchmark is to come to. */
export interface Target {
  readonly what: string
  readonly value: number
  readonly atMost: number
  readonly unit: string
}

export interface Report {
  readonly benchmark: string
  readonly measurements: readonly Measurement[]
  readonly targets: readonly Target[]
  /** Why a subject is missing. */
  readonly failed?: ReadonlyMap<string, string>
}

/** A metric of every subject that has it; with `to`, also its ratio to that subject, taken inside each round. */
export function measurements({ measured }: RoundsResult, metric: string, unit: string, to?: string): Measurement[] {
  const base = to === undefined ? undefined : measured.get(to)
  return [...measured].flatMap(([subject, answers]) => {
    const values = answers.flatMap((answer) => answer[metric] ?? [])
    if (values.length === 0) return []
    const ratios = answers.flatMap((answer, round) => {
      const ratio = (answer[metric] ?? Number.NaN) / (base?.[round]?.[metric] ?? Number.NaN)
      return Number.isFinite(ratio) ? ratio : []
    })
    return {
      subject,
      metric,
      unit,
      median: median(values),
      min: Math.min(...values),
      max: Math.max(...values),
      rounds: values.length,
      ...(to === undefined || ratios.length === 0 ? {} : { ratio: { to, median: median(ratios) } }),
    }
  })
}

/** A target for the median or the ratio of what was measured; none when that is missing. */
export function target(
  all: readonly Measurement[],
  wanted: {
    readonly subject: string
    readonly metric: string
    readonly of: 'median' | 'ratio'
    readonly atMost: number
  },
): Target[] {
  const found = all.find(({ subject, metric }) => subject === wanted.subject && metric === wanted.metric)
  const value = wanted.of === 'ratio' ? found?.ratio?.median : found?.median
  if (!found || value === undefined) return []
  const unit = wanted.of === 'ratio' ? `x ${found.ratio?.to}` : found.unit
  return [{ what: `${wanted.subject}, ${wanted.metric}`, value, atMost: wanted.atMost, unit }]
}

/** One JSON object per line. */
export function printLines({ benchmark, failed, measurements: all, targets }: Report): void {
  for (const { ratio, ...measurement } of all) {
    print({ benchmark, ...measurement, ...(ratio ? { ratioTo: ratio.to, ratio: ratio.median } : {}) })
  }
  for (const each of targets) print({ benchmark, target: each.what, ...each, met: each.value <= each.atMost })
  for (const [subject, why] of failed ?? []) print({ benchmark, subject, failed: why.split('\n', 1)[0] ?? '' })
}

const print = (line: Readonly<Record<string, unknown>>): void => {
  console.log(JSON.stringify(line, (_, value: unknown) => (typeof value === 'number' ? rounded(value) : value)))
}

export function printTable({ benchmark, failed, measurements: all, targets }: Report): void {
  console.log(`\n${benchmark}`)
  const rows = all.map(({ max, median: middle, metric, min, ratio, rounds, subject, unit }) => [
    subject,
    metric,
    `${rounded(middle)} ${unit}`,
    `${rounded(min)} to ${rounded(max)}, ${rounds} rounds`,
    ratio ? `${rounded(ratio.median)} x ${ratio.to}` : '',
  ])
  const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows) {
    console.log(`  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
  }
  for (const { atMost, unit, value, what } of targets) {
    const verdict = value <= atMost ? 'met' : 'MISSED'
    console.log(`  target ${verdict}: ${what}: ${rounded(value)} ${unit}, at most ${atMost}`)
  }
  for (const [subject, why] of failed ?? []) console.log(`  ${subject} is missing: ${why.split('\n', 1)[0]}`)
}
