import { noteErrors } from './contract.ts'

/** A point in time that a text speaks of. */
export interface FoundDate {
  /** `2026-11-23`, or with a time of day `2026-11-23T09:00:00+01:00`. */
  readonly due: string
  readonly timed: boolean
}

const minuteMs = 60_000
const dayMs = 86_400_000

const unitMs: readonly (readonly [RegExp, number])[] = [
  [/^min/, minuteMs],
  [/^(?:h|std|stunde)/, 60 * minuteMs],
  [/^(?:d|tag)/, dayMs],
  [/^w/, 7 * dayMs],
]

const months = 'januar februar marz april mai juni juli august september oktober november dezember'.split(' ')

/** Ways of naming a day, in folded text. */
const patterns = {
  span: /(?<![\p{L}\p{N}])in (\d{1,4}|a|an|ein|einer|einem) (minuten?|minutes?|min|hours?|h|stunden?|std|days?|tag(?:en)?|weeks?|wochen?)(?![\p{L}\p{N}])/gu,
  relative:
    /(?<!(?:guten|jeden|good) )(?<![\p{L}\p{N}])(day after tomorrow|ubermorgen|tomorrow|morgen|today|heute|tonight)(?![\p{L}\p{N}])/gu,
  iso: /(?<![\p{L}\p{N}.-])(\d{4})-(\d{2})-(\d{2})(?:[t ](\d{2}):(\d{2}))?(?![\p{L}\p{N}-])/gu,
  german: new RegExp(
    `(?<![\\p{L}\\p{N}.])(\\d{1,2})\\. ?(?:(\\d{1,2})\\.|(${months.join('|')})(?![\\p{L}]))(?: ?(\\d{4}|\\d{2}(?!\\d|:)))?(?![\\d.])`,
    'gu',
  ),
}

/** `at 9`, `um 9 Uhr`, `9:30`, `5pm`, right after a day. */
const timeOfDay = /,? *(at|um|@)? ?(\d{1,2})(?:[:.](\d{2}))? ?(am|pm|uhr|h)?(?![\p{L}\p{N}])/uy

/** The first date that a folded text speaks of; hours and days are those of the zone. Null when there is none. */
export function findDate(text: string, now: number, timeZone: string): FoundDate | null {
  const zone = zoneOf(timeZone)
  const today = startOfDay(zone.wallOf(now))
  let best: { readonly at: number; readonly date: FoundDate } | undefined
  const offer = (at: number, date: FoundDate | null) => {
    if (date && (best === undefined || at < best.at)) best = { at, date }
  }
  for (const match of text.matchAll(patterns.span)) {
    const [, count = '1', unit = ''] = match
    const ms = unitMs.find(([name]) => name.test(unit))?.[1] ?? minuteMs
    const amount = Number.isNaN(Number(count)) ? 1 : Number(count)
    const date = ms >= dayMs ? dayOf(today + amount * ms) : { due: zone.format(now + amount * ms), timed: true }
    offer(match.index, date)
  }
  for (const match of text.matchAll(patterns.relative)) {
    const [name = ''] = match
    const days = /^(?:day|u)/.test(name) ? 2 : /morr?/.test(name) ? 1 : 0
    const found = atTime(text, match, today + days * dayMs)
    // "today" without an hour says when it was written, not when it is due.
    if (days > 0 || found.timed) offer(match.index, found)
  }
  for (const match of text.matchAll(patterns.iso)) {
    const [, year, month, day, hour, minute] = match
    const date = dateOf(Number(year), Number(month), Number(day))
    if (date === null) continue
    const timed = hour !== undefined && Number(hour) < 24 && Number(minute) < 60
    const due = timed ? zone.format(zone.instantOf(date + (Number(hour) * 60 + Number(minute)) * minuteMs)) : ''
    offer(match.index, timed ? { due, timed } : atTime(text, match, date))
  }
  for (const match of text.matchAll(patterns.german)) {
    const [, day, number, name = '', year] = match
    const month = number === undefined ? months.indexOf(name) + 1 : Number(number)
    offer(match.index, ofGermanDate(text, match, Number(day), month, year))
  }
  return best?.date ?? null

  function ofGermanDate(
    source: string,
    match: RegExpExecArray,
    day: number,
    month: number,
    given: string | undefined,
  ): FoundDate | null {
    const thisYear = new Date(today).getUTCFullYear()
    const year = given === undefined ? thisYear : Number(given) + (given.length === 2 ? 2_000 : 0)
    let date = dateOf(year, month, day)
    // Without a year the next one is meant.
    if (given === undefined && (date === null || date < today)) date = dateOf(year + 1, month, day) ?? date
    return date === null || (given === undefined && date < today) ? null : atTime(source, match, date)
  }

  function atTime(source: string, match: RegExpExecArray, day: number): FoundDate {
    timeOfDay.lastIndex = match.index + match[0].length
    const [, before, hours = '', minutes, after] = timeOfDay.exec(source) ?? []
    if (before === undefined && minutes === undefined && after === undefined) return dayOf(day)
    const half = after === 'pm' && Number(hours) < 12 ? 12 : after === 'am' && hours === '12' ? -12 : 0
    const [hour, minute] = [Number(hours) + half, Number(minutes ?? 0)]
    if (hour > 23 || minute > 59) return dayOf(day)
    return { due: zone.format(zone.instantOf(day + (hour * 60 + minute) * minuteMs)), timed: true }
  }
}

const startOfDay = (wall: number): number => Math.floor(wall / dayMs) * dayMs

const dayOf = (wall: number): FoundDate => ({ due: new Date(wall).toISOString().slice(0, 10), timed: false })

/** Midnight of a day that exists, else null. */
function dateOf(year: number, month: number, day: number): number | null {
  const wall = Date.UTC(year, month - 1, day)
  const date = new Date(wall)
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day && year >= 1_000 ? wall : null
}

/** Wall clock times are milliseconds as if the clock on the wall showed UTC. */
interface Zone {
  wallOf(instant: number): number
  instantOf(wall: number): number
  format(instant: number): string
}

function zoneOf(timeZone: string): Zone {
  let formatter: Intl.DateTimeFormat
  try {
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  } catch (cause) {
    throw noteErrors.NOTE_INVALID({ message: 'timeZone must be the IANA name of a time zone', cause })
  }
  const wallOf = (instant: number): number => {
    const parts: Record<string, number> = {}
    for (const { type, value } of formatter.formatToParts(instant)) parts[type] = Number(value)
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second)
  }
  const offsetAt = (instant: number): number => wallOf(instant) - Math.floor(instant / 1_000) * 1_000
  return {
    wallOf,
    // The offset of the guess is wrong only around a change of it; the second one is then right.
    instantOf: (wall) => wall - offsetAt(wall - offsetAt(wall)),
    format(instant) {
      const minutes = Math.round(offsetAt(instant) / minuteMs)
      const text = new Date(wallOf(instant)).toISOString().slice(0, 19)
      if (minutes === 0) return `${text}Z`
      const [hours, rest] = [Math.trunc(Math.abs(minutes) / 60), Math.abs(minutes) % 60]
      return `${text}${minutes < 0 ? '-' : '+'}${String(hours).padStart(2, '0')}:${String(rest).padStart(2, '0')}`
    },
  }
}
