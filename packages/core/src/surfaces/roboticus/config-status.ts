import { isKeelsonError } from '../../kernel/errors.ts'
import { rfc3339 } from './formats.ts'

const mostTenants = 1_000

export interface Applied {
  readonly attemptAt: string | null
  readonly successAt: string | null
  readonly error: string | null
  /** Where what was in force before can be had again. */
  readonly backup: string | null
}

/** How the last changes went, since this process began. */
export interface ApplyStatus {
  of(tenant: string): Applied
  attempt<Result extends { readonly backup: string | null }>(
    tenant: string,
    work: () => Promise<Result>,
  ): Promise<Result>
}

const never: Applied = { attemptAt: null, successAt: null, error: null, backup: null }

export function createApplyStatus(): ApplyStatus {
  const known = new Map<string, Applied>()
  const of = (tenant: string): Applied => known.get(tenant) ?? never
  const note = (tenant: string, news: Partial<Applied>): void => {
    const next = { ...of(tenant), ...news }
    known.delete(tenant)
    known.set(tenant, next)
    for (const oldest of known.keys()) {
      if (known.size <= mostTenants) break
      known.delete(oldest)
    }
  }
  return {
    of,
    async attempt(tenant, work) {
      note(tenant, { attemptAt: rfc3339(Date.now()), error: null })
      try {
        const done = await work()
        const backup = done.backup ?? of(tenant).backup
        note(tenant, { successAt: rfc3339(Date.now()), backup })
        return done
      } catch (error) {
        note(tenant, { error: isKeelsonError(error) ? error.message.slice(0, 200) : 'internal error' })
        throw error
      }
    },
  }
}
