import type { HttpRequest } from '../../http/message.ts'
import { type Clock, systemClock } from '../../kernel/clock.ts'
import { type Principal, singleOwner } from '../../kernel/context.ts'
import { checkLocal } from './admission.ts'
import { createLoginCookies, type LoginCookies } from './login-cookie.ts'
import type { Settings } from './options.ts'
import { createPasswordCheck } from './password.ts'

export interface Authentication {
  /** Throws `TOO_MANY_TRIES`; without a password `NOT_MEANT`. */
  authenticate(request: HttpRequest): Principal | null
  /** Null while there is no password: then there is nothing to log in to. */
  readonly login: {
    /** Throws `TOO_MANY_TRIES`. */
    matches(password: string, request: HttpRequest): boolean
    readonly cookies: LoginCookies
  } | null
}

/** The system's own schemes: HTTP Basic whose user name does not matter, or the cookie of a login. */
export function authentication(settings: Settings, clock: Clock = systemClock): Authentication {
  const { clientAddress, password } = settings
  if (password === null) {
    return {
      authenticate(request) {
        checkLocal(request, settings)
        return singleOwner('loopback', true)
      },
      login: null,
    }
  }
  const tries = createPasswordCheck(password, clock)
  const matches = (given: string, request: HttpRequest) => tries.matches(given, clientAddress(request))
  const cookies = createLoginCookies(password, clock)
  return {
    authenticate(request) {
      if (cookies.accepts(request.header('cookie'))) return singleOwner('cookie', true)
      const given = basicPassword(request.header('authorization'))
      return given !== null && matches(given, request) ? singleOwner('basic', true) : null
    },
    login: { matches, cookies },
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
