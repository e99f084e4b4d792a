import { z } from 'zod'
import type { Usage } from '../../capabilities/sessions/index.ts'

/** As the system's database rows have it: milliseconds and `Z`. */
export const rowTime = (at: number): string => new Date(at).toISOString()

/** As its session records have it: microseconds and an offset. */
export const recordTime = (at: number): string => `${new Date(at).toISOString().slice(0, -1)}000+00:00`

export const timeText = z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+(?:Z|\+00:00)$/)

/** All tokens of a call or a turn. */
export const tokensOf = ({ cacheRead, cacheWrite, input, output, reasoning }: Usage): number =>
  input + cacheRead + cacheWrite + output + reasoning

/** Dollars of pico-dollars; what is not known counts nothing. */
export const dollars = (pico: number | bigint | null): number => Number(pico ?? 0) / 1e12

/** A text as one line of at most so many characters; an ellipsis says that there was more. */
export function excerpt(text: string, longest: number): string {
  const line = [...text.replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim()]
  return line.length > longest ? `${line.slice(0, longest).join('').trimEnd()}…` : line.join('')
}
