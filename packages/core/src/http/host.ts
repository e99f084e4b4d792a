import type { Principal } from '../kernel/context.ts'
import { createDispatcher, type DispatchContext, type Dispatcher } from './dispatch.ts'
import { mountErrors } from './mount-errors.ts'
import type { Mount, MountRules } from './surface.ts'

/** What is used of a runtime. */
export interface HostRuntime<Client> {
  as(principal: Principal | null, context?: DispatchContext): Client
  start?(): Promise<void>
  stop?(): Promise<void>
  /** Told what callers only see as an internal error. */
  reportError?(error: unknown, where: string): void
}

/** What every framework's adapter is given. `Native` is the framework's own request. */
export interface MountOptions<Client, Native> extends MountRules {
  readonly mounts: readonly Mount<Client>[]
  /** The host's opinion on a request: somebody, nobody (null), or none (undefined: the surface's own scheme is asked). */
  authenticate?(request: Native): Principal | null | undefined | Promise<Principal | null | undefined>
  /** How long a body may take to arrive, in milliseconds. @default 30_000 */
  readonly bodyTimeoutMs?: number
}

export interface Mounted<Client> {
  readonly dispatcher: Dispatcher<Client>
  /** Tells the runtime of an error. Never throws. */
  report(error: unknown, where: string): void
}

/**
 * The surfaces of a runtime, ready for an adapter. Starts nothing. Throws `MOUNT_INVALID` or `MOUNT_CONFLICT`; reports
 * `MOUNT_CLOSED`.
 */
export function mountRuntime<Client, Native>(
  runtime: HostRuntime<Client>,
  { mounts, authenticate, resolve, allowProcesses }: MountOptions<Client, Native>,
): Mounted<Client> {
  if (typeof runtime?.as !== 'function') {
    throw mountErrors.MOUNT_INVALID({ message: 'what is mounted is a runtime, as createRuntime makes one' })
  }
  if (!Array.isArray(mounts)) {
    throw mountErrors.MOUNT_INVALID({ message: 'mounts must be a list of { prefix, surface }' })
  }
  const report = (error: unknown, where: string): void => {
    try {
      runtime.reportError?.(error, where)
    } catch {
      // An observer that breaks must not break the answer.
    }
  }
  const dispatcher = createDispatcher<Client>({
    mounts,
    ...(resolve && { resolve }),
    ...(allowProcesses !== undefined && { allowProcesses }),
    as: (principal, context) => runtime.as(principal, context),
    authenticate: (native) => authenticate?.(native as Native),
    start: async () => runtime.start?.(),
    onError: (error, { method, path, surface }) => report(error, `${method} ${path} (${surface})`),
  })
  for (const { prefix, surface } of authenticate ? [] : mounts.filter((mount) => mount.surface.closed)) {
    const message = `nobody gets in at "${prefix}": surface "${surface.id}" was given no secret, and there is no authenticate`
    report(mountErrors.MOUNT_CLOSED({ message }), 'mount')
  }
  return { dispatcher, report }
}
