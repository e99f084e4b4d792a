import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../kernel/clock.ts'

const dayMs = 86_400_000
const shortMs = 7 * dayMs
const longMs = 90 * dayMs
/** Cookies that were given back before their time, remembered until then. */
const mostGivenBack = 10_000

export const cookieName = 'mycelos_session'

export interface LoginCookies {
  /** A `Set-Cookie`. One to be remembered is good for 90 days and after a restart, any other for 7 days until then. */
  issue(remember: boolean): string
  /** True for a cookie of ours that is not over and was not given back. */
  accepts(header: string | undefined): boolean
  /** Makes the request's cookie worthless, and returns the `Set-Cookie` that has the browser forget it. */
  giveBack(header: string | undefined): string
}

/**
 * Cookies that are signed and not stored. The key of those that outlive a restart is made of the password, so that a
 * new password ends them; that of the others lives with the process.
 */
export function createLoginCookies(password: string, clock: Clock): LoginCookies {
  const lasting = Buffer.from(hkdfSync('sha256', password, 'mycelos', 'login cookie', 32))
  const passing = randomBytes(32)
  const givenBack = new Map<string, number>()

  const sign = (key: Buffer, text: string): string => createHmac('sha256', key).update(text).digest('base64url')

  /** The id of the request's cookie and when it ends; null for one that is not ours. */
  const read = (header: string | undefined): { readonly id: string; readonly until: number } | null => {
    for (const pair of header?.split(';') ?? []) {
      const [name, value = ''] = pair.trim().split('=', 2)
      if (name !== cookieName) continue
      const [text = '', signature = ''] = splitLast(value)
      const [kind, until, id] = text.split('.')
      const expected = Buffer.from(sign(kind === 'l' ? lasting : passing, text))
      const given = Buffer.from(signature)
      if (given.length === expected.length && timingSafeEqual(given, expected))
        return { id: id ?? '', until: Number(until) }
    }
    return null
  }

  return {
    issue(remember) {
      const until = clock.now() + (remember ? longMs : shortMs)
      const text = `${remember ? 'l' : 'p'}.${until}.${randomBytes(16).toString('base64url')}`
      const value = `${text}.${sign(remember ? lasting : passing, text)}`
      const age = remember ? `; Max-Age=${longMs / 1000}` : ''
      return `${cookieName}=${value}; HttpOnly; SameSite=Lax; Path=/${age}`
    },
    accepts(header) {
      const cookie = read(header)
      return cookie !== null && cookie.until > clock.now() && !givenBack.has(cookie.id)
    },
    giveBack(header) {
      const cookie = read(header)
      if (cookie !== null) {
        for (const [id, until] of givenBack) {
          if (until > clock.now() && givenBack.size < mostGivenBack) break
          givenBack.delete(id)
        }
        givenBack.set(cookie.id, cookie.until)
      }
      return `${cookieName}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0`
    },
  }
}

function splitLast(value: string): readonly [string, string] {
  const at = value.lastIndexOf('.')
  return at < 0 ? ['', ''] : [value.slice(0, at), value.slice(at + 1)]
}
