import type { Clock } from '../../kernel/clock.ts'
import type { NewId } from '../../kernel/ids.ts'
import { sessionErrors } from './contract.ts'
import type { NewSession } from './store.ts'

/** Room for the longest name that a surface takes, escaped. */
const longestName = 2_048

/** Of one that its client has named. */
export const longestSessionId = 200

/** The name of an agent or a scope. Throws `SESSION_INVALID`. */
export function checkName(name: string, what: string, longest = longestName): string {
  if (name.trim() !== '' && name.length <= longest && !name.includes('\0')) return name
  throw sessionErrors.SESSION_INVALID({ message: `${what} must have 1 to ${longest} characters` })
}

/** A session of an agent, without scope, title and metadata. */
export const newSession = (agent: string, clock: Clock, newId: NewId): NewSession & { readonly scope: null } => ({
  id: newId(),
  agent: checkName(agent, 'agent'),
  scope: null,
  title: null,
  metadata: null,
  createdAt: clock.now(),
})
