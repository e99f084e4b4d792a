import { z } from 'zod'
import type { Authority } from '../../capabilities/tools/index.ts'

/** `YYYY-MM-DD HH:MM:SS` in UTC, as SQLite writes it. */
export const sqliteUtc = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ')

export const rfc3339 = (at: number): string => new Date(at).toISOString()

export const sqliteUtcText = z.string().regex(/^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/)
export const rfc3339Text = z.iso.datetime()

export const authorityName = z.enum(['Creator', 'SelfGenerated', 'Peer', 'External'])

const authorities: ReadonlyMap<string, z.infer<typeof authorityName>> = new Map([
  ['creator', 'Creator'],
  ['self-generated', 'SelfGenerated'],
  ['peer', 'Peer'],
  ['external', 'External'],
] satisfies [Authority, z.infer<typeof authorityName>][])

/** An authority that has no name here is the lowest. */
export const nameOfAuthority = (authority: string): z.infer<typeof authorityName> =>
  authorities.get(authority) ?? 'External'

/** Dollars of pico-dollars; an unknown price counts nothing. */
export const dollars = (pico: number | null): number => (pico ?? 0) / 1e12

/** `ollama` of `ollama/qwen3:8b`. */
export const providerOf = (model: string): string => model.split('/', 1)[0] ?? ''
