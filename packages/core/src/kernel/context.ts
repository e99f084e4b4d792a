import { defineErrors } from './errors.ts'

/** Who calls. Made by the host's `authenticate`, by a surface's own scheme, or by code. */
export interface Principal {
  readonly tenant: string
  readonly subject: string
  /** `operator` reads its whole tenant and may change what all share; anybody else reaches their own rows. */
  readonly roles: readonly string[]
  /** How the caller proved who they are, e.g. `api-key`, `cookie`, `code`. For audit rows. */
  readonly via: string
  /** True when a browser would attach the proof by itself (cookie, Basic, loopback): writes then need a matching Origin. */
  readonly ambient: boolean
}

/** The tenant of systems that know only one. */
export const defaultTenant = 'default'

/** Who calls, as code says it: all but the subject may be left out. */
export interface Caller extends Pick<Principal, 'subject'>, Partial<Principal> {
  readonly subject: string
  /** @default 'default', the tenant of systems that know only one */
  readonly tenant?: string
  /** @default none: reaches their own rows */
  readonly roles?: readonly string[]
  /** @default 'code' */
  readonly via?: string
  /** @default false */
  readonly ambient?: boolean
}

/** To whom a new row belongs. */
export interface Owner {
  readonly tenant: string
  readonly subject: string
}

/** Which rows a call may touch: one subject's, or with `subject: null` the whole tenant's. */
export interface Reach {
  readonly tenant: string
  readonly subject: string | null
}

/** The `Origin` and `Host` of an HTTP request, for the check on writes under ambient credentials. */
export interface RequestOrigin {
  readonly origin: string | undefined
  readonly host: string | undefined
}

export interface CallContext {
  readonly principal: Principal
  /** Aborted when the caller is gone. Stops waiting, not the work, unless an operation says otherwise. */
  readonly signal?: AbortSignal
  /** Set by HTTP dispatch only. */
  readonly requestOrigin?: RequestOrigin
}

const principalErrors = defineErrors({
  PRINCIPAL_INVALID: {
    kind: 'unauthenticated',
    message:
      'a principal needs a subject, and where they are given tenant and via, as texts that are not empty, and roles as a list',
  },
})

/**
 * The caller with what was left out. One whose tenant or subject is there and no text would reach more than their own
 * rows, or those of somebody else: what is there is never replaced.
 */
export function principalOf(caller: Caller): Principal {
  const principal: Principal = { tenant: defaultTenant, roles: [], via: 'code', ambient: false, ...caller }
  const { tenant, subject, roles, via } = principal
  const named = isName(tenant) && isName(subject) && isName(via)
  if (named && Array.isArray(roles)) return principal
  throw principalErrors.PRINCIPAL_INVALID()
}

const isName = (name: unknown): boolean => typeof name === 'string' && name !== ''

export const isOperator = (principal: Principal): boolean => principal.roles.includes('operator')

export const ownerOf = ({ tenant, subject }: Principal): Owner => ({ tenant, subject })

export const reachOf = (principal: Principal): Reach => ({
  tenant: principal.tenant,
  subject: isOperator(principal) ? null : principal.subject,
})

/** Single-owner systems know one person: the operator of the default tenant. */
export const singleOwner = (via: string, ambient = false): Principal => ({
  tenant: defaultTenant,
  subject: 'owner',
  roles: ['operator'],
  via,
  ambient,
})

/** The caller of an open route who has proven nothing: reaches no row and may call open operations only. */
export const nobody: Principal = { tenant: '', subject: '', roles: [], via: 'none', ambient: false }
