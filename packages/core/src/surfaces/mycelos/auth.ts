import type { HttpRequest } from '../../http/message.ts'
import { type Clock, systemClock } from '../../kernel/clock.ts'
import { type Principal, singleOwner } from '../../kernel/context.ts'
import { createLoginCookies, type LoginCookies } from './login-cookie.ts'
import type { Settings } from './options.ts'
import { createPasswordCheck, type PasswordCheck } from './password.ts'

export interface Authentication {
  authenticate(request: HttpRequest): Principal | null
  /** Null while there is no password: then there is nothing to log in to. */
  readonly login: { readonly check: PasswordCheck; readonly cookies: LoginCookies } | null
}

/** The system's own schemes: HTTP Basic whose user name does not matter, or the cookie of a login. */
export function authentication({ password }: Settings, clock: Clock = systemClock): Authentication {
  if (password === null) return { authenticate: () => singleOwner('loopback', true), login: null }
  const check = createPasswordCheck(password, clock)
  const cookies = createLoginCookies(password, clock)
  return {
    authenticate(request) {
      if (cookies.accepts(request.header('cookie'))) return singleOwner('cookie', true)
      const given = basicPassword(request.header('authorization'))
      return given !== null && check.matches(given, request.remoteAddress) ? singleOwner('basic', true) : null
    },
    login: { check, cookies },
  }
}

/** The password of an `Authorization: Basic` header; it may hold colons. */
function basicPassword(header: string | undefined): string | null {
  const encoded = /^basic +([\w+/=-]+) *$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return null
  const decoded = Buffer.from(encoded, 'base64').toString()
  const colon = decoded.indexOf(':')
  return colon < 0 ? null : decoded.slice(colon + 1)
}
