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
    message: 'a principal needs tenant, subject and via as texts that are not empty, and roles as a list',
  },
})

/** A principal without these would reach more than its own rows; a host in plain JavaScript may make one. */
export function checkPrincipal(principal: Principal): Principal {
  const { tenant, subject, roles, via } = principal
  const named = [tenant, subject, via].every((name) => typeof name === 'string' && name !== '')
  if (named && Array.isArray(roles)) return principal
  throw principalErrors.PRINCIPAL_INVALID()
}

export const isOperator = (principal: Principal): boolean => principal.roles.includes('operator')

export const ownerOf = ({ tenant, subject }: Principal): Owner => ({ tenant, subject })

export const reachOf = (principal: Principal): Reach => ({
  tenant: principal.tenant,
  subject: isOperator(principal) ? null : principal.subject,
})

/** The tenant of systems that know only one. */
export const defaultTenant = 'default'

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
