import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../../kernel/clock.ts'
import type { Principal } from '../../kernel/context.ts'
import { realtimeErrors } from './errors.ts'

const lifeMs = 30_000
/** Tickets that wait to be used: of one caller, and of all. */
const mostOfOne = 100
const mostOfAll = 10_000

export interface Ticket {
  /** 64 hexadecimal digits. */
  readonly ticket: string
  readonly lifeMs: number
}

/** Proofs that work once. */
export interface Tickets {
  /** Throws `TICKETS_EXHAUSTED` when too many wait to be used. */
  issue(principal: Principal): Ticket
  /** Who got the ticket, the first time it is asked within its life; otherwise null. */
  redeem(ticket: string): Principal | null
}

/**
 * Tickets in the memory of this process: each is good only on the instance that issued it, and none survives a restart.
 * Behind a load balancer that spreads requests, a ticket may come to an instance that does not know it. Only digests are
 * kept.
 */
export function createTickets(clock: Clock): Tickets {
  // In the order of issue, which is that of expiry.
  const issued = new Map<string, { readonly principal: Principal; readonly expiresAt: number }>()
  const ownedBy = new Map<string, number>()

  const take = (digest: string) => {
    const found = issued.get(digest)
    if (!found) return null
    issued.delete(digest)
    const owner = ownerKey(found.principal)
    const left = (ownedBy.get(owner) ?? 1) - 1
    if (left > 0) ownedBy.set(owner, left)
    else ownedBy.delete(owner)
    return found
  }

  return {
    issue(principal) {
      const now = clock.now()
      for (const [digest, { expiresAt }] of issued) {
        if (expiresAt > now) break
        take(digest)
      }
      const owner = ownerKey(principal)
      const owned = ownedBy.get(owner) ?? 0
      if (owned >= mostOfOne || issued.size >= mostOfAll) {
        throw realtimeErrors.TICKETS_EXHAUSTED({ retryAfterMs: lifeMs })
      }
      const ticket = randomBytes(32).toString('hex')
      issued.set(digestOf(ticket), { principal, expiresAt: now + lifeMs })
      ownedBy.set(owner, owned + 1)
      return { ticket, lifeMs }
    },

    redeem(ticket) {
      const found = take(digestOf(ticket))
      if (!found || found.expiresAt <= clock.now()) return null
      // A page that knows the ticket was given it; no browser attaches one by itself.
      return { ...found.principal, via: 'ticket', ambient: false }
    },
  }
}

const ownerKey = ({ tenant, subject }: Principal): string => JSON.stringify([tenant, subject])

const digestOf = (ticket: string): string => createHash('sha256').update(ticket).digest('base64')
