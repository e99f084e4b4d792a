import { createHash, timingSafeEqual } from 'node:crypto'
import { type Clock, systemClock } from '../../kernel/clock.ts'
import { defineErrors } from '../../kernel/errors.ts'

export const passwordErrors = defineErrors({
  TOO_MANY_TRIES: { kind: 'rate_limited', message: 'Too many wrong passwords; try again later' },
})

/** So many wrong tries of one address are answered at once; each further one doubles the time it has to wait. */
const freeTries = 5
const firstWaitMs = 1_000
const longestWaitMs = 300_000
/** Wrong tries count no more once nobody has tried for so long. */
const forgottenAfterMs = 3_600_000
/** Addresses that are remembered; the ones seen longest ago are forgotten. */
const mostAddresses = 10_000

interface Tries {
  readonly count: number
  readonly until: number
}

export interface PasswordCheck {
  /** Throws `TOO_MANY_TRIES`, without a look at the password, while the address has to wait. */
  matches(password: string, address: string | undefined): boolean
}

/** Compares in constant time, and slows down whoever guesses. */
export function createPasswordCheck(expected: string, clock: Clock = systemClock): PasswordCheck {
  const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest()
  const right = digestOf(expected)
  const tries = new Map<string, Tries>()
  return {
    matches(password, address = '') {
      const now = clock.now()
      const caller = networkOf(address)
      const known = tries.get(caller)
      const before = known !== undefined && known.until + forgottenAfterMs > now ? known : undefined
      if (before !== undefined && before.until > now) {
        throw passwordErrors.TOO_MANY_TRIES({ retryAfterMs: before.until - now })
      }
      if (timingSafeEqual(digestOf(password), right)) {
        tries.delete(caller)
        return true
      }
      const count = (before?.count ?? 0) + 1
      const wait = count < freeTries ? 0 : Math.min(firstWaitMs * 2 ** (count - freeTries), longestWaitMs)
      tries.delete(caller)
      tries.set(caller, { count, until: now + wait })
      if (tries.size > mostAddresses) {
        const [oldest] = tries.keys()
        if (oldest !== undefined) tries.delete(oldest)
      }
      return false
    },
  }
}

/** Whoever has an IPv6 address has 2^64 of them, which differ in their second half. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=[\d.]+$)/i, '')
  if (!plain.includes(':')) return plain
  const [before = '', after] = plain.split('::', 2)
  const groups = before === '' ? [] : before.split(':')
  if (after === undefined) return groups.slice(0, 4).join(':')
  const rest = after === '' ? [] : after.split(':')
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0')
  return [...groups, ...zeros, ...rest].slice(0, 4).join(':')
}
